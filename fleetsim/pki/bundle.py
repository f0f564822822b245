"""Bundle: the ``certs_server.p7b`` files that devices load, in every accepted form.

The device documentation asks for a PKCS#7 collection of certificates as made by
``openssl crl2pkcs7 -nocrl``, or one renamed PEM or DER certificate; an empty file clears
the store. Nothing here judges a bundle: too many certificates, equal issuers or weak
keys are what the fleet is tested with.

PKCS#7 holds a SET, which strict DER would sort. ``openssl crl2pkcs7`` keeps the order in
which it was given the certificates, and so does this: where a device reads ten of eleven,
it matters which comes last.
"""

import base64
from collections.abc import Sequence
from enum import StrEnum, unique
from typing import Final, assert_never

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.certificates import certificates_pem


@unique
class BundleForm(StrEnum):
    """How the certificates of a bundle are written down."""

    PKCS7_PEM = "pkcs7-pem"
    PKCS7_DER = "pkcs7-der"
    PEM = "pem"  # one or more PEM certificates, one after the other
    DER = "der"  # exactly one certificate


_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_CONTEXT_0: Final = 0xA0
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")  # 1.2.840.113549.1.7.2
_DATA: Final = bytes.fromhex("06092a864886f70d010701")  # 1.2.840.113549.1.7.1
_VERSION_1: Final = bytes.fromhex("020101")


def encode_bundle(
    certificates: Sequence[x509.Certificate],
    form: BundleForm = BundleForm.PKCS7_PEM,
) -> bytes:
    """Encode a bundle; no certificates at all make the empty file, whatever the form.

    Raises:
        InputError: When ``der`` is asked for more than one certificate.
    """
    if not certificates:
        return b""
    match form:
        case BundleForm.PKCS7_PEM:
            return _pem(_pkcs7(certificates))
        case BundleForm.PKCS7_DER:
            return _pkcs7(certificates)
        case BundleForm.PEM:
            return certificates_pem(certificates)
        case BundleForm.DER:
            if len(certificates) > 1:
                raise InputError(
                    Problem(
                        "bundle form der",
                        f"holds one certificate, not {len(certificates)}; "
                        "use pkcs7-der",
                    )
                )
            return certificates[0].public_bytes(Encoding.DER)
        case _:
            assert_never(form)


def _pkcs7(certificates: Sequence[x509.Certificate]) -> bytes:
    """SignedData without a signer (RFC 2315 9.1): nothing but certificates."""
    content = b"".join(each.public_bytes(Encoding.DER) for each in certificates)
    signed_data = _der(
        _SEQUENCE,
        _VERSION_1
        + _der(_SET, b"")  # digest algorithms
        + _der(_SEQUENCE, _DATA)
        + _der(_CONTEXT_0, content)
        + _der(_SET, b""),  # signers
    )
    return _der(_SEQUENCE, _SIGNED_DATA + _der(_CONTEXT_0, signed_data))


def _der(tag: int, content: bytes) -> bytes:
    """Tag, length in its shortest form (X.690 10.1), content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _pem(der: bytes) -> bytes:
    """PEM text (RFC 7468) with lines of 64 characters."""
    text = base64.b64encode(der)
    lines = (text[start : start + 64] for start in range(0, len(text), 64))
    return b"\n".join((b"-----BEGIN PKCS7-----", *lines, b"-----END PKCS7-----", b""))
