import hashlib
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.core.bundle_file import BundleForm
from fleetsim.core.settings import BundleRules, DistinctBy, OnBadBundle
from fleetsim.core.trust_bundle import (
    EMPTY_BUNDLE,
    TrustBundle,
    load_bundle,
)
from tests.core.certificates import make_certificate

CE2 = BundleRules()
CE3 = BundleRules(
    distinct_by=DistinctBy.SUBJECT, require_ca=True, rsa_bits=(1024, 2048), digest="md5"
)
ANY = BundleRules(distinct_by=DistinctBy.NOTHING, rsa_bits=(), ec_curves=("*",))

ROOT = make_certificate("Root")
OTHER = make_certificate("Other")
INTERMEDIATE = make_certificate("Intermediate", issuer="Root")
ROOT_AGAIN = make_certificate("Root", serial=2)
CROSS_SIGNED = make_certificate("Root", issuer="Other")
LEAF = make_certificate("Leaf", issuer="Third", is_ca=False)
BARE = make_certificate("Bare", is_ca=None)
OLD = TrustBundle.of([make_certificate("Old")])


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _p7b(*certificates: x509.Certificate) -> bytes:
    return pkcs7.serialize_certificates(list(certificates), Encoding.DER)


def _der(one: x509.Certificate) -> bytes:
    return one.public_bytes(Encoding.DER)


BROKEN = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
MANY = [make_certificate(f"Root {number}") for number in range(12)]


@pytest.mark.parametrize(
    ("data", "rules", "refused"),
    [
        pytest.param(_pem(ROOT, OTHER), CE2, [], id="two issuers"),
        pytest.param(
            _pem(ROOT, OTHER, INTERMEDIATE),
            CE2,
            [("certificate 3 (CN=Intermediate)", "distinct_issuer")],
            id="CE2: root and its intermediate have one issuer",
        ),
        pytest.param(_pem(ROOT, INTERMEDIATE), CE3, [], id="CE3: same issuer is fine"),
        pytest.param(
            _pem(ROOT, CROSS_SIGNED), CE2, [], id="CE2: same subject, other issuer"
        ),
        pytest.param(
            _pem(ROOT, CROSS_SIGNED),
            CE3,
            [("certificate 2 (CN=Root)", "distinct_subject")],
            id="CE3: same subject",
        ),
        pytest.param(
            _pem(ROOT, ROOT),
            CE2,
            [("certificate 2 (CN=Root)", "duplicate")],
            id="the same certificate twice",
        ),
        pytest.param(
            _pem(ROOT, ROOT_AGAIN),
            CE2,
            [("certificate 2 (CN=Root)", "distinct_issuer")],
            id="re-issued root",
        ),
        pytest.param(_pem(ROOT, ROOT, ROOT_AGAIN), ANY, [], id="generic takes all"),
        pytest.param(_pem(LEAF), CE2, [], id="CE2: self-signed server certificate"),
        pytest.param(
            _pem(LEAF, BARE),
            CE3,
            [
                ("certificate 1 (CN=Leaf)", "require_ca"),
                ("certificate 2 (CN=Bare)", "require_ca"),
            ],
            id="CE3: CA:FALSE and no basicConstraints",
        ),
        pytest.param(_pem(*MANY[:10]), CE2, [], id="ten"),
        pytest.param(
            _p7b(*MANY[:11]),
            CE2,
            [("certificate 11", "max_certificates")],
            id="eleven",
        ),
        pytest.param(
            _pem(*MANY),
            CE2,
            [
                ("certificate 11", "max_certificates"),
                ("certificate 12", "max_certificates"),
            ],
            id="twelve",
        ),
        pytest.param(
            BROKEN + _pem(*MANY[:10]),
            CE2,
            [
                ("certificate 1", "unreadable"),
                ("certificate 11", "max_certificates"),
            ],
            id="eleven of which one is broken",
        ),
        pytest.param(
            _pem(ROOT) + BROKEN * 11,
            replace(CE2, max_certificates=11),
            [(f"certificate {number}", "unreadable") for number in range(2, 13)]
            + [("certificate 12", "max_certificates")],
            id="a broken certificate can break the limit too",
        ),
        pytest.param(
            _pem(make_certificate("Big", key="rsa-3072")),
            CE2,
            [("certificate 1 (CN=Big)", "rsa_bits")],
            id="RSA 3072",
        ),
        pytest.param(
            _pem(make_certificate("Curve", key="p256")),
            CE2,
            [("certificate 1 (CN=Curve)", "key_type")],
            id="EC where only RSA is accepted",
        ),
        pytest.param(
            _pem(make_certificate("Curve", key="p256")),
            replace(CE2, ec_curves=("secp256r1",)),
            [],
            id="accepted curve",
        ),
        pytest.param(
            _pem(make_certificate("Curve", key="p384")),
            replace(CE2, ec_curves=("secp256r1",)),
            [("certificate 1 (CN=Curve)", "ec_curve")],
            id="another curve",
        ),
        pytest.param(
            _pem(make_certificate("Curve", key="p384")), ANY, [], id="any curve"
        ),
        pytest.param(
            _pem(make_certificate("Old", key="dsa")),
            ANY,
            [("certificate 1 (CN=Old)", "key_type")],
            id="DSA",
        ),
        pytest.param(
            _pem(make_certificate("New", key="ed25519")),
            ANY,
            [("certificate 1 (CN=New)", "key_type")],
            id="Ed25519",
        ),
        pytest.param(_pem(make_certificate("")), CE2, [], id="no subject"),
        pytest.param(
            _pem(LEAF, make_certificate("Big", issuer="Third", key="rsa-3072")),
            replace(CE3, distinct_by=DistinctBy.ISSUER),
            [
                ("certificate 1 (CN=Leaf)", "require_ca"),
                ("certificate 2 (CN=Big)", "distinct_issuer"),
                ("certificate 2 (CN=Big)", "rsa_bits"),
            ],
            id="all breaches of all certificates",
        ),
        pytest.param(b"x" * 70_000, CE2, [("file", "too_large")], id="oversized"),
        pytest.param(b"garbage", CE2, [("file", "unreadable")], id="garbage"),
        pytest.param(
            _p7b(ROOT)[:-9], CE2, [("file", "unreadable")], id="PKCS7 cut off"
        ),
        pytest.param(
            _der(ROOT) + b"junk", CE2, [("file", "trailing_data")], id="trailing junk"
        ),
    ],
)
def test_rules(data: bytes, rules: BundleRules, refused: list[tuple[str, str]]) -> None:
    """Each breach names the certificate and the rule, and all of them are reported."""
    outcome = load_bundle(data, rules, OLD)
    found = [(one.certificate, one.rule) for one in outcome.refusals]
    assert len(found) == len(refused)
    for (place, rule), (expected_place, expected_rule) in zip(
        found, refused, strict=True
    ):
        assert place.startswith(expected_place)
        assert rule == expected_rule
    assert all(one.detail for one in outcome.refusals)
    if refused:
        assert outcome.bundle == OLD
        assert not outcome.changed


def test_first_of_two_equal_issuers_is_named() -> None:
    """A refusal for likeness says which earlier certificate it is like."""
    outcome = load_bundle(_pem(OTHER, ROOT, INTERMEDIATE), CE2, OLD)
    assert "certificate 2 (CN=Root)" in outcome.refusals[0].detail


def test_refusal_as_text() -> None:
    """A refusal reads as certificate, rule and detail."""
    (refusal,) = load_bundle(b"garbage", CE2, OLD).refusals
    assert str(refusal).startswith("file: unreadable: ")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OnBadBundle.KEEP_OLD, OLD),
        (OnBadBundle.CLEAR, EMPTY_BUNDLE),
        (OnBadBundle.LOAD_WHAT_FITS, TrustBundle.of([ROOT, OTHER])),
    ],
)
def test_bad_bundle_policy(policy: OnBadBundle, expected: TrustBundle) -> None:
    """The profile decides whether a bad bundle keeps, clears or loads what fits."""
    rules = replace(CE2, on_bad=policy)
    outcome = load_bundle(_pem(ROOT, INTERMEDIATE, OTHER), rules, OLD)
    assert outcome.bundle == expected
    assert outcome.changed == (expected != OLD)
    assert [one.rule for one in outcome.refusals] == ["distinct_issuer"]


@pytest.mark.parametrize("policy", list(OnBadBundle))
def test_empty_file_clears(policy: OnBadBundle) -> None:
    """An empty file clears all certificates and breaks no rule."""
    outcome = load_bundle(b"", replace(CE2, on_bad=policy), OLD)
    assert outcome.bundle.is_empty
    assert outcome.changed
    assert outcome.form is BundleForm.EMPTY
    assert outcome.refusals == ()


def test_nothing_fits_keeps_old() -> None:
    """Only an empty file clears: a bundle of which nothing fits changes nothing."""
    rules = replace(CE2, on_bad=OnBadBundle.LOAD_WHAT_FITS)
    assert load_bundle(b"garbage", rules, OLD).bundle == OLD


def test_same_bundle_again_changes_nothing() -> None:
    """Loading what is already trusted is no change, whatever the form of the file."""
    first = load_bundle(_p7b(ROOT), CE2, EMPTY_BUNDLE)
    again = load_bundle(_pem(ROOT), CE2, first.bundle)
    assert first.changed
    assert not again.changed
    assert again.bundle == first.bundle
    assert hash(again.bundle) == hash(first.bundle)


def test_generic_duplicate_is_kept_once() -> None:
    """Where certificates need not be told apart, a duplicate is kept once."""
    outcome = load_bundle(_pem(ROOT, ROOT), ANY, OLD)
    assert outcome.bundle.certificates == (ROOT,)


@pytest.mark.parametrize(("rules", "algorithm"), [(CE2, "sha1"), (CE3, "md5")])
def test_digests(rules: BundleRules, algorithm: str) -> None:
    """Digests are upper-case hex over the DER, in the algorithm of the device."""
    outcome = load_bundle(_pem(ROOT, OTHER), rules, OLD)
    assert outcome.bundle.digests == tuple(
        hashlib.new(algorithm, _der(one)).hexdigest().upper() for one in (ROOT, OTHER)
    )


def test_fingerprint_depends_on_order_and_content() -> None:
    """Bundles are equal exactly when they hold the same certificates in order."""
    assert TrustBundle.of([ROOT, OTHER]) == TrustBundle.of([ROOT, OTHER])
    assert TrustBundle.of([ROOT, OTHER]) != TrustBundle.of([OTHER, ROOT])
    assert TrustBundle.of([ROOT]) != TrustBundle.of([ROOT_AGAIN])
    assert TrustBundle.of([ROOT]) != ROOT


def test_fleet_shares_one_bundle() -> None:
    """Devices that load the same bytes hold the same object, parsed once."""
    data = _p7b(ROOT, OTHER)
    bundles = {id(load_bundle(data, CE2, OLD).bundle) for _ in range(100)}
    assert len(bundles) == 1


def test_title_is_safe_to_print() -> None:
    """Control characters of a foreign name never reach a message."""
    nasty = make_certificate("a\x1b[31m\nb", key="p256")
    outcome = load_bundle(_pem(nasty), CE2, OLD)
    assert outcome.refusals[0].certificate == "certificate 1 (CN=a?[31m?b)"


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from([_p7b(ROOT, OTHER), _pem(ROOT, INTERMEDIATE), _der(LEAF)]),
    edits=st.lists(
        st.tuples(st.integers(0, 5000), st.binary(max_size=3)), min_size=1, max_size=4
    ),
    cut=st.integers(0, 5000),
    rules=st.sampled_from([CE2, CE3, ANY]),
)
def test_mutated_bundles_never_raise(
    data: bytes, edits: list[tuple[int, bytes]], cut: int, rules: BundleRules
) -> None:
    """Damaged bundles end in refusals or in a bundle within the rules, never raise."""
    damaged = bytearray(data)
    for place, patch in edits:
        start = place % len(damaged)
        damaged[start : start + len(patch)] = patch
    if cut < len(damaged):
        del damaged[cut:]
    outcome = load_bundle(bytes(damaged), rules, OLD)
    assert len(outcome.bundle.certificates) <= rules.max_certificates
    if outcome.refusals:
        assert outcome.bundle == OLD
    assert outcome.changed == (outcome.bundle != OLD)


@settings(deadline=None)
@given(
    chosen=st.lists(st.sampled_from([*MANY, ROOT_AGAIN, INTERMEDIATE, LEAF])),
    rules=st.sampled_from([CE2, CE3, ANY]),
)
def test_what_fits_is_a_good_bundle(
    chosen: list[x509.Certificate], rules: BundleRules
) -> None:
    """What load_what_fits keeps breaks no rule when it is loaded by itself."""
    lenient = replace(rules, on_bad=OnBadBundle.LOAD_WHAT_FITS)
    kept = load_bundle(_pem(*chosen), lenient, EMPTY_BUNDLE).bundle
    again = load_bundle(_pem(*kept.certificates), rules, OLD)
    assert again.refusals == ()
    assert again.bundle == kept
