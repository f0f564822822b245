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

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.certificates import (
    Extension,
    SerialSource,
    Usage,
    Validity,
    authority_key_identifier,
    basic_constraints,
    certificates_pem,
    extended_key_usage,
    key_usage,
    leaf_key_usage,
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
    key_pem,
    public_part,
)
from fleetsim.pki.names import ca_subject, server_names, subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An end-entity certificate with its key.

    Attributes:
        certificate: The certificate itself.
        chain: Certificates between it and the root, its issuer first, without the root.
        key: Its private key; never shown by ``repr``.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)

    def chain_pem(self) -> bytes:
        """Encode what a TLS peer presents: the certificate, then its chain."""
        return certificates_pem((self.certificate, *self.chain))

    def key_pem(self) -> bytes:
        """Encode the private key, unencrypted PKCS#8 PEM. A secret."""
        return key_pem(self.key)


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
        """Whether the certificate names itself as issuer."""
        return self.certificate.issuer == self.certificate.subject

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
    certificate = _sign(
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


def issue_server(
    authority: Authority,
    *,
    validity: Validity,
    names: Sequence[str] = (),
    ips: Sequence[str] = (),
    common_name: str | None = None,
    with_common_name: bool = True,
    with_key_encipherment: bool = True,
    usages: Sequence[Usage] = (Usage.SERVER_AUTH,),
    key_type: KeyType = KeyType.RSA_2048,
    key: PrivateKey | None = None,
    serials: SerialSource = random_serial,
) -> Leaf:
    """Issue a TLS server certificate.

    Args:
        authority: Who signs.
        validity: From when to when.
        names: DNS names for the subject alternative names; ``*.`` may lead.
        ips: IPv4 and IPv6 addresses for the subject alternative names.
        common_name: Subject; ``None`` = the first name or address.
        with_common_name: ``False`` leaves the subject empty (then the alternative names
            are critical, RFC 5280 4.2.1.6), as some public CA profiles do.
        with_key_encipherment: ``False`` leaves the bit out that TLS key exchange by RSA
            needs. EC certificates never have it.
        usages: Extended key usages; none = no such extension.
        key_type: Kind of key to generate.
        key: A key to use instead of a new one.
        serials: Where the serial number comes from.

    Raises:
        InputError: With every unusable name and address.
    """
    name, alternative_names = server_names(
        names, ips, common_name, with_common_name=with_common_name
    )
    key = generate_key(key_type) if key is None else key
    certificate = _sign(
        authority,
        subject_name=name,
        public_key=key.public_key(),
        validity=validity,
        serial=serials(),
        extensions=(
            basic_constraints(is_ca=False),
            leaf_key_usage(
                key.public_key(), with_key_encipherment=with_key_encipherment
            ),
            *extended_key_usage(usages),
            (alternative_names, not list(name)),
            (subject_key_identifier(key.public_key()), False),
        ),
    )
    return Leaf(certificate=certificate, chain=authority.presented, key=key)


def create_self_signed_server(
    *,
    validity: Validity,
    names: Sequence[str] = (),
    ips: Sequence[str] = (),
    is_ca: bool = False,
    key_type: KeyType = KeyType.RSA_2048,
    key: PrivateKey | None = None,
    serials: SerialSource = random_serial,
) -> Leaf:
    """Create a server certificate that is its own issuer.

    Args:
        validity: From when to when.
        names: DNS names, as for :func:`issue_server`.
        ips: Addresses, as for :func:`issue_server`.
        is_ca: Value of basicConstraints CA; some devices accept only ``True``.
        key_type: Kind of key to generate.
        key: A key to use instead of a new one.
        serials: Where the serial number comes from.

    Raises:
        InputError: With every unusable name and address.
    """
    name, alternative_names = server_names(names, ips)
    key = generate_key(key_type) if key is None else key
    public_key = key.public_key()
    certificate = sign_certificate(
        subject_name=name,
        public_key=public_key,
        issuer_name=name,
        issuer_key=key,
        validity=validity,
        serial=serials(),
        extensions=(
            basic_constraints(is_ca=is_ca),
            leaf_key_usage(public_key, signs_certificates=is_ca),
            *extended_key_usage((Usage.SERVER_AUTH,)),
            (alternative_names, False),
            (subject_key_identifier(public_key), False),
        ),
    )
    return Leaf(certificate=certificate, chain=(), key=key)


def issue_device(
    authority: Authority,
    device_id: str,
    *,
    validity: Validity,
    usages: Sequence[Usage] = (Usage.CLIENT_AUTH,),
    key_type: KeyType = KeyType.RSA_2048,
    key: PrivateKey | None = None,
    serials: SerialSource = random_serial,
) -> Leaf:
    """Issue one device certificate (mutual TLS): CN = device id, clientAuth.

    For many devices use :func:`fleetsim.pki.identities.issue_devices`.

    Raises:
        InputError: For an empty or over-long device id.
    """
    if not device_id:
        raise InputError(Problem("device id", "must not be empty"))
    key = generate_key(key_type) if key is None else key
    public_key = key.public_key()
    certificate = _sign(
        authority,
        subject_name=subject(device_id),
        public_key=public_key,
        validity=validity,
        serial=serials(),
        extensions=(
            *device_extensions(public_key, usages),
            (subject_key_identifier(public_key), False),
        ),
    )
    return Leaf(certificate=certificate, chain=authority.presented, key=key)


def device_extensions(
    public_key: PublicKey, usages: Sequence[Usage]
) -> tuple[Extension, ...]:
    """Make the extensions of a device certificate, key identifiers aside."""
    return (
        basic_constraints(is_ca=False),
        leaf_key_usage(public_key),
        *extended_key_usage(usages),
    )


def _ca_extensions(key: PublicKey, path_length: int | None) -> tuple[Extension, ...]:
    if path_length is not None and path_length < 0:
        raise InputError(Problem("path length", f"cannot be {path_length}"))
    return (
        basic_constraints(is_ca=True, path_length=path_length),
        key_usage(signs_certificates=True),
        (subject_key_identifier(key), False),
    )


def _sign(
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
    certificate = _sign(
        signer,
        subject_name=old.subject,
        public_key=public_part(old, "CA certificate"),
        validity=validity,
        serial=serial,
        extensions=kept,
    )
    return replace(authority, certificate=certificate, chain=signer.presented)
