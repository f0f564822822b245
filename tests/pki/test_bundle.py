import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.pki.bundle import BundleForm, encode_bundle
from tests.pki.conftest import Hierarchy


def read_back(data: bytes, form: BundleForm) -> list[x509.Certificate]:
    """Read a bundle with the cryptography library's own readers."""
    with warnings.catch_warnings():
        # It says that a SET in the order of crl2pkcs7 is BER and not DER.
        warnings.simplefilter("ignore", UserWarning)
        return _read(data, form)


def _read(data: bytes, form: BundleForm) -> list[x509.Certificate]:
    match form:
        case BundleForm.PKCS7_PEM:
            return pkcs7.load_pem_pkcs7_certificates(data)
        case BundleForm.PKCS7_DER:
            return pkcs7.load_der_pkcs7_certificates(data)
        case BundleForm.PEM:
            return x509.load_pem_x509_certificates(data)
        case BundleForm.DER:
            return [x509.load_der_x509_certificate(data)]


@pytest.mark.parametrize("form", BundleForm)
def test_one_certificate_in_every_form(hierarchy: Hierarchy, form: BundleForm) -> None:
    """Every form holds the certificate it was given."""
    data = encode_bundle([hierarchy.root.certificate], form)
    assert read_back(data, form) == [hierarchy.root.certificate]


@pytest.mark.parametrize("form", BundleForm)
def test_no_certificate_is_the_empty_file(form: BundleForm) -> None:
    """An empty file clears a device's store, so nothing is written as nothing."""
    assert encode_bundle([], form) == b""


def test_pem_label_is_pkcs7(hierarchy: Hierarchy) -> None:
    """The PEM label is the one that ``openssl crl2pkcs7`` writes."""
    data = encode_bundle([hierarchy.root.certificate])
    assert data.startswith(b"-----BEGIN PKCS7-----\n")
    assert data.endswith(b"-----END PKCS7-----\n")


def test_der_holds_one_certificate(hierarchy: Hierarchy) -> None:
    """A renamed DER file cannot hold two certificates."""
    two = [hierarchy.root.certificate, hierarchy.servers.certificate]
    with pytest.raises(InputError, match="holds one certificate, not 2"):
        encode_bundle(two, BundleForm.DER)


@settings(max_examples=25)
@given(data=st.data())
def test_pkcs7_keeps_the_order(hierarchy: Hierarchy, data: st.DataObject) -> None:
    """PKCS#7 keeps the certificates and their order; over ten and repeated ones too."""
    all_three = [
        hierarchy.root.certificate,
        hierarchy.servers.certificate,
        hierarchy.devices.certificate,
    ]
    chosen = data.draw(st.lists(st.sampled_from(all_three), min_size=1, max_size=12))
    form = data.draw(st.sampled_from([BundleForm.PKCS7_PEM, BundleForm.PKCS7_DER]))
    assert read_back(encode_bundle(chosen, form), form) == chosen
