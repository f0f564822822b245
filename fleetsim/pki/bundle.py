"""Bundle: the ``certs_server.p7b`` files that devices load, in every accepted form.

The device documentation asks for a PKCS#7 collection of certificates as made by
``openssl crl2pkcs7 -nocrl``, or one renamed PEM or DER certificate; an empty file clears
the store. Nothing here judges a bundle: too many certificates, equal issuers or weak
keys are what the fleet is tested with.

PKCS#7 holds a SET, which DER sorts: the order of the certificates is not kept.
"""

from collections.abc import Sequence
from enum import StrEnum, unique
from typing import assert_never

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.certificates import certificates_pem


@unique
class BundleForm(StrEnum):
    """How the certificates of a bundle are written down."""

    PKCS7_PEM = "pkcs7-pem"
    PKCS7_DER = "pkcs7-der"
    PEM = "pem"  # one or more PEM certificates, one after the other
    DER = "der"  # exactly one certificate


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
            return pkcs7.serialize_certificates(list(certificates), Encoding.PEM)
        case BundleForm.PKCS7_DER:
            return pkcs7.serialize_certificates(list(certificates), Encoding.DER)
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
