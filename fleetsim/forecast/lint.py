"""Lint: what in a bundle or chain asks for trouble with devices of a profile.

The handshakes of a forecast use OpenSSL on both sides. Modules in real devices are
narrower in places, so some findings are about chains that connect here: those are
*warnings*. *Errors* are what the rules of the profile or a handshake refuse.

Sources: CSS Electronics, CANedge documentation, "S3 security" (bundle rules, RSA sizes);
Microchip, ATWINC15x0 software design guide (RSA up to 2048 bits); RFC 5246 7.4.2 (key
usage by key exchange, order of the chain).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetsim.core.cipher_groups import KeyExchange, is_known, key_exchange_of
from fleetsim.core.settings import BundleRules
from fleetsim.core.trust_bundle import BundleOutcome, TrustBundle
from fleetsim.forecast.fingerprints import is_signed_by, is_valid_at, kind_of_key
from fleetsim.forecast.handshakes import ClientSide, certificate_verdict
from fleetsim.forecast.wording import period, title_of
from fleetsim.transport.tls_context import ClientContexts

_TLS13: Final = "TLS_"
_LARGEST_HASH: Final = 256
_NAME_KINDS: Final = ("hostname_mismatch", "ip_address_mismatch")


@unique
class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # it is refused
    WARNING = "warning"  # some real device or later date will refuse it
    NOTE = "note"  # good to know


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found.

    Attributes:
        level: How bad it is.
        where: Certificate or file.
        rule: Stable word.
        detail: What was found and what it leads to.
    """

    level: Level
    where: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.level.value}: {self.where}: {self.rule}: {self.detail}"


def lint_bundle(outcome: BundleOutcome, unix_s: int) -> tuple[Finding, ...]:
    """Say what a device refuses of a bundle file, and what in it is out of date.

    Args:
        outcome: What the device did with the file.
        unix_s: When, unix seconds.
    """
    findings = [
        Finding(
            level=Level.ERROR,
            where=each.certificate,
            rule=each.rule,
            detail=each.detail,
        )
        for each in outcome.refusals
    ]
    if outcome.bundle.is_empty:
        findings.append(
            Finding(
                level=Level.ERROR,
                where="file",
                rule="empty",
                detail="the device trusts nothing after it and cannot be reached over "
                "the air any more"
                if not outcome.refusals
                else "nothing of it is loaded by a device that had nothing before",
            )
        )
    findings += [
        Finding(
            level=Level.WARNING,
            where=title_of(one),
            rule="out_of_date",
            detail=f"is valid {period(one)} and does not count now",
        )
        for one in outcome.bundle.certificates
        if not is_valid_at(one, unix_s)
    ]
    return tuple(findings)


def lint_chain(
    contexts: ClientContexts,
    side: ClientSide,
    rules: BundleRules,
    chain: Sequence[x509.Certificate],
    bundles: Iterable[TrustBundle] = (),
) -> tuple[Finding, ...]:
    """Say what in a chain asks for trouble.

    Args:
        contexts: TLS contexts of the devices.
        side: The device, at the date that matters; its bundle does not.
        rules: Its rules for certificates.
        chain: As the server sends it, leaf first; length >= 1.
        bundles: What devices trust: whose issuer is there need not be sent.
    """
    anchors = [one for bundle in bundles for one in bundle.certificates]
    return (
        *_order(chain, anchors),
        *_dates(chain, side.unix_s),
        *_names(contexts, side, chain[0]),
        *_keys(chain, rules),
        *_usages(chain[0]),
        *_key_exchange(chain[0], side),
    )


def _order(
    chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> Iterator[Finding]:
    current, rest = chain[0], list(chain[1:])
    path = [current]
    while current.issuer != current.subject:
        above = next((one for one in rest if is_signed_by(current, one)), None)
        if above is None:
            break
        if above is not rest[0]:
            yield Finding(
                level=Level.WARNING,
                where=title_of(above),
                rule="order",
                detail=f"does not follow {title_of(current)}, which it certifies: "
                "devices that go through the chain in order lose their way",
            )
        rest.remove(above)
        path.append(above)
        current = above
    is_anchored = any(
        one in anchors or any(is_signed_by(one, anchor) for anchor in anchors)
        for one in path
    )
    if current.issuer != current.subject and anchors and not is_anchored:
        yield Finding(
            level=Level.ERROR,
            where=title_of(current),
            rule="missing_issuer",
            detail=f"nothing sent and nothing trusted certifies it: an intermediate "
            f"{current.issuer.rfc4514_string()} is missing, or no bundle goes with it",
        )
    for one in rest:
        yield Finding(
            level=Level.NOTE,
            where=title_of(one),
            rule="beside_the_path",
            detail="is sent but certifies nothing on the path",
        )
    if len(chain) > 1 and current.issuer == current.subject and current in chain[1:]:
        yield Finding(
            level=Level.NOTE,
            where=title_of(current),
            rule="root_sent",
            detail="a root that is sent costs bytes in every handshake",
        )


def _dates(chain: Sequence[x509.Certificate], unix_s: int) -> Iterator[Finding]:
    for position, one in enumerate(chain):
        if is_valid_at(one, unix_s):
            continue
        yield Finding(
            level=Level.ERROR if position == 0 else Level.WARNING,
            where=title_of(one),
            rule="out_of_date" if position == 0 else "out_of_date_in_chain",
            detail=f"valid {period(one)}"
            + (
                ""
                if position == 0
                else ": path builders that stop at it refuse the whole chain"
            ),
        )


def _names(
    contexts: ClientContexts, side: ClientSide, leaf: x509.Certificate
) -> Iterator[Finding]:
    # Trusting the leaf itself, within its dates, leaves little but its names to judge.
    pinned = replace(
        side,
        bundle=TrustBundle.of((leaf,)),
        unix_s=int(leaf.not_valid_before_utc.timestamp()),
    )
    verdict = certificate_verdict(contexts, pinned, (leaf,))
    if verdict is not None and verdict.kind.endswith(_NAME_KINDS):
        yield Finding(
            level=Level.ERROR,
            where=title_of(leaf),
            rule="host_name",
            detail=f"does not name {side.host}; it names {', '.join(_names_in(leaf))}",
        )
    if not _alternative_names(leaf):
        yield Finding(
            level=Level.WARNING,
            where=title_of(leaf),
            rule="common_name_only",
            detail="has no subjectAltName: clients that follow RFC 9525 refuse it",
        )


def _keys(chain: Sequence[x509.Certificate], rules: BundleRules) -> Iterator[Finding]:
    largest = max(rules.rsa_bits, default=0)
    for one in chain:
        key = one.public_key()
        if isinstance(key, rsa.RSAPublicKey) and largest and key.key_size > largest:
            yield Finding(
                level=Level.WARNING,
                where=title_of(one),
                rule="rsa_bits",
                detail=f"{kind_of_key(one)}: the device is documented for up to "
                f"{largest} bits",
            )
        if isinstance(key, ec.EllipticCurvePublicKey) and not rules.ec_curves:
            yield Finding(
                level=Level.WARNING,
                where=title_of(one),
                rule="ec_key",
                detail=f"{kind_of_key(one)}: the device is documented for RSA only",
            )
        algorithm = one.signature_hash_algorithm
        if isinstance(algorithm, hashes.HashAlgorithm):
            if algorithm.digest_size * 8 > _LARGEST_HASH:
                yield Finding(
                    level=Level.WARNING,
                    where=title_of(one),
                    rule="signature_hash",
                    detail=f"signed with {algorithm.name}: Wi-Fi modules are reported "
                    "to fail on more than SHA-256",
                )
            elif algorithm.digest_size * 8 < _LARGEST_HASH:
                yield Finding(
                    level=Level.WARNING,
                    where=title_of(one),
                    rule="signature_hash",
                    detail=f"signed with {algorithm.name}, which many clients refuse",
                )


def _usages(leaf: x509.Certificate) -> Iterator[Finding]:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        yield Finding(
            level=Level.ERROR,
            where=title_of(leaf),
            rule="extended_key_usage",
            detail="is not for servers (serverAuth is missing)",
        )


def _key_exchange(leaf: x509.Certificate, side: ClientSide) -> Iterator[Finding]:
    if isinstance(leaf.public_key(), rsa.RSAPublicKey):
        if _has_key_encipherment(leaf):
            return
        for group in side.groups:
            by_rsa = [suite for suite in group.suites if _is_rsa_key_exchange(suite)]
            if not by_rsa:
                continue
            is_all = len(by_rsa) == len(group.suites)
            is_refused = is_all and side.rules.check_key_usage
            yield Finding(
                level=Level.ERROR if is_refused else Level.WARNING,
                where=title_of(leaf),
                rule="key_encipherment",
                detail=f"keyUsage lacks keyEncipherment, which "
                f"{'every suite' if is_all else 'some suites'} of {group.name} need",
            )
        return
    lost = [
        group.name
        for group in side.groups
        if not any("ECDSA" in s or s.startswith(_TLS13) for s in group.suites)
    ]
    if lost:
        yield Finding(
            level=Level.ERROR,
            where=title_of(leaf),
            rule="key_type",
            detail=f"has a key of kind {kind_of_key(leaf)}: no suite of "
            f"{', '.join(lost)} goes with it",
        )


def _is_rsa_key_exchange(suite: str) -> bool:
    """Whether a suite (OpenSSL name) sends the secret under the certificate's key."""
    return is_known(suite) and key_exchange_of(suite) is KeyExchange.RSA


def _has_key_encipherment(leaf: x509.Certificate) -> bool:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.key_encipherment


def _alternative_names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _names_in(leaf: x509.Certificate) -> tuple[str, ...]:
    return _alternative_names(leaf) or (title_of(leaf),)
