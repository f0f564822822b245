from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fleetsim.exceptions import InputError
from fleetsim.pki.certificates import Usage, Validity, parse_certificates_pem
from fleetsim.pki.keys import KeyType, generate_key, is_pair, parse_key_pem
from fleetsim.pki.leaves import create_self_signed_server, issue_device, issue_server
from fleetsim.pki.names import common_name_of
from tests.pki.conftest import NOW, Hierarchy

P256 = KeyType.P256


def test_server_certificate_verifies_for_its_names_only(hierarchy: Hierarchy) -> None:
    """A server leaf verifies for each of its names and addresses and for no other."""
    leaf = issue_server(
        hierarchy.servers,
        validity=hierarchy.validity,
        names=("localhost", "*.example.com"),
        ips=("127.0.0.1",),
        key_type=P256,
    )
    builder = PolicyBuilder().store(Store([hierarchy.root.certificate])).time(NOW)
    good: list[x509.DNSName | x509.IPAddress] = [
        x509.DNSName("localhost"),
        x509.DNSName("s3.example.com"),
        x509.IPAddress(ip_address("127.0.0.1")),
    ]
    for subject in good:
        builder.build_server_verifier(subject).verify(
            leaf.certificate, list(leaf.chain)
        )
    bad: list[x509.DNSName | x509.IPAddress] = [
        x509.DNSName("example.com"),
        x509.IPAddress(ip_address("127.0.0.2")),
    ]
    for subject in bad:
        with pytest.raises(VerificationError):
            builder.build_server_verifier(subject).verify(
                leaf.certificate, list(leaf.chain)
            )


@pytest.mark.parametrize(
    ("key_type", "kind"),
    [
        pytest.param(KeyType.RSA_1024, rsa.RSAPrivateKey, id="rsa"),
        pytest.param(P256, ec.EllipticCurvePrivateKey, id="ec"),
    ],
)
def test_key_type_is_the_leafs(
    hierarchy: Hierarchy, key_type: KeyType, kind: type
) -> None:
    """The leaf has the key asked for, whatever its issuer has."""
    leaf = issue_server(
        hierarchy.servers,
        validity=hierarchy.validity,
        names=("localhost",),
        key_type=key_type,
    )
    assert isinstance(leaf.key, kind)
    assert is_pair(leaf.certificate, leaf.key)


def test_profile_switches(hierarchy: Hierarchy) -> None:
    """Without common name the alternative names are critical; bits can be left out."""
    leaf = issue_server(
        hierarchy.servers,
        validity=hierarchy.validity,
        names=("localhost",),
        with_common_name=False,
        with_key_encipherment=False,
        usages=(),
        key_type=KeyType.RSA_1024,
    )
    extensions = leaf.certificate.extensions
    assert list(leaf.certificate.subject) == []
    assert extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert not usage.key_encipherment
    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.ExtendedKeyUsage)


def test_default_rsa_server_allows_rsa_key_exchange(hierarchy: Hierarchy) -> None:
    """By default an RSA server certificate may decipher premaster secrets."""
    leaf = issue_server(
        hierarchy.servers,
        validity=hierarchy.validity,
        names=("localhost",),
        key_type=KeyType.RSA_1024,
    )
    extensions = leaf.certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert not extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize(
    ("usages", "oids"),
    [
        pytest.param(
            (Usage.CLIENT_AUTH,), {ExtendedKeyUsageOID.CLIENT_AUTH}, id="client-only"
        ),
        pytest.param(
            (Usage.SERVER_AUTH, Usage.CLIENT_AUTH),
            {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH},
            id="both",
        ),
    ],
)
def test_extended_usages_are_selectable(
    hierarchy: Hierarchy,
    usages: tuple[Usage, ...],
    oids: set[x509.ObjectIdentifier],
) -> None:
    """The extended key usages are those asked for, in servers and devices."""
    server = issue_server(
        hierarchy.servers,
        validity=hierarchy.validity,
        names=("localhost",),
        usages=usages,
        key_type=P256,
    )
    device = issue_device(
        hierarchy.devices,
        "0000000A",
        validity=hierarchy.validity,
        usages=usages,
        key_type=P256,
    )
    for leaf in (server, device):
        found = leaf.certificate.extensions.get_extension_for_class(
            x509.ExtendedKeyUsage
        )
        assert set(found.value) == oids


def test_a_key_can_be_given(hierarchy: Hierarchy) -> None:
    """A key made elsewhere is used instead of a new one: renewal with the same key."""
    key = generate_key(P256)
    leaves = [
        issue_server(
            hierarchy.servers,
            validity=hierarchy.validity,
            names=("localhost",),
            key=key,
        )
        for _ in range(2)
    ]
    assert all(leaf.key is key for leaf in leaves)
    assert leaves[0].certificate != leaves[1].certificate


def test_device_certificate_is_for_clients(hierarchy: Hierarchy) -> None:
    """A device leaf is called by its id and verifies as a client."""
    leaf = issue_device(
        hierarchy.devices, "2F6913DB", validity=hierarchy.validity, key_type=P256
    )
    assert common_name_of(leaf.certificate.subject) == "2F6913DB"
    leaf.certificate.verify_directly_issued_by(hierarchy.devices.certificate)
    assert leaf.chain == (hierarchy.devices.certificate,)


@pytest.mark.parametrize("device_id", ["", "x" * 65])
def test_device_id_must_fit_a_common_name(hierarchy: Hierarchy, device_id: str) -> None:
    """An empty or over-long device id is bad input."""
    with pytest.raises(InputError):
        issue_device(hierarchy.devices, device_id, validity=hierarchy.validity)


@pytest.mark.parametrize("is_ca", [False, True])
def test_self_signed_server(is_ca: bool) -> None:
    """A self-signed server names itself as issuer; CA:TRUE only when asked for."""
    leaf = create_self_signed_server(
        validity=Validity.lasting(NOW, 60),
        names=("localhost",),
        is_ca=is_ca,
        key_type=P256,
    )
    certificate = leaf.certificate
    certificate.verify_directly_issued_by(certificate)
    assert leaf.chain == ()
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca is is_ca


def test_pem_forms(hierarchy: Hierarchy) -> None:
    """The PEM chain starts with the leaf; key and repr keep the secret apart."""
    leaf = issue_server(
        hierarchy.servers,
        validity=hierarchy.validity,
        names=("localhost",),
        key_type=P256,
    )
    assert parse_certificates_pem(leaf.chain_pem(), "") == (
        leaf.certificate,
        *leaf.chain,
    )
    assert is_pair(leaf.certificate, parse_key_pem(leaf.key_pem(), ""))
    assert "key" not in repr(leaf).lower()
