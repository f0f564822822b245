"""What in bundles and chains asks for trouble is named, and nothing else is."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetsim.core.settings import BundleRules, CipherGroup, TlsRules
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle, load_bundle
from fleetsim.forecast.lint import Level, lint_bundle, lint_chain
from fleetsim.pki.bundle import encode_bundle
from fleetsim.transport.tls_context import ClientContexts
from tests.forecast.fleet import ISSUER, NEW_ROOT, NOW, ROOT, SERVER, side
from tests.transport.certificates import (
    EARLY,
    FUTURE,
    LATE,
    PAST,
    Issued,
    authority,
    leaf,
)

CONTEXTS = ClientContexts()
RULES = BundleRules()
MIDDLE = authority("Middle", parent=ISSUER, number=30)
DEEP = leaf(parent=MIDDLE)
OLD_CROSS = authority("Old Root", parent=NEW_ROOT, number=1, not_after=PAST)


def signed_with(algorithm: hashes.SHA224 | hashes.SHA384) -> Issued:
    """A leaf signed with another hash."""
    made = (
        x509.CertificateBuilder()
        .subject_name(SERVER.name)
        .issuer_name(ISSUER.name)
        .public_key(SERVER.key.public_key())
        .serial_number(1)
        .not_valid_before(EARLY)
        .not_valid_after(LATE)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("storage.test")]), critical=False
        )
        .sign(ISSUER.key, algorithm)
    )
    return Issued(made, SERVER.key, SERVER.above)


@pytest.mark.parametrize(
    ("chain", "changes", "expected"),
    [
        (SERVER.chain, {}, set()),
        (DEEP.chain, {}, set()),
        (SERVER.chain, {"anchors": (ISSUER,)}, set()),
        (SERVER.chain[:1], {"anchors": (ISSUER,)}, set()),
        (SERVER.chain[:1], {}, {("error", "missing_issuer")}),
        (SERVER.chain[:1], {"anchors": ()}, set()),
        (
            (DEEP.chain[0], DEEP.chain[2], DEEP.chain[1]),
            {},
            {("warning", "order")},
        ),
        ((*SERVER.chain, ROOT.certificate), {}, {("note", "root_sent")}),
        (
            (*SERVER.chain, OLD_CROSS.certificate),
            {},
            {("warning", "out_of_date_in_chain")},
        ),
        (
            (*SERVER.chain, MIDDLE.certificate),
            {},
            {("note", "beside_the_path")},
        ),
        (leaf(parent=ISSUER, not_after=PAST).chain, {}, {("error", "out_of_date")}),
        (leaf(parent=ISSUER, not_before=FUTURE).chain, {}, {("error", "out_of_date")}),
        (SERVER.chain, {"host": "other.test"}, {("error", "host_name")}),
        (SERVER.chain, {"host": "10.9.8.7"}, {("error", "host_name")}),
        (
            SERVER.chain,
            {"host": "other.test", "rules": TlsRules(check_host=False)},
            set(),
        ),
        (
            leaf("storage.test", parent=ISSUER, dns=(), addresses=()).chain,
            {},
            {("warning", "common_name_only")},
        ),
        (
            leaf(parent=ISSUER, kind="rsa-3072").chain,
            {},
            {("warning", "rsa_bits")},
        ),
        (
            leaf(parent=ISSUER, kind="rsa-3072").chain,
            {"bundle": BundleRules(rsa_bits=())},
            set(),
        ),
        (
            leaf(parent=ISSUER, kind="p256").chain,
            {},
            {("warning", "ec_key"), ("error", "key_type")},
        ),
        (
            leaf(parent=ISSUER, kind="p256").chain,
            {
                "bundle": BundleRules(ec_curves=("secp256r1",)),
                "groups": (CipherGroup("g", ("ECDHE-ECDSA-AES128-GCM-SHA256",)),),
            },
            set(),
        ),
        (signed_with(hashes.SHA384()).chain, {}, {("warning", "signature_hash")}),
        (signed_with(hashes.SHA224()).chain, {}, {("warning", "signature_hash")}),
        (
            leaf(parent=ISSUER, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,)).chain,
            {},
            {("error", "extended_key_usage")},
        ),
        (leaf(parent=ISSUER, usages=()).chain, {}, set()),
        (
            leaf(parent=ISSUER, key_encipherment=False).chain,
            {},
            {("error", "key_encipherment"), ("warning", "key_encipherment")},
        ),
        (
            leaf(parent=ISSUER, key_encipherment=False).chain,
            {"rules": TlsRules(check_key_usage=False)},
            {("warning", "key_encipherment")},
        ),
        (
            leaf(parent=ISSUER, key_encipherment=False).chain,
            {"groups": (CipherGroup("g", ("ECDHE-RSA-AES128-SHA",)),)},
            set(),
        ),
    ],
    ids=[
        "good",
        "two intermediates",
        "pinned intermediate",
        "leaf only, issuer trusted",
        "leaf only",
        "leaf only, nothing to compare",
        "wrong order",
        "root sent",
        "expired cross-sign",
        "another intermediate sent",
        "expired",
        "not valid yet",
        "another name",
        "another address",
        "name unchecked",
        "common name only",
        "RSA 3072",
        "RSA 3072, any size",
        "EC",
        "EC, fits",
        "SHA-384",
        "SHA-224",
        "clients only",
        "no extended key usage",
        "no keyEncipherment",
        "no keyEncipherment, unchecked",
        "no keyEncipherment, ECDHE",
    ],
)
def test_each_fault_has_its_rule(
    chain: tuple[x509.Certificate, ...],
    changes: dict[str, Any],
    expected: set[tuple[str, str]],
) -> None:
    """One fault, one finding; a good chain has none."""
    anchors = changes.get("anchors", (ROOT,))
    bundle = TrustBundle.of(one.certificate for one in anchors)
    of_device = {k: v for k, v in changes.items() if k not in {"anchors", "bundle"}}
    findings = lint_chain(
        CONTEXTS, side(**of_device), changes.get("bundle", RULES), chain, (bundle,)
    )
    assert {(each.level.value, each.rule) for each in findings} == expected


def test_a_bundle_is_judged_by_the_rules_of_the_device() -> None:
    """Every refusal is an error; a certificate out of date counts for nothing."""
    old = authority("Past Root", number=31, not_after=PAST)
    big = authority("Big Root", kind="rsa-3072", number=32)
    data = encode_bundle([old.certificate, big.certificate])
    outcome = load_bundle(data, RULES, EMPTY_BUNDLE)
    findings = lint_bundle(outcome, NOW)
    assert {(each.level.value, each.rule) for each in findings} == {
        ("error", "rsa_bits"),
        ("error", "empty"),
    }
    outcome = load_bundle(encode_bundle([old.certificate]), RULES, EMPTY_BUNDLE)
    (finding,) = lint_bundle(outcome, NOW)
    assert (finding.level, finding.rule) == (Level.WARNING, "out_of_date")
    assert str(finding).startswith("warning: CN=Past Root: out_of_date: ")


def test_an_empty_bundle_is_an_error() -> None:
    """It is legal, and cuts the device off."""
    (finding,) = lint_bundle(load_bundle(b"", RULES, EMPTY_BUNDLE), NOW)
    assert (finding.level, finding.rule) == (Level.ERROR, "empty")
    assert "over the air" in finding.detail


def test_a_good_bundle_has_no_finding() -> None:
    """Nothing is said where nothing is wrong."""
    data = encode_bundle([ROOT.certificate, NEW_ROOT.certificate])
    assert lint_bundle(load_bundle(data, RULES, EMPTY_BUNDLE), NOW) == ()
