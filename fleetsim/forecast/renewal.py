"""Renewal: what may still happen to a server without anybody deciding anew.

Whether a device is stranded depends on what the operator may yet do. The line drawn
here: *decisions stand, maintenance may happen*.

Decisions: which authorities issue the server's certificates, their kind of key and key
usage, cipher suites and versions, the demand for client certificates, revocations.
Going back on one of them is a roll-back, and counts only when it is asked for.

Maintenance: a certificate is renewed by the same issuer, with new dates and the names
it ought to have; so is an authority, under its own issuer; the chain is sent whole and
in order; a revocation list is renewed with the same entries.

So a device that trusts an authority above the server's certificate is one renewal away
from its server, however expired or misnamed the certificate is today. That path is
proved with a *stand-in*: the server as it is, with a certificate of the same kind, the
right names and valid dates, issued by an authority of our own that the device is made
to trust. What is left to show is then only ciphers, versions and client certificates.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.cache import Cache
from fleetsim.forecast.fingerprints import is_revoked, is_signed_by, is_valid_at
from fleetsim.transport.tls_server import PrivateKey, ServerCertificate, ServerTls

_RSA_BITS: Final = 2048
_ROOT: Final = "stand-in root"
_ALWAYS: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_KEPT: Final = (x509.KeyUsage, x509.ExtendedKeyUsage, x509.BasicConstraints)


@dataclass(frozen=True, slots=True)
class StandIn:
    """A server whose certificate is renewed, and what makes a device trust it."""

    server: ServerTls
    bundle: TrustBundle


@dataclass(frozen=True, slots=True)
class StandInCertificate:
    """A certificate of the kind of another one, and what makes a device trust it."""

    certificate: ServerCertificate
    bundle: TrustBundle


def authorities_above(
    chain: Sequence[x509.Certificate], known: Iterable[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Certificates whose key stands, directly or not, behind the leaf's signature.

    Args:
        chain: As the server sends it, leaf first.
        known: Further certificates that exist, sent or not.

    Returns:
        All of them, also several of one key (renewed, cross-signed), nearest first;
        the leaf itself is not among them.
    """
    pool = {one.fingerprint(hashes.SHA256()): one for one in (*chain[1:], *known)}
    pool.pop(chain[0].fingerprint(hashes.SHA256()), None)
    found: dict[bytes, x509.Certificate] = {}
    below = [chain[0]]
    while below:
        signed = below.pop(0)
        for print_, one in pool.items():
            if (
                print_ not in found
                and one.subject == signed.issuer
                and is_signed_by(signed, one)
            ):
                found[print_] = one
                below.append(one)
    return tuple(found.values())


def anchors_above(
    chain: Sequence[x509.Certificate],
    bundle: TrustBundle,
    known: Iterable[x509.Certificate],
) -> tuple[x509.Certificate, ...]:
    """Certificates of a bundle that stand above a leaf, expired ones too."""
    anchors = {one.fingerprint(hashes.SHA256()) for one in bundle.certificates}
    above = authorities_above(chain, (*bundle.certificates, *known))
    return tuple(one for one in above if one.fingerprint(hashes.SHA256()) in anchors)


def is_complete(
    chain: Sequence[x509.Certificate], known: Iterable[x509.Certificate]
) -> bool:
    """Whether the issuer of the leaf is there to look at.

    Without it nobody can say under which roots a renewed certificate would stand.
    """
    leaf = chain[0]
    return leaf.issuer == leaf.subject or bool(authorities_above(chain, known))


def has_lasting_anchor(
    chain: Sequence[x509.Certificate],
    bundle: TrustBundle,
    known: Iterable[x509.Certificate],
    moments: Iterable[int],
) -> bool:
    """Whether a renewed certificate would be trusted at one of some moments."""
    anchors = anchors_above(chain, bundle, known)
    return any(is_valid_at(one, moment) for moment in moments for one in anchors)


class StandIns:
    """Makes stand-ins; keys are made once, because RSA keys are slow to make."""

    def __init__(self) -> None:
        self._rsa_key: rsa.RSAPrivateKey | None = None
        self._certificate: x509.Certificate | None = None
        self._keys: dict[str, PrivateKey] = {}
        self._certificates: Cache[tuple[x509.Certificate, str], StandInCertificate] = (
            Cache(64)
        )

    def server(self, base: ServerTls, host: str) -> StandIn:
        """Renew every certificate of a server.

        Args:
            base: The server; certificates it should not renew are left out already.
            host: What the certificates must name.
        """
        root = self._root()
        renewed = tuple(
            replace(one, chain=(self._renewed(one.chain[0], one.key, root, host),))
            for one in base.certificates
        )
        return StandIn(replace(base, certificates=renewed), TrustBundle.of((root,)))

    def certificate(self, leaf: x509.Certificate, host: str) -> StandInCertificate:
        """Make a certificate of the same kind as one whose key nobody here has.

        Args:
            leaf: The certificate.
            host: What it must name.

        Raises:
            ValueError: Its kind of key cannot be made.
        """
        made = self._certificates.get((leaf, host))
        if made is None:
            root = self._root()
            key = self._key_like(leaf)
            chain = (self._renewed(leaf, key, root, host),)
            made = StandInCertificate(
                ServerCertificate(chain=chain, key=key), TrustBundle.of((root,))
            )
            self._certificates.put((leaf, host), made)
        return made

    def _renewed(
        self, leaf: x509.Certificate, key: PrivateKey, root: x509.Certificate, host: str
    ) -> x509.Certificate:
        kept: list[x509.ExtensionType] = [
            each.value for each in leaf.extensions if isinstance(each.value, _KEPT)
        ]
        kept.append(x509.SubjectAlternativeName([_general_name(host)]))
        return _sign("stand-in", key, root.subject, self._key(), kept)

    def _root(self) -> x509.Certificate:
        if self._certificate is None:
            key = self._key()
            ca = x509.BasicConstraints(ca=True, path_length=None)
            self._certificate = _sign(_ROOT, key, _name(_ROOT), key, (ca,))
        return self._certificate

    def _key(self) -> rsa.RSAPrivateKey:
        if self._rsa_key is None:
            self._rsa_key = rsa.generate_private_key(65537, _RSA_BITS)
        return self._rsa_key

    def _key_like(self, leaf: x509.Certificate) -> PrivateKey:
        # An RSA key of another size takes part in the same suites; whether the device
        # takes the real size is for the verdict on the real chain.
        match leaf.public_key():
            case rsa.RSAPublicKey():
                return self._key()
            case ec.EllipticCurvePublicKey() as key:
                name = key.curve.name
                if name not in self._keys:
                    self._keys[name] = ec.generate_private_key(key.curve)
                return self._keys[name]
            case key:
                raise ValueError(f"no key like {type(key).__name__} can be made")


def _sign(
    subject: str,
    key: PrivateKey,
    issuer: x509.Name,
    issuer_key: PrivateKey,
    extensions: Iterable[x509.ExtensionType],
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_ALWAYS[0])
        .not_valid_after(_ALWAYS[1])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    name = host.removesuffix(".")
    return x509.DNSName(name if name.isascii() else name.encode("idna").decode())


def with_renewed_lists(
    server: ServerTls, identity: x509.Certificate | None
) -> ServerTls:
    """The server with every revocation list current.

    A renewed list cannot be signed here. It has the entries of the old one: a client
    that one of them names stays refused, for any other the lists are as good as none.
    """
    if identity is None or is_revoked(identity, server.crls):
        return server
    return replace(server, check_crl=False, crls=())
