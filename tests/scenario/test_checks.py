"""Rules between fields, and between a scenario and its profiles."""

from typing import Any

import pytest

from fleetsim.profiles import catalog
from fleetsim.scenario.checks import check
from fleetsim.scenario.overriding import dotted
from fleetsim.scenario.schema import Scenario

COHORT: dict[str, Any] = {"name": "a", "count": 1}
TARGET: dict[str, Any] = {"endpoint": "https://s3.example.org", "bucket": "fleet"}
LOW_FRONT = {"name": "low", "security": "low"}


def found(top: dict[str, Any], **cohort: Any) -> dict[str, str]:
    """Findings by place."""
    data = {"name": "x", "cohorts": [{**COHORT, **cohort}], **top}
    scenario = Scenario.model_validate(data)
    profiles = {
        name: catalog.load(name).profile
        for name in {c.profile for c in scenario.cohorts}
    }
    return {dotted(each.at): each.what for each in check(scenario, profiles)}


LAB: dict[str, Any] = {"lab": {}}
ON_TARGET: dict[str, Any] = {"target": {**TARGET, "ca_file": "ca.pem"}}
RULES: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("no target", {}, {}, "", "neither is given"),
    ("two targets", {**LAB, **ON_TARGET}, {}, "", "both are given"),
    ("warm-up", {**LAB, "warm_up": "30s"}, {}, "warm_up", "leaves nothing"),
    (
        "front names",
        {"lab": {"fronts": [{"name": "m"}, {"name": "m"}]}},
        {},
        "lab.fronts[1].name",
        "another front is named 'm'",
    ),
    (
        "store without bodies",
        {"lab": {"store": {"folder": "x", "keep_bodies": False}}},
        {},
        "lab.store.keep_bodies",
        "a folder keeps whole objects",
    ),
    (
        "reserved front",
        {"lab": {"fronts": [{"name": "fleetsim-x"}]}},
        {},
        "lab.fronts[0].name",
        "kept for the lab itself",
    ),
    (
        "same port",
        {"lab": {"fronts": [{"name": "m", "port": 9}, {"name": "n", "port": 9}]}},
        {},
        "lab.fronts[1].port",
        "taken by another front",
    ),
    (
        "tls without tls",
        {"lab": {"fronts": [{**LOW_FRONT, "tls": {}}]}},
        {},
        "lab.fronts[0].tls",
        "plain HTTP",
    ),
    (
        "unknown front",
        LAB,
        {"front": "man"},
        "cohorts[0].front",
        "did you mean 'main'?",
    ),
    (
        "front of target",
        ON_TARGET,
        {"front": "main"},
        "cohorts[0].front",
        "has a target",
    ),
    (
        "cipher table",
        LAB,
        {"cipher_table": "x"},
        "cohorts[0].cipher_table",
        "no cipher",
    ),
    ("scheme", LAB, {"security": "low"}, "cohorts[0].security", "speaks http but"),
    (
        "nothing can fail",
        {**LAB, "expect": "fail"},
        {},
        "expect",
        "without thresholds nothing can fail",
    ),
    (
        "damage in a scenario that is to pass",
        {**LAB, "thresholds": [{"expression": "stranded == 0", "expect": "fail"}]},
        {},
        "thresholds[0]",
        "write expect: fail for the scenario too",
    ),
    (
        "calendar of a real server",
        {**ON_TARGET, "calendar": {"start": "2027-01-01"}},
        {},
        "calendar",
        "keeps its own time",
    ),
    (
        "too short",
        {**LAB, "shorten_by": 1000},
        {"workload": {"period": "5s"}},
        "shorten_by",
        "would be",
    ),
    (
        "timeline",
        {**LAB, "timeline": [{"at": "1s"}]},
        {},
        "timeline[0]",
        "exactly one thing",
    ),
    (
        "scheme of front",
        {"lab": {"fronts": [LOW_FRONT]}},
        {"security": "high"},
        "cohorts[0].security",
        "speaks https but front low speaks http",
    ),
    (
        "scheme of endpoint",
        {"target": {**TARGET, "endpoint": "http://h"}},
        {"security": "medium", "trust": "empty"},
        "cohorts[0].security",
        "the endpoint is http",
    ),
    ("trust lab", ON_TARGET, {"trust": "lab"}, "cohorts[0].trust", "no lab to trust"),
    ("no trust", {"target": TARGET}, {}, "cohorts[0].trust", "say what the devices"),
    (
        "no intermediate",
        {"lab": {"fronts": [{"tls": {"certificate": {"intermediate": False}}}]}},
        {"trust": {"lab": "intermediate"}},
        "cohorts[0].trust",
        "no intermediate",
    ),
    (
        "lab credentials",
        ON_TARGET,
        {"credentials": "lab"},
        "cohorts[0].credentials",
        "no lab to make credentials",
    ),
    (
        "client certificates",
        LAB,
        {"client_certificates": {}},
        "cohorts[0].client_certificates",
        "only security high",
    ),
    (
        "client certificates of target",
        ON_TARGET,
        {"security": "high"},
        "cohorts[0].client_certificates",
        "fleetsim pki init",
    ),
    (
        "client certificates of lab",
        {"lab": {"fronts": [{"security": "high"}]}},
        {"client_certificates": {"pki": "dir"}},
        "cohorts[0].client_certificates.pki",
        "makes its own PKI",
    ),
    (
        "herd",
        LAB,
        {"start_up": {"phase": "herd", "over": "1s"}},
        "cohorts[0].start_up.over",
        "all at once",
    ),
    (
        "late start",
        LAB,
        {"start_up": {"over": "30s"}},
        "cohorts[0].start_up.over",
        "still start when the load ends",
    ),
    (
        "tiny heartbeat",
        LAB,
        {"heartbeat": "1ms"},
        "cohorts[0].heartbeat",
        "at least 10ms",
    ),
    (
        "tiny period",
        LAB,
        {"workload": {"period": "1ms"}},
        "cohorts[0].workload.period",
        "at least 10ms",
    ),
    (
        "huge file",
        LAB,
        {"workload": {"file_size": "6GiB"}},
        "cohorts[0].workload.file_size",
        "one PUT",
    ),
    (
        "versions",
        LAB,
        {"overrides": {"tls": {"min_version": "TLSv1.3"}}},
        "cohorts[0].overrides.tls",
        "min_version TLSv1.3 is above",
    ),
    (
        "retry",
        LAB,
        {"overrides": {"retry": {"first": "2s", "max": "1s"}}},
        "cohorts[0].overrides.retry",
        "longer than",
    ),
    (
        "bucket before an address",
        {"lab": {"fronts": [{"host": "127.0.0.1"}]}},
        {"overrides": {"style": "virtual"}},
        "cohorts[0].overrides.style",
        "use style path",
    ),
    (
        "threshold of no cohort",
        {**LAB, "thresholds": ['upload.count{cohort="b"} > 0']},
        {},
        "thresholds[0]",
        "no cohort is named 'b'",
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule[0]))
def test_what_does_not_fit_is_found(
    rule: tuple[str, dict[str, Any], dict[str, Any], str, str],
) -> None:
    """Each rule reports exactly its own place."""
    _, top, cohort, place, words = rule
    findings = found(top, **cohort)
    assert list(findings) == [place]
    assert words in findings[place]


@pytest.mark.parametrize(
    ("top", "cohort"),
    [
        (LAB, {}),
        (ON_TARGET, {}),
        ({"target": {**TARGET, "endpoint": "http://h:9000"}}, {}),
        ({"target": {"bucket": "fleet"}}, {"trust": {"file": "x.p7b"}}),
        ({"lab": {"fronts": [LOW_FRONT]}}, {"security": "low"}),
        (ON_TARGET, {"security": "high", "client_certificates": {"pki": "d"}}),
        ({"lab": {"fronts": [{"security": "high"}]}}, {"client_certificates": {}}),
        (LAB, {"heartbeat": 0, "ota": 0, "workload": {"period": 0}}),
        (
            LAB,
            {"workload": {"file_size": {"normal": {"mean": "1MB", "stddev": "1MB"}}}},
        ),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_what_fits_is_left_alone(top: dict[str, Any], cohort: dict[str, Any]) -> None:
    """No rule cries wolf."""
    assert found(top, **cohort) == {}


def test_names_and_numbers_of_the_whole_fleet_are_checked() -> None:
    """Two cohorts of one name; more devices than can be told apart comfortably."""
    two = [{"name": "a", "count": 600_000}, {"name": "a", "count": 600_000}]
    findings = found({**LAB, "cohorts": two})
    assert set(findings) == {"cohorts", "cohorts[1].name"}
    assert "1,200,000 devices" in findings["cohorts"]
