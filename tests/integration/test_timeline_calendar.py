"""Rehearsals by the calendar: real dates pass in seconds for devices, lab and lists."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.runs import cohort, run, scenario
from tests.integration.test_timeline_trust import outcomes, states, steps

pytestmark = pytest.mark.slow

DAY_S = 86_400
START = datetime(2027, 3, 2, tzinfo=UTC)


def test_a_server_certificate_expires_and_is_renewed(tmp_path: Path) -> None:
    """At its date, not before; devices come back with the renewal; dates are its own."""
    done = run(
        scenario(
            cohort("trucks", 10, client_certificates={"key": "p256"}),
            lab={
                "fronts": [
                    {
                        "security": "high",
                        "tls": {"certificate": {"lifetime": "4d"}},
                    }
                ]
            },
            calendar={"start": "2027-03-02", "time_scale": DAY_S},
            timeline=[
                {
                    "name": "before",
                    "date": "2027-03-05T18:00Z",
                    "assert": {"condition": "failing == 0"},
                },
                {
                    "name": "late",
                    "date": "2027-03-08",
                    "issue_server_certificate": {"lifetime": "90d"},
                },
                {
                    "name": "renewed",
                    "after": "late",
                    "swap_server_certificate": {"certificate": "late"},
                },
                {
                    "name": "well",
                    "after": "renewed",
                    "wait_for": {"condition": "recovered == 10", "timeout": "4s"},
                },
            ],
            duration="10s",
            thresholds=["unaccounted == 0", "unclassified == 0", "stranded == 0"],
        ),
        tmp_path,
    )
    assert set(outcomes(done).values()) == {"done"}
    assert done.summary["verdict"] == "passed"
    assert set(states(done)) <= {"connected", "recovered", "degraded"}
    expired = {
        row["device_unix_s"]
        for row in done.records
        if row["kind"] == "tls.verify.cert_has_expired"
    }
    expiry = START.timestamp() + 4 * DAY_S
    assert expired
    assert min(expired) >= expiry
    good = [row for row in done.records if not row["kind"]]
    (swap,) = (line for line in steps(done, "end") if line["name"] == "renewed")
    between = [
        row
        for row in good
        if not row["reused"]
        and expiry + DAY_S / 4 < row["device_unix_s"]
        and row["ended_ns"] < swap["actual_ns"]
    ]
    assert between == []
    for row in good:
        elapsed_s = row["started_ns"] / 1e9 * DAY_S
        assert abs(row["device_unix_s"] - START.timestamp() - elapsed_s) < DAY_S / 2
    names = [
        row["key"].rpartition("-")[2][:8]
        for row in good
        if row["operation"] == "upload"
    ]
    assert min(int(name, 16) for name in names) >= START.timestamp()
