"""Authority: roots, intermediates and the certificates they sign.

Everything is a value: nothing here reads a clock, a file or a random source other than
the operating system's for keys and (unless a seeded source is passed) serial numbers.

A chain is written leaf's issuer first and leaves the self-signed root out, which is
what a TLS server sends (RFC 5246 7.4.2: the root may be omitted). The same subject and
key can have several certificates: :func:`renew` replaces the dates, :func:`cross_sign`
the issuer; both answer with a new :class:`Authority` and leave the old one usable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.certificates import (
    Extension,
    SerialSource,
    Validity,
    authority_key_identifier,
    basic_constraints,
    key_usage,
    random_serial,
    sign_certificate,
    subject_key_identifier,
    validity_of,
)
from fleetsim.pki.keys import (
    KeyType,
    PrivateKey,
    PublicKey,
    generate_key,
    public_part,
)
from fleetsim.pki.names import ca_subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority: a CA certificate and the key it signs with.

    Attributes:
        certificate: The CA's own certificate.
        chain: Certificates between it and the root, its issuer first, without the root.
        key: Its private key; never shown by ``repr``.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    key: PrivateKey = field(repr=False)

    @property
    def is_root(self) -> bool:
        """Whether the certificate is signed by its own key.

        The name alone does not tell: a root that was issued again under its old name
        and cross-signed by the old one has the name of its issuer.
        """
        own = self.certificate
        if own.issuer != own.subject:
            return False
        try:
            own.verify_directly_issued_by(own)
        except InvalidSignature:
            return False
        return True

    @property
    def presented(self) -> tuple[x509.Certificate, ...]:
        """Chain of a certificate signed by this authority."""
        return () if self.is_root else (self.certificate, *self.chain)

    def require_valid(self, now: datetime) -> None:
        """Refuse to go on when the CA certificate is not valid at ``now``.

        Raises:
            InputError: When it has expired or is not valid yet.
        """
        validity = validity_of(self.certificate)
        if validity.contains(now):
            return
        name = self.certificate.subject.rfc4514_string()
        if now < validity.not_before:
            what = f"is not valid before {validity.not_before:%Y-%m-%dT%H:%M:%SZ}"
        else:
            what = f"expired at {validity.not_after:%Y-%m-%dT%H:%M:%SZ}"
        raise InputError(Problem(f"CA {name}", what))


def create_root(
    *,
    validity: Validity,
    common_name: str = "fleetsim root",
    key_type: KeyType = KeyType.RSA_2048,
    key: PrivateKey | None = None,
    path_length: int | None = None,
    serials: SerialSource = random_serial,
) -> Authority:
    """Create a self-signed root.

    Args:
        validity: From when to when.
        common_name: Subject, 1 to 64 characters.
        key_type: Kind of key to generate.
        key: A key to use instead of a new one, for example an RSA-512 one.
        path_length: How many intermediates may follow; ``None`` = any number.
        serials: Where the serial number comes from.

    Raises:
        InputError: For an unusable common name, path length or key type.
    """
    name = ca_subject(common_name)
    key = generate_key(key_type) if key is None else key
    certificate = sign_certificate(
        subject_name=name,
        public_key=key.public_key(),
        issuer_name=name,
        issuer_key=key,
        validity=validity,
        serial=serials(),
        extensions=_ca_extensions(key.public_key(), path_length),
    )
    return Authority(certificate=certificate, key=key)


def create_intermediate(
    parent: Authority,
    *,
    validity: Validity,
    common_name: str = "fleetsim intermediate",
    key_type: KeyType = KeyType.RSA_2048,
    key: PrivateKey | None = None,
    path_length: int | None = 0,
    serials: SerialSource = random_serial,
) -> Authority:
    """Create an intermediate signed by ``parent``; arguments as :func:`create_root`.

    ``path_length`` 0 (the default) means it may sign end entities only.
    """
    name = ca_subject(common_name)
    key = generate_key(key_type) if key is None else key
    certificate = sign_under(
        parent,
        subject_name=name,
        public_key=key.public_key(),
        validity=validity,
        serial=serials(),
        extensions=_ca_extensions(key.public_key(), path_length),
    )
    return Authority(certificate=certificate, chain=parent.presented, key=key)


def renew(
    authority: Authority,
    parent: Authority | None = None,
    *,
    validity: Validity,
    serials: SerialSource = random_serial,
) -> Authority:
    """Renew a CA certificate: same subject, key and extensions, new dates and serial.

    Certificates it signed earlier stay valid under the new one, because subject and key
    identifier are the same.

    Args:
        authority: The authority to renew.
        parent: Who signs; ``None`` = itself, for a root.
        validity: New dates.
        serials: Where the serial number comes from.
    """
    return _sign_again(authority, parent or authority, validity, serials())


def cross_sign(
    signer: Authority,
    other: Authority,
    *,
    validity: Validity,
    serials: SerialSource = random_serial,
) -> Authority:
    """Cross-sign another authority: its subject and key under ``signer``.

    Returns:
        ``other`` as devices that trust only ``signer`` see it: leaves issued by the
        result present the cross certificate in their chain.
    """
    return _sign_again(other, signer, validity, serials())


def _ca_extensions(key: PublicKey, path_length: int | None) -> tuple[Extension, ...]:
    if path_length is not None and path_length < 0:
        raise InputError(Problem("path length", f"cannot be {path_length}"))
    return (
        basic_constraints(is_ca=True, path_length=path_length),
        key_usage(signs_certificates=True),
        (subject_key_identifier(key), False),
    )


def sign_under(
    authority: Authority,
    *,
    subject_name: x509.Name,
    public_key: PublicKey,
    validity: Validity,
    serial: int,
    extensions: Sequence[Extension],
) -> x509.Certificate:
    """Sign with an authority, adding the pointer to its key."""
    return sign_certificate(
        subject_name=subject_name,
        public_key=public_key,
        issuer_name=authority.certificate.subject,
        issuer_key=authority.key,
        validity=validity,
        serial=serial,
        extensions=(
            *extensions,
            (authority_key_identifier(authority.certificate), False),
        ),
    )


def _sign_again(
    authority: Authority, signer: Authority, validity: Validity, serial: int
) -> Authority:
    """Sign an authority's subject, key and extensions once more."""
    old = authority.certificate
    kept = tuple(
        (each.value, each.critical)
        for each in old.extensions
        if not isinstance(each.value, x509.AuthorityKeyIdentifier)
    )
    if signer.certificate == old:
        # A root has no pointer to another key, so that its old and new certificate
        # are interchangeable as trust anchors.
        certificate = sign_certificate(
            subject_name=old.subject,
            public_key=public_part(old, "CA certificate"),
            issuer_name=old.subject,
            issuer_key=authority.key,
            validity=validity,
            serial=serial,
            extensions=kept,
        )
        return replace(authority, certificate=certificate, chain=())
    certificate = sign_under(
        signer,
        subject_name=old.subject,
        public_key=public_part(old, "CA certificate"),
        validity=validity,
        serial=serial,
        extensions=kept,
    )
    return replace(authority, certificate=certificate, chain=signer.presented)
