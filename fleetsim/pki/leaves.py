"""Leaves: server and device certificates, one at a time.

RSA leaves may sign and decipher by default, so that every cipher suite of the simulated
devices works, RSA key exchange included. The switches reproduce what public CAs have
done to their profiles: no common name, no key encipherment, no client authentication.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import Authority, sign_under
from fleetsim.pki.certificates import (
    Extension,
    SerialSource,
    Usage,
    Validity,
    basic_constraints,
    certificates_pem,
    extended_key_usage,
    leaf_key_usage,
    random_serial,
    sign_certificate,
    subject_key_identifier,
)
from fleetsim.pki.keys import KeyType, PrivateKey, PublicKey, generate_key, key_pem
from fleetsim.pki.names import server_names, subject


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
    certificate = sign_under(
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
    certificate = sign_under(
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
