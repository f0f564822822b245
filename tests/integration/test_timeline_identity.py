"""Rehearsals of identity: revocation, renewal, an expired list, new keys, an upgrade."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runs import Finished, cohort, run, scenario
from tests.integration.test_timeline_trust import outcomes, states, steps

pytestmark = pytest.mark.slow

STRICT = {"fronts": [{"name": "strict", "security": "high"}]}
SURE = ["unaccounted == 0", "unclassified == 0"]


def strict(count: int, *timeline: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Devices with certificates of their own."""
    trucks = cohort("trucks", count, client_certificates={"key": "p256"})
    changes.setdefault("thresholds", SURE)
    changes.setdefault("drain", "1s")
    return scenario(trucks, lab=STRICT, timeline=list(timeline), **changes)


def after(finished: Finished, name: str) -> list[dict[str, Any]]:
    """Attempts that began after an entry was done."""
    (end,) = (line for line in steps(finished, "end") if line["name"] == name)
    return [row for row in finished.records if row["started_ns"] > end["actual_ns"]]


def test_revocation_of_a_tenth(tmp_path: Path) -> None:
    """Exactly those devices are told certificate_revoked, and are stranded by it."""
    done = run(
        strict(
            20,
            {"name": "rev", "at": "2s", "revoke_devices": {"to": {"share": "10%"}}},
            duration="6s",
            thresholds=[*SURE, "stranded == 2"],
        ),
        tmp_path,
    )
    assert done.summary["verdict"] == "passed"
    assert states(done) == {"stranded": 2, "connected": 18}
    rows = after(done, "rev")
    refused = {row["device"] for row in rows if row["kind"]}
    assert len(refused) == 2
    assert {row["alert"] for row in rows if row["kind"]} == {"certificate_revoked"}
    assert not [r for r in rows if r["device"] in refused and not r["kind"]]


def test_a_hold_is_lifted(tmp_path: Path) -> None:
    """Taken off the list, the devices come back by themselves with their backlog."""
    done = run(
        strict(
            20,
            {"name": "rev", "at": "1s", "revoke_devices": {"to": {"share": "10%"}}},
            {"name": "out", "after": "rev", "wait_for": {"condition": "stranded == 2"}},
            {"name": "back", "after": "out", "unrevoke": {}},
            {
                "name": "well",
                "after": "back",
                "wait_for": {"condition": "stranded == 0"},
            },
            duration="8s",
        ),
        tmp_path,
    )
    assert set(outcomes(done).values()) == {"done"}
    assert done.summary["verdict"] == "passed"
    assert not [row for row in after(done, "well") if row["kind"]]


def test_renew_then_revoke(tmp_path: Path) -> None:
    """With an overlap nobody is refused, under a new issuer too."""
    done = run(
        strict(
            10,
            {"name": "fresh", "at": "1s", "issue_ca": {}},
            {
                "name": "rotate",
                "after": "fresh",
                "rotate_device_certificates": {"ca": "fresh", "revoke_old": "2s"},
            },
            {
                "name": "listed",
                "after": "rotate",
                "assert": {"condition": "crl_revoked == 10"},
            },
            duration="6s",
        ),
        tmp_path,
    )
    assert set(outcomes(done).values()) == {"done"}
    assert done.kinds("trucks") == {""}
    assert after(done, "listed")


def test_an_expired_list_shuts_everybody_out(tmp_path: Path) -> None:
    """A list nobody renewed is as bad as a revoked certificate, for all devices."""
    done = run(
        strict(5, {"name": "crl", "at": "2s", "expire_crl": {}}, duration="4s"),
        tmp_path,
    )
    rows = after(done, "crl")
    assert rows
    assert {row["kind"] for row in rows} == {"tls.alert.certificate_expired"}


@pytest.mark.parametrize(
    ("overlap", "refused"),
    [
        pytest.param("0s", False, id="handed out at once"),
        pytest.param("1s", True, id="half of the fleet never learned"),
    ],
)
def test_new_keys(tmp_path: Path, overlap: str, *, refused: bool) -> None:
    """Devices that know the new keys go on; the others are refused after the overlap."""
    to = {"share": "50%"} if refused else {}
    done = run(
        scenario(
            cohort("trucks", 10),
            timeline=[
                {
                    "name": "k",
                    "at": "2s",
                    "rotate_credentials": {"to": to, "overlap": overlap},
                }
            ],
            duration="5s",
            drain="1s",
            thresholds=SURE,
        ),
        tmp_path,
    )
    rows = [row for row in after(done, "k") if row["kind"] != "run.stopped"]
    kinds = Counter(row["kind"] for row in rows)
    without = {row["device"] for row in rows if row["kind"] == "s3.InvalidAccessKeyId"}
    assert len(without) == (5 if refused else 0)
    assert set(kinds) == ({"", "s3.InvalidAccessKeyId"} if refused else {""})
    assert done.summary["uploads"]["unaccounted"] == 0


def test_security_upgrade(tmp_path: Path) -> None:
    """Plain HTTP to HTTPS to mutual TLS over the air: trust and identity come first."""
    fronts = [
        {"name": "plain", "security": "low"},
        {"name": "medium", "security": "medium"},
        {"name": "strict", "security": "high"},
    ]
    everybody = {"condition": "config_share >= 1"}
    done = run(
        scenario(
            cohort("trucks", 8, front="plain", trust="empty", ota="1s"),
            lab={"fronts": fronts},
            timeline=[
                {
                    "name": "trust",
                    "at": "1s",
                    "push_bundle": {"certificates": ["root"]},
                },
                {
                    "name": "https",
                    "when": "bundle_share >= 1",
                    "push_config": {"front": "medium"},
                },
                {"name": "there", "after": "https", "wait_for": everybody},
                {"name": "ids", "after": "there", "rotate_device_certificates": {}},
                {"name": "mutual", "after": "ids", "push_config": {"front": "strict"}},
                {"name": "done", "after": "mutual", "wait_for": everybody},
            ],
            duration="9s",
            thresholds=SURE,
        ),
        tmp_path,
    )
    assert set(outcomes(done).values()) == {"done"}
    assert done.summary["verdict"] == "passed"
    assert done.kinds("trucks") <= {"", "device.power_cycle"}
    endpoints = dict.fromkeys(row["endpoint"] for row in done.records)
    assert len(endpoints) == 3
    last = [row for row in after(done, "done") if row["operation"] == "upload"]
    assert {row["endpoint"] for row in last} == {list(endpoints)[-1]}
    assert {row["tls_version"] for row in last} == {"TLSv1.2"}
