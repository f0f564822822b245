"""What actions name exists, and what they are told goes together."""

from typing import Any

import pytest

from fleetsim.scenario.overriding import dotted
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.timeline_checks import check_timeline

FRONTS = [
    {"name": "main"},
    {"name": "plain", "security": "low"},
    {"name": "mutual", "security": "high", "host": "127.0.0.1"},
]
COHORTS = [
    {"name": "a", "count": 10},
    {"name": "h", "count": 10, "front": "mutual"},
]


def found(
    *actions: dict[str, Any],
    fronts: list[dict[str, Any]] | None = None,
    cohorts: list[dict[str, Any]] | None = None,
) -> dict[str, str]:
    """Findings by place; the entries come one after the other."""
    timeline = [
        {"at": index, **entry} if not {"at", "after", "when"} & set(entry) else entry
        for index, entry in enumerate(actions)
    ]
    scenario = Scenario.model_validate(
        {
            "name": "x",
            "lab": {"fronts": fronts or FRONTS},
            "cohorts": cohorts or COHORTS,
            "timeline": timeline,
        }
    )
    return {
        dotted(each.at).removeprefix("timeline"): each.what
        for each in check_timeline(scenario, allow_commands=True)
    }


CA = {"name": "ca", "issue_ca": {}}
CROSS = {"name": "cross", "cross_sign": {"ca": "ca", "by": "root"}}
LEAF = {"name": "leaf", "issue_server_certificate": {"ca": "ca"}}


def swap(**more: Any) -> dict[str, Any]:
    """Swap to the new certificate."""
    return {"swap_server_certificate": {"certificate": "leaf", **more}}


def push(**content: Any) -> dict[str, Any]:
    """Push a bundle."""
    return {"push_bundle": content}


GOOD: list[tuple[str, list[dict[str, Any]]]] = [
    ("rotation", [CA, CROSS, LEAF, swap(also_send=["cross"])]),
    (
        "back to the first certificate",
        [{"swap_server_certificate": {"certificate": "main"}}],
    ),
    ("under a new root", [CA, {"name": "sub", "issue_ca": {"under": "ca"}}]),
    (
        "leaf of a cross-signed CA",
        [CA, CROSS, {**LEAF, "issue_server_certificate": {"ca": "cross"}}],
    ),
    ("bundle of all kinds", [CA, CROSS, push(certificates=["ca", "cross", "main"])]),
    ("bundle from a file", [push(file="x.p7b")]),
    ("broken file", [push(file="x.p7b", fault="truncated")]),
    ("empty bundle", [push(fault="empty")]),
    ("garbage", [push(fault="garbage")]),
    ("garbage as long as a bundle", [push(fault="garbage", certificates=["root"])]),
    ("revoke", [{"revoke_devices": {"to": {"cohorts": ["h"]}}}, {"unrevoke": {}}]),
    ("expire", [{"expire_crl": {}}]),
    ("rotate all", [{"rotate_device_certificates": {}}]),
    (
        "security upgrade",
        [
            {"rotate_device_certificates": {"to": {"cohorts": ["a"]}}},
            {"push_config": {"front": "mutual", "to": {"cohorts": ["a"]}}},
        ],
    ),
    ("config", [{"push_config": {"ota": 0, "heartbeat": "5s"}}]),
    ("ciphers", [{"swap_ciphers": {"front": "main", "ciphers": "ALL"}}]),
    ("name gone", [{"dns_change": {"front": "main"}}]),
    (
        "name back",
        [
            {"dns_change": {"front": "main"}},
            {"dns_change": {"front": "main", "to_front": "main"}},
        ],
    ),
    ("throttle", [{"fault": {"kind": "throttle", "duration": 1, "bytes_per_s": 9}}]),
    ("delay", [{"fault": {"kind": "delay", "duration": 1, "delay": 1}}]),
    (
        "shaky",
        [{"fault": {"kind": "delay", "duration": 1, "delay": 1, "jitter": 0.5}}],
    ),
    ("late", [{"fault": {"kind": "slow_first_byte", "duration": 1, "delay": 1}}]),
    ("hole", [{"fault": {"kind": "blackhole", "duration": 1}}]),
    ("keys", [{"rotate_credentials": {}}]),
]


@pytest.mark.parametrize("row", GOOD, ids=lambda row: str(row[0]))
def test_what_fits_is_let_be(row: tuple[str, list[dict[str, Any]]]) -> None:
    """No finding."""
    assert found(*row[1]) == {}


BAD: list[tuple[list[dict[str, Any]], str, str]] = [
    ([{"issue_ca": {}}], "[0].issue_ca", "needs a name"),
    (
        [{"issue_server_certificate": {}}],
        "[0].issue_server_certificate",
        "needs a name",
    ),
    (
        [CA, LEAF, swap(certificate="laef")],
        "[2].swap_server_certificate.certificate",
        "did you mean 'leaf'?",
    ),
    (
        [CA, swap(certificate="ca")],
        "[1].swap_server_certificate.certificate",
        "ca is a certificate authority, not a server certificate",
    ),
    (
        [CA, LEAF, swap(also_send=["main"])],
        "[2].swap_server_certificate.also_send[0]",
        "not a certificate authority or",
    ),
    ([LEAF, {**CA, "at": 5}], "[0].issue_server_certificate.ca", "come after ca"),
    (
        [{**CA, "when": "stranded > 0"}, LEAF],
        "[1].issue_server_certificate.ca",
        "come after ca",
    ),
    (
        [{"name": "ca", "issue_ca": {"under": "ca"}}],
        "[0].issue_ca.under",
        "may not be there yet",
    ),
    (
        [{"name": "x", "cross_sign": {"ca": "root", "by": "root"}}],
        "[0].cross_sign.by",
        "itself",
    ),
    (
        [CA, CROSS, {"name": "y", "cross_sign": {"ca": "cross", "by": "root"}}],
        "[2].cross_sign.ca",
        "not a certificate authority",
    ),
    (
        [{"rotate_device_certificates": {"ca": "main"}}],
        "[0].rotate_device_certificates.ca",
        "not a certificate authority",
    ),
    ([push()], "[0].push_bundle", "say what is in the bundle"),
    ([push(fault="truncated")], "[0].push_bundle", "or file: PATH"),
    ([push(certificates=["root"], file="x")], "[0].push_bundle.file", "not both"),
    (
        [push(certificates=["root"], fault="empty")],
        "[0].push_bundle.fault",
        "empty bundle",
    ),
    (
        [push(certificates=["root", "root"])],
        "[0].push_bundle.certificates[1]",
        "given twice",
    ),
    (
        [push(certificates=["root"], pause_when="failing > 3")],
        "[0].push_bundle.pause_when",
        "without waves",
    ),
    ([{"push_config": {}}], "[0].push_config", "changes nothing"),
    ([{"push_config": {"ota": "1ms"}}], "[0].push_config.ota", "at least 10ms"),
    (
        [{"push_config": {"front": "mian"}}],
        "[0].push_config.front",
        "did you mean 'main'?",
    ),
    (
        [{"lose_rtc": {"to": {"cohorts": ["b"]}}}],
        "[0].lose_rtc.to.cohorts[0]",
        "no cohort is named 'b'",
    ),
    (
        [{"lose_rtc": {"to": {"cohorts": ["a", "a"]}}}],
        "[0].lose_rtc.to.cohorts[1]",
        "given twice",
    ),
    (
        [{"revoke_devices": {"to": {"cohorts": ["h", "a"]}}}],
        "[0].revoke_devices.to.cohorts[1]",
        "no device of a has",
    ),
    (
        [{"swap_ciphers": {"front": "plain", "ciphers": "ALL"}}],
        "[0].swap_ciphers.front",
        "plain HTTP",
    ),
    (
        [{"slow_server": {"front": "x", "delay": 1, "duration": 1}}],
        "[0].slow_server.front",
        "has no front 'x'",
    ),
    (
        [{"dns_change": {"front": "mutual"}}],
        "[0].dns_change.front",
        "by its address 127.0.0.1",
    ),
    (
        [{"dns_change": {"front": "main", "to_front": "main"}}],
        "[0].dns_change.to_front",
        "already",
    ),
    (
        [{"dns_change": {"front": "main", "to_front": "x"}}],
        "[0].dns_change.to_front",
        "no front 'x'",
    ),
    ([{"fault": {"kind": "delay", "duration": 1}}], "[0].fault.delay", "needs delay"),
    (
        [{"fault": {"kind": "throttle", "duration": 1}}],
        "[0].fault.bytes_per_s",
        "needs bytes_per_s",
    ),
    (
        [{"fault": {"kind": "slow_first_byte", "duration": 1}}],
        "[0].fault.delay",
        "slow_first_byte needs delay",
    ),
    (
        [{"fault": {"kind": "reset", "duration": 1, "jitter": 1}}],
        "[0].fault.jitter",
        "no use",
    ),
    (
        [{"fault": {"kind": "blackhole", "duration": 1, "after_bytes": 1}}],
        "[0].fault.after_bytes",
        "no use",
    ),
]


@pytest.mark.parametrize("row", BAD, ids=lambda row: f"{row[1]} {row[2]}")
def test_what_does_not_fit_is_found(
    row: tuple[list[dict[str, Any]], str, str],
) -> None:
    """At its place, with the words that help, and nothing else."""
    entries, place, words = row
    findings = found(*entries)
    assert words in findings.pop(place)
    assert findings == {}


def test_a_fleet_without_certificates_has_nothing_to_revoke() -> None:
    """Neither devices nor fronts know certificates."""
    findings = found(
        {"unrevoke": {}},
        {"expire_crl": {}},
        fronts=[{"name": "main"}],
        cohorts=[{"name": "a", "count": 1}],
    )
    assert "no device has revocable certificates" in findings["[0].unrevoke"]
    assert "no front asks" in findings["[1].expire_crl"]


def test_a_lab_of_plain_http_has_no_certificate_to_swap() -> None:
    """All fronts are meant when none is named."""
    findings = found(
        {"swap_tls_versions": {"versions": ["TLSv1.2"]}},
        fronts=[{"name": "plain", "security": "low"}],
        cohorts=[{"name": "a", "count": 1}],
    )
    assert "no front of the lab speaks TLS" in findings["[0].swap_tls_versions"]


def test_keys_that_are_not_the_labs_cannot_be_rotated() -> None:
    """They are the operator's own."""
    cohort = {"name": "a", "count": 1, "credentials": "env"}
    findings = found({"rotate_credentials": {}}, cohorts=[cohort])
    assert "does not use the keys of the lab" in findings["[0].rotate_credentials.to"]


def test_fronts_belong_to_the_lab() -> None:
    """With a real endpoint there is none to name."""
    scenario = Scenario.model_validate(
        {
            "name": "x",
            "target": {"endpoint": "https://s3.example.org", "bucket": "b12"},
            "cohorts": [{"name": "a", "count": 1}],
            "timeline": [{"at": 1, "push_config": {"front": "main"}}],
        }
    )
    findings = list(check_timeline(scenario, allow_commands=True))
    assert ["belong to a lab" in each.what for each in findings] == [True]
