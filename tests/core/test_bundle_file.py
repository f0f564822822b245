import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.bundle_file import BundleForm, read_bundle_file
from tests.core.certificates import make_certificate

ROOT, OTHER = make_certificate("Root"), make_certificate("Other")


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _p7b(encoding: Encoding, *certificates: x509.Certificate) -> bytes:
    return pkcs7.serialize_certificates(list(certificates), encoding)


def _der(one: x509.Certificate) -> bytes:
    return one.public_bytes(Encoding.DER)


def _armoured(label: str, body: bytes) -> bytes:
    text = base64.encodebytes(body).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


def _tlv(tag: int, *parts: bytes) -> bytes:
    """An ASN.1 element of up to 127 bytes."""
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


def _pkcs7_of(*parts: bytes) -> bytes:
    """A ContentInfo whose SignedData has the given parts after version and digests."""
    signed = _tlv(0x30, b"\x02\x01\x01", b"\x31\x00", *parts)
    oid = bytes.fromhex("06092a864886f70d010702")
    return _tlv(0x30, oid, _tlv(0xA0, signed))


_INNER = _tlv(0x30, bytes.fromhex("06092a864886f70d010701"))


@pytest.mark.parametrize(
    ("data", "form", "certificates"),
    [
        pytest.param(b"", BundleForm.EMPTY, [], id="empty"),
        pytest.param(_der(ROOT), BundleForm.DER, [ROOT], id="one DER"),
        pytest.param(_pem(ROOT), BundleForm.PEM, [ROOT], id="one PEM"),
        pytest.param(_pem(ROOT, OTHER), BundleForm.PEM, [ROOT, OTHER], id="PEMs"),
        pytest.param(
            _pem(ROOT).replace(b"\n", b"\r\n"), BundleForm.PEM, [ROOT], id="CRLF"
        ),
        pytest.param(
            b"subject=Root\n0 comment\n" + _pem(ROOT) + b"the end\n",
            BundleForm.PEM,
            [ROOT],
            id="text around the block",
        ),
        pytest.param(
            b"0 comment that starts like DER\n" + _pem(ROOT),
            BundleForm.PEM,
            [ROOT],
            id="comment starting with 0x30",
        ),
        pytest.param(
            _p7b(Encoding.DER, ROOT, OTHER),
            BundleForm.PKCS7_DER,
            [ROOT, OTHER],
            id="PKCS7 DER",
        ),
        pytest.param(
            _p7b(Encoding.PEM, ROOT, OTHER),
            BundleForm.PKCS7_PEM,
            [ROOT, OTHER],
            id="PKCS7 PEM",
        ),
        pytest.param(
            _armoured("CMS", _p7b(Encoding.DER, ROOT)),
            BundleForm.PKCS7_PEM,
            [ROOT],
            id="PKCS7 under the label CMS",
        ),
        pytest.param(
            _p7b(Encoding.PEM, ROOT) + _pem(OTHER),
            BundleForm.PKCS7_PEM,
            [ROOT, OTHER],
            id="PKCS7 and PEM in a row",
        ),
        pytest.param(
            _armoured("X509 CRL", b"anything") + _pem(ROOT),
            BundleForm.PEM,
            [ROOT],
            id="CRL block is passed over",
        ),
    ],
)
def test_good_file(
    data: bytes, form: BundleForm, certificates: list[x509.Certificate]
) -> None:
    """Every documented kind of file gives its certificates in file order."""
    found = read_bundle_file(data)
    assert found.form is form
    assert found.problems == ()
    assert set(found.certificates) == {_der(one) for one in certificates}
    assert len(found.certificates) == len(certificates)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        pytest.param(b" \r\n", "unreadable", id="white space"),
        pytest.param(b"hello", "unreadable", id="text"),
        pytest.param(b"\xef\xbb\xbf", "unreadable", id="byte order mark"),
        pytest.param(_der(ROOT)[:-1], "unreadable", id="DER cut off"),
        pytest.param(b"\x30\x85" + b"\1" * 9, "unreadable", id="absurd length"),
        pytest.param(b"\x30\x80\x00\x00", "unreadable", id="BER that is no PKCS7"),
        pytest.param(b"\x30", "unreadable", id="a single byte"),
        pytest.param(_pem(ROOT)[:-30], "unreadable", id="PEM cut off"),
        pytest.param(
            b"-----END CERTIFICATE-----\n", "unreadable", id="END without BEGIN"
        ),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\n" + _pem(ROOT),
            "unreadable",
            id="BEGIN twice",
        ),
        pytest.param(
            _armoured("PKCS7", b"\x30\x03\x02\x01\x05"), "unreadable", id="no PKCS7"
        ),
        pytest.param(
            b"-----BEGIN PKCS7-----\n!\n-----END PKCS7-----\n",
            "unreadable",
            id="PKCS7 block that is not base64",
        ),
        pytest.param(
            bytes.fromhex("300f06092a864886f70d010701a0020400"),
            "unreadable",
            id="PKCS7 of type data",
        ),
        pytest.param(
            bytes.fromhex(
                "302306092a864886f70d010702a01630140201013100"
                "300b06092a864886f70d0107013100"
            ),
            "no_certificates",
            id="PKCS7 without certificates",
        ),
        pytest.param(
            bytes.fromhex(
                "302506092a864886f70d010702a01830160201013100"
                "300b06092a864886f70d010701a0003100"
            ),
            "no_certificates",
            id="PKCS7 with an empty set of certificates",
        ),
        pytest.param(
            _pkcs7_of(_INNER), "no_certificates", id="PKCS7 that ends after its content"
        ),
        pytest.param(
            _pkcs7_of(_INNER, b"\xa0\x05\x30\x09abc"),
            "unreadable",
            id="PKCS7 with a certificate longer than their set",
        ),
        pytest.param(
            _pkcs7_of(b"\x02\x01\x05"), "unreadable", id="PKCS7 without inner content"
        ),
        pytest.param(
            _p7b(Encoding.DER, ROOT) + b"\0", "trailing_data", id="after PKCS7"
        ),
        pytest.param(_der(ROOT) + _der(OTHER), "trailing_data", id="two DER in a row"),
        pytest.param(
            _armoured("PRIVATE KEY", b"secret"), "not_a_certificate", id="private key"
        ),
        pytest.param(
            _armoured("X509 CRL", b"anything"), "no_certificates", id="only a CRL"
        ),
    ],
)
def test_bad_file(data: bytes, rule: str) -> None:
    """What is no certificate is named by a stable word and never raises."""
    found = read_bundle_file(data)
    assert rule in [problem.rule for problem in found.problems]


def test_private_key_is_not_quoted() -> None:
    """The body of a private key never reaches a message."""
    found = read_bundle_file(_armoured("PRIVATE KEY", b"secret secret secret"))
    body = base64.b64encode(b"secret secret secret").decode()
    assert all(body not in problem.detail for problem in found.problems)


def test_broken_certificate_keeps_its_place() -> None:
    """A PEM block that is not base64 still counts, so that numbers in messages fit."""
    broken = b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"
    found = read_bundle_file(_pem(ROOT) + broken + _pem(OTHER))
    assert found.certificates == (_der(ROOT), b"", _der(OTHER))


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data: bytes) -> None:
    """Any bytes give certificates or problems, and an empty file gives neither."""
    found = read_bundle_file(data)
    assert bool(found.certificates or found.problems) == bool(data)


@given(st.binary(max_size=200))
def test_random_bytes_behind_a_pkcs7_head_never_raise(tail: bytes) -> None:
    """Damage inside the frame of a PKCS7 file is a problem, not an exception."""
    body = bytes.fromhex("06092a864886f70d010702") + tail
    found = read_bundle_file(b"\x30" + bytes([min(len(body), 127)]) + body)
    assert found.certificates or found.problems
