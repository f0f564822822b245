import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fleetsim.exceptions import InputError
from fleetsim.pki.authority import Authority
from fleetsim.pki.keys import (
    KeyType,
    describe_key,
    generate_key,
    generate_keys,
    is_pair,
    key_pem,
    parse_key_pem,
    public_part,
)
from fleetsim.pki.names import subject
from tests.pki.conftest import NOW, Hierarchy


@pytest.mark.parametrize(
    ("key_type", "bits"),
    [
        pytest.param(KeyType.RSA_1024, 1024, id="rsa-1024"),
        pytest.param(KeyType.RSA_2048, 2048, id="rsa-2048"),
    ],
)
def test_rsa_key_has_the_size_of_its_name(key_type: KeyType, bits: int) -> None:
    """An RSA key type makes a key of that many bits with exponent 65537."""
    key = generate_key(key_type)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == bits
    assert key.public_key().public_numbers().e == 65537


@pytest.mark.slow
@pytest.mark.parametrize("key_type", [KeyType.RSA_3072, KeyType.RSA_4096])
def test_large_rsa_keys(key_type: KeyType) -> None:
    """The sizes above 2048, which the CANedge2 refuses, can be made too."""
    key = generate_key(key_type)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert f"rsa-{key.key_size}" == key_type


def test_p256_key_is_on_the_nist_curve() -> None:
    """``p256`` is secp256r1."""
    key = generate_key(KeyType.P256)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_rsa_512_names_the_tool_that_can_make_it() -> None:
    """A 512-bit key cannot be created here; the message says how to get one."""
    with pytest.raises(InputError, match=r"openssl genrsa -out FILE 512"):
        generate_key(KeyType.RSA_512)


@pytest.mark.parametrize("count", [0, -1])
def test_a_pool_needs_a_key(count: int) -> None:
    """A pool of fewer than one key is refused."""
    with pytest.raises(InputError, match="at least 1"):
        tuple(generate_keys(KeyType.P256, count))


def test_generated_keys_differ() -> None:
    """No two keys of a pool are the same."""
    pems = {key_pem(key) for key in generate_keys(KeyType.P256, 5)}
    assert len(pems) == 5


@pytest.mark.parametrize("key_type", [KeyType.RSA_1024, KeyType.P256])
def test_pem_round_trip(key_type: KeyType) -> None:
    """A key written as PEM reads back as the same key."""
    key = generate_key(key_type)
    again = parse_key_pem(key_pem(key), "k.key")
    assert key_pem(again) == key_pem(key)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(PrivateFormat.PKCS8, id="pkcs8"),
        pytest.param(PrivateFormat.TraditionalOpenSSL, id="traditional"),
    ],
)
def test_encrypted_key_is_named_as_such(form: PrivateFormat) -> None:
    """An encrypted key is refused with the way to decrypt it, not as garbage."""
    pem = generate_key(KeyType.P256).private_bytes(
        Encoding.PEM, form, BestAvailableEncryption(b"secret")
    )
    with pytest.raises(InputError, match=r"site\.key: the key is encrypted.*openssl"):
        parse_key_pem(pem, "site.key")


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="no-pem"),
        pytest.param(
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            id="no-asn1",
        ),
        pytest.param(b"\xff\xfe\x00", id="binary"),
    ],
)
def test_garbled_key_is_an_input_error(pem: bytes) -> None:
    """Whatever is no key is refused with the file's name."""
    with pytest.raises(InputError, match=r"site\.key: not a readable PEM private key"):
        parse_key_pem(pem, "site.key")


def test_a_truncated_key_is_refused_without_showing_it() -> None:
    """The message about a cut key holds none of its bytes."""
    pem = key_pem(generate_key(KeyType.P256))
    with pytest.raises(InputError) as caught:
        parse_key_pem(pem[:120], "site.key")
    assert pem.decode().splitlines()[1][:16] not in str(caught.value)


def test_other_kinds_of_keys_are_refused() -> None:
    """Ed25519, which TLS 1.2 devices cannot use, is named and refused."""
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(InputError, match="Ed25519 keys are not supported"):
        parse_key_pem(pem, "site.key")


def test_is_pair(hierarchy: Hierarchy) -> None:
    """A key belongs to the certificate of its own public key only."""
    root: Authority = hierarchy.root
    assert is_pair(root.certificate, root.key)
    assert not is_pair(root.certificate, hierarchy.servers.key)
    assert not is_pair(root.certificate, generate_key(KeyType.RSA_1024))


def test_public_part_and_its_description(hierarchy: Hierarchy) -> None:
    """The public key of a certificate is named by kind and size."""
    assert describe_key(public_part(hierarchy.root.certificate, "root")) == (
        "EC secp256r1"
    )
    assert describe_key(generate_key(KeyType.RSA_1024).public_key()) == "RSA 1024"
    assert describe_key(ed25519.Ed25519PrivateKey.generate().public_key()) == "Ed25519"


def test_certificates_of_other_keys_are_refused() -> None:
    """An Ed25519 certificate is named by its kind and refused."""
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject("x"))
        .issuer_name(subject("x"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .sign(key, None)
    )
    with pytest.raises(InputError, match=r"ca\.pem: Ed25519 keys are not supported"):
        public_part(certificate, "ca.pem")
