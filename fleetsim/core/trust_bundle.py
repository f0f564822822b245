"""Trust bundle: what a device makes of the bytes of ``certs_server.p7b``.

Rules of the reference devices (CSS Electronics, CANedge documentation, "S3 security"):
at most ten certificates; an empty file clears all; a CANedge2 tells certificates apart
by their Issuer, so two of one Issuer cannot be loaded; a CANedge3 asks for
distinguishable Subjects and basicConstraints CA:TRUE; RSA keys of 512, 1024 and 2048
bits, no DSA. What the device does with a bundle that breaks a rule is not public and a
knob of the profile (:class:`~fleetsim.core.settings.OnBadBundle`).

Decisions where the documentation is silent:

* Names are compared by their DER bytes, as a module that stores a hash of the name
  does; names equal only after case folding are different names.
* A certificate that occurs twice is refused as ``duplicate`` where certificates must be
  told apart, and kept once where they need not be.
* Position counts for the limit of ten: the eleventh certificate of a file is refused
  even when an earlier one was refused, so that one report lists every fault.
* Only an empty file clears under ``load_what_fits``; a bundle of which nothing fits
  leaves the old certificates in place.
* Expiry is no rule of loading: a device without a set clock could not apply it. It is
  judged at every handshake.
* The bytes behind the digests in device.json are not public; here they are the DER
  bytes of the whole certificate.
"""

import hashlib
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleetsim.core.bundle_file import BundleForm, read_bundle_file
from fleetsim.core.settings import BundleRules, DistinctBy, OnBadBundle

# What cryptography raises on foreign bytes, found by fuzzing; several of its own
# exceptions do not derive from ValueError.
_PARSE_ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrustBundle:
    """The certificates a device trusts. Two bundles of the same certificates are equal.

    Attributes:
        certificates: Trust anchors in file order.
        digests: Per certificate the digest that device.json lists, upper-case hex.
        fingerprint: SHA-256 (hex) over the DER of all certificates in order; identity
            for sharing TLS contexts.
    """

    certificates: tuple[x509.Certificate, ...]
    digests: tuple[str, ...]
    fingerprint: str

    @classmethod
    def of(
        cls, certificates: Iterable[x509.Certificate], *, digest: str = "sha1"
    ) -> "TrustBundle":
        """Make a bundle of certificates without applying any rule.

        Args:
            certificates: Trust anchors.
            digest: ``sha1`` or ``md5``, the hash listed in device.json.
        """
        kept = tuple(certificates)
        whole = hashlib.sha256()
        digests = []
        for certificate in kept:
            der = certificate.public_bytes(Encoding.DER)
            whole.update(der)
            one = hashlib.new(digest, der, usedforsecurity=False)
            digests.append(one.hexdigest().upper())
        return cls(
            certificates=kept, digests=tuple(digests), fingerprint=whole.hexdigest()
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is trusted."""
        return not self.certificates

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrustBundle):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


EMPTY_BUNDLE = TrustBundle.of(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One breach of a rule by a bundle.

    Attributes:
        certificate: ``certificate 3 (CN=…)``, or ``file`` for the file as a whole.
        rule: Stable word: ``too_large``, ``unreadable``, ``trailing_data``,
            ``no_certificates``, ``not_a_certificate``, ``max_certificates``,
            ``duplicate``, ``distinct_issuer``, ``distinct_subject``, ``require_ca``,
            ``key_type``, ``rsa_bits``, ``ec_curve``.
        detail: What was found and what is accepted; for people.
    """

    certificate: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.certificate}: {self.rule}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOutcome:
    """What a device did with a bundle file.

    Attributes:
        bundle: What it trusts from now on.
        refusals: Every breach of a rule; empty = the file was taken as it is.
        form: Kind of file.
        changed: Whether the trusted certificates are others than before.
    """

    bundle: TrustBundle
    refusals: tuple[Refusal, ...]
    form: BundleForm
    changed: bool


def load_bundle(data: bytes, rules: BundleRules, current: TrustBundle) -> BundleOutcome:
    """Decide what a device trusts after reading a bundle file.

    Pure, and it never raises on foreign bytes. The verdict on the bytes is remembered
    (64 files), so a fleet that loads one file pays for it once.

    Args:
        data: Whole content of the file.
        rules: Rules of the device.
        current: What it trusts now.

    Returns:
        The new bundle, all refusals, and whether anything changed.
    """
    form, fitting, refusals = _judge(data, rules)
    if not refusals:
        bundle = fitting
    else:
        match rules.on_bad:
            case OnBadBundle.KEEP_OLD:
                bundle = current
            case OnBadBundle.CLEAR:
                bundle = EMPTY_BUNDLE
            case OnBadBundle.LOAD_WHAT_FITS:
                bundle = current if fitting.is_empty else fitting
            case _:
                assert_never(rules.on_bad)
    return BundleOutcome(
        bundle=bundle, refusals=refusals, form=form, changed=bundle != current
    )


@lru_cache(maxsize=64)
def _judge(
    data: bytes, rules: BundleRules
) -> tuple[BundleForm, TrustBundle, tuple[Refusal, ...]]:
    """Split a file into the certificates that pass every rule and the refusals."""
    if len(data) > rules.max_bytes:
        detail = f"{len(data)} bytes; at most {rules.max_bytes} are read"
        refusal = Refusal(certificate="file", rule="too_large", detail=detail)
        return BundleForm.UNREADABLE, EMPTY_BUNDLE, (refusal,)
    content = read_bundle_file(data)
    refusals = [
        Refusal(certificate="file", rule=problem.rule, detail=problem.detail)
        for problem in content.problems
    ]
    fitting: list[x509.Certificate] = []
    earlier = _Earlier(certificates={}, names={})
    with warnings.catch_warnings():
        # cryptography warns about certificates that are legal enough to be read but
        # not to the letter (negative serials …); devices load them silently.
        warnings.simplefilter("ignore")
        for position, der in enumerate(content.certificates, start=1):
            found = _read_certificate(der)
            if isinstance(found, str):
                place = f"certificate {position}"
                broken = [
                    Refusal(certificate=place, rule="unreadable", detail=found),
                    *_count_refusals(place, position, rules),
                ]
            elif (
                rules.distinct_by is DistinctBy.NOTHING and der in earlier.certificates
            ):
                continue
            else:
                place = f"certificate {position} ({_title(found)})"
                broken = [
                    *_count_refusals(place, position, rules),
                    *_distinct_refusals(place, der, found, rules, earlier),
                    *_content_refusals(place, found, rules),
                ]
                if not broken:
                    fitting.append(found)
            refusals += broken
    bundle = TrustBundle.of(fitting, digest=rules.digest)
    return content.form, bundle, tuple(refusals)


def _read_certificate(der: bytes) -> x509.Certificate | str:
    """Parse a certificate as far as rules and TLS need it; a text says why not."""
    if not der:
        return "the PEM block is empty or not base64"
    try:
        certificate = x509.load_der_x509_certificate(der)
        # Everything below is parsed on first use: use it here, where failing is cheap.
        certificate.issuer.public_bytes()
        certificate.subject.rfc4514_string()
        _ = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        _ = certificate.extensions
    except _PARSE_ERRORS as exc:
        return f"damaged or no certificate: {_words(exc)}"
    return certificate


def _words(exc: Exception) -> str:
    """Give the first line of a foreign message, or the name of its class."""
    lines = str(exc).splitlines()
    return lines[0][:200] if lines else type(exc).__name__


def _title(certificate: x509.Certificate) -> str:
    """Name a certificate for people, safe to print."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = f"CN={names[0].value!s}" if names else certificate.subject.rfc4514_string()
    return re.sub(r"[^\x20-\x7e\xa0-\uffff]", "?", text)[:80] or "no subject"


def _count_refusals(place: str, position: int, rules: BundleRules) -> Iterator[Refusal]:
    if position > rules.max_certificates:
        yield Refusal(
            certificate=place,
            rule="max_certificates",
            detail=f"number {position}; at most {rules.max_certificates} are accepted",
        )


@dataclass(frozen=True, slots=True)
class _Earlier:
    """Certificates and distinguishing names of one file so far, with their places."""

    certificates: dict[bytes, str]
    names: dict[bytes, str]


def _distinct_refusals(
    place: str,
    der: bytes,
    certificate: x509.Certificate,
    rules: BundleRules,
    earlier: _Earlier,
) -> Iterator[Refusal]:
    """Refuse what the device could not tell from an earlier certificate."""
    match rules.distinct_by:
        case DistinctBy.ISSUER:
            name = certificate.issuer.public_bytes()
        case DistinctBy.SUBJECT:
            name = certificate.subject.public_bytes()
        case DistinctBy.NOTHING:
            earlier.certificates[der] = place
            return
        case _:
            assert_never(rules.distinct_by)
    word = rules.distinct_by.value
    if der in earlier.certificates:
        yield Refusal(
            certificate=place,
            rule="duplicate",
            detail=f"the same certificate as {earlier.certificates[der]}",
        )
    elif name in earlier.names:
        yield Refusal(
            certificate=place,
            rule=f"distinct_{word}",
            detail=f"the same {word.capitalize()} as {earlier.names[name]}",
        )
    earlier.certificates.setdefault(der, place)
    earlier.names.setdefault(name, place)


def _content_refusals(
    place: str, certificate: x509.Certificate, rules: BundleRules
) -> Iterator[Refusal]:
    if rules.require_ca and not _is_ca(certificate):
        yield Refusal(
            certificate=place,
            rule="require_ca",
            detail="basicConstraints CA:TRUE is missing",
        )
    try:
        key = certificate.public_key()
    except _PARSE_ERRORS as exc:
        detail = f"a public key of unknown kind: {_words(exc)}"
        yield Refusal(certificate=place, rule="key_type", detail=detail)
        return
    match key:
        case rsa.RSAPublicKey():
            if rules.rsa_bits and key.key_size not in rules.rsa_bits:
                accepted = ", ".join(map(str, rules.rsa_bits))
                yield Refusal(
                    certificate=place,
                    rule="rsa_bits",
                    detail=f"RSA with {key.key_size} bits; accepted: {accepted}",
                )
        case ec.EllipticCurvePublicKey() if rules.ec_curves:
            if key.curve.name not in rules.ec_curves and "*" not in rules.ec_curves:
                accepted = ", ".join(rules.ec_curves)
                yield Refusal(
                    certificate=place,
                    rule="ec_curve",
                    detail=f"curve {key.curve.name}; accepted: {accepted}",
                )
        case _:
            kind = type(key).__name__.removesuffix("PublicKey")
            accepted = "RSA and EC" if rules.ec_curves else "RSA"
            yield Refusal(
                certificate=place,
                rule="key_type",
                detail=f"a key of type {kind}; accepted: {accepted}",
            )


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca
