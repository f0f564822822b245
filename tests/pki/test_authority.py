from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fleetsim.exceptions import InputError
from fleetsim.pki.authority import (
    Authority,
    create_intermediate,
    create_root,
    cross_sign,
    renew,
)
from fleetsim.pki.certificates import Validity, seeded_serials
from fleetsim.pki.keys import KeyType, is_pair
from fleetsim.pki.leaves import issue_server
from tests.pki.conftest import NOW, Hierarchy

P256 = KeyType.P256


def verifies(
    anchor: x509.Certificate,
    leaf: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
) -> bool:
    """Judge a server chain with the cryptography library's RFC 5280 verifier."""
    verifier = (
        PolicyBuilder()
        .store(Store([anchor]))
        .time(NOW)
        .build_server_verifier(x509.DNSName("localhost"))
    )
    try:
        verifier.verify(leaf, list(chain))
    except VerificationError:
        return False
    return True


def extension(
    certificate: x509.Certificate, kind: type[x509.ExtensionType]
) -> x509.Extension[x509.ExtensionType]:
    """Find an extension by its class."""
    return certificate.extensions.get_extension_for_class(kind)


def test_a_root_signs_itself(hierarchy: Hierarchy) -> None:
    """A root's signature verifies with its own key; nothing stands above it."""
    root = hierarchy.root
    root.certificate.verify_directly_issued_by(root.certificate)
    assert root.is_root
    assert root.presented == ()
    assert isinstance(root.certificate.signature_hash_algorithm, hashes.SHA256)


@pytest.mark.parametrize("path_length", [None, 0, 3])
def test_path_length_is_written(path_length: int | None) -> None:
    """Basic constraints are critical, CA:TRUE, with the path length asked for."""
    validity = Validity.lasting(NOW, 60)
    root = create_root(validity=validity, key_type=P256, path_length=path_length)
    found = extension(root.certificate, x509.BasicConstraints)
    assert found.critical
    assert found.value == x509.BasicConstraints(ca=True, path_length=path_length)


def test_negative_path_length_is_refused() -> None:
    """A path length cannot be negative."""
    with pytest.raises(InputError, match="path length"):
        create_root(validity=Validity.lasting(NOW, 60), key_type=P256, path_length=-1)


def test_a_ca_signs_certificates_and_lists_only(hierarchy: Hierarchy) -> None:
    """A CA's key usage is keyCertSign and cRLSign, critical."""
    found = extension(hierarchy.servers.certificate, x509.KeyUsage)
    assert isinstance(found.value, x509.KeyUsage)
    assert found.critical
    assert found.value.key_cert_sign
    assert found.value.crl_sign
    assert not found.value.digital_signature


def test_an_intermediate_points_to_its_issuer(hierarchy: Hierarchy) -> None:
    """The authority key identifier is the issuer's subject key identifier."""
    own = extension(hierarchy.root.certificate, x509.SubjectKeyIdentifier).value
    pointer = extension(
        hierarchy.servers.certificate, x509.AuthorityKeyIdentifier
    ).value
    assert isinstance(own, x509.SubjectKeyIdentifier)
    assert isinstance(pointer, x509.AuthorityKeyIdentifier)
    assert pointer.key_identifier == own.digest
    assert hierarchy.servers.presented == (hierarchy.servers.certificate,)


def test_the_chain_of_a_deep_hierarchy_leaves_the_root_out(
    hierarchy: Hierarchy,
) -> None:
    """Under two intermediates a leaf presents both, its issuer first, no root."""
    upper = create_intermediate(
        hierarchy.root, validity=hierarchy.validity, key_type=P256, path_length=1
    )
    lower = create_intermediate(
        upper, validity=hierarchy.validity, common_name="lower", key_type=P256
    )
    assert lower.presented == (lower.certificate, upper.certificate)
    leaf = issue_server(
        lower, validity=hierarchy.validity, names=("localhost",), key_type=P256
    )
    assert verifies(hierarchy.root.certificate, leaf.certificate, leaf.chain)
    assert not verifies(hierarchy.root.certificate, leaf.certificate, leaf.chain[:1])


def test_renewing_a_root_keeps_its_children_valid() -> None:
    """A root renewed with the same key verifies what the old one signed."""
    old = create_root(validity=Validity.lasting(NOW, 60), key_type=P256)
    child = create_intermediate(
        old, validity=Validity.lasting(NOW, 3600), key_type=P256
    )
    leaf = issue_server(
        child, validity=Validity.lasting(NOW, 3600), names=("localhost",), key_type=P256
    )
    new = renew(old, validity=Validity.lasting(NOW, 3600))
    assert new.key is old.key
    assert new.is_root
    assert new.certificate.subject == old.certificate.subject
    assert new.certificate.serial_number != old.certificate.serial_number
    assert new.certificate.not_valid_after_utc == NOW + timedelta(hours=1)
    assert [each.oid for each in new.certificate.extensions] == [
        each.oid for each in old.certificate.extensions
    ]
    assert verifies(new.certificate, leaf.certificate, leaf.chain)


def test_renewing_an_intermediate(hierarchy: Hierarchy) -> None:
    """A renewed intermediate can take the old one's place in a leaf's chain."""
    leaf = issue_server(
        hierarchy.servers,
        validity=hierarchy.validity,
        names=("localhost",),
        key_type=P256,
    )
    new = renew(hierarchy.servers, hierarchy.root, validity=Validity.lasting(NOW, 3600))
    assert new.certificate != hierarchy.servers.certificate
    assert verifies(hierarchy.root.certificate, leaf.certificate, new.presented)


def test_cross_signing_leads_to_another_root(hierarchy: Hierarchy) -> None:
    """A leaf of a new root verifies under an old one through the cross certificate."""
    new = create_root(
        validity=hierarchy.validity, common_name="new root", key_type=P256
    )
    cross = cross_sign(hierarchy.root, new, validity=hierarchy.validity)
    assert not cross.is_root
    assert is_pair(cross.certificate, new.key)
    assert cross.certificate.issuer == hierarchy.root.certificate.subject
    leaf = issue_server(
        cross, validity=hierarchy.validity, names=("localhost",), key_type=P256
    )
    assert leaf.chain == (cross.certificate,)
    assert verifies(hierarchy.root.certificate, leaf.certificate, leaf.chain)
    assert verifies(new.certificate, leaf.certificate, ())
    assert not verifies(hierarchy.root.certificate, leaf.certificate, ())


def test_a_cross_certificate_of_one_name_is_no_root() -> None:
    """Same subject and issuer, another key: it stands under the old root and is sent."""
    validity = Validity.lasting(NOW, 60)
    old, new = (
        create_root(validity=validity, common_name="Same", key_type=P256)
        for _ in range(2)
    )
    cross = cross_sign(old, new, validity=validity)
    below = create_intermediate(cross, validity=validity, key_type=P256)
    assert new.is_root
    assert not cross.is_root
    assert below.presented == (below.certificate, cross.certificate)
    leaf = issue_server(below, validity=validity, names=["localhost"])
    assert verifies(old.certificate, leaf.certificate, leaf.chain)
    assert verifies(new.certificate, leaf.certificate, leaf.chain)


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [
        pytest.param(-1, "is not valid before", id="early"),
        pytest.param(60, "expired at", id="late"),
    ],
)
def test_an_authority_outside_its_validity_is_refused(
    offset_s: float, words: str
) -> None:
    """Issuing outside a CA's own validity needs a decision, so it is reported."""
    root = create_root(validity=Validity.lasting(NOW, 60), key_type=P256)
    root.require_valid(NOW)
    root.require_valid(NOW + timedelta(seconds=59))
    with pytest.raises(InputError, match=words):
        root.require_valid(NOW + timedelta(seconds=offset_s))


def test_seeded_serials_are_used() -> None:
    """The serial source decides the serial number."""
    root = create_root(
        validity=Validity.lasting(NOW, 60), key_type=P256, serials=seeded_serials(3)
    )
    assert root.certificate.serial_number == seeded_serials(3)()


def test_keys_never_show(hierarchy: Hierarchy) -> None:
    """An authority's repr holds no word about its key."""
    assert "key" not in repr(hierarchy.root).lower()
    changed: Authority = replace(hierarchy.root, chain=())
    assert changed == hierarchy.root


def test_a_ca_needs_a_name() -> None:
    """A CA with an empty subject is refused (RFC 5280 4.1.2.4)."""
    with pytest.raises(InputError, match="must not be empty"):
        create_root(validity=Validity.lasting(NOW, 60), common_name="")
