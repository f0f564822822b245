"""Rehearsals of trust: a CA rotation done right, done in the wrong order, and paused."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fleetsim.recording.run_folder import read_timeline
from tests.integration.runs import Finished, cohort, run, scenario

pytestmark = pytest.mark.slow

NEW_PKI = [
    {"name": "new_root", "at": "1s", "issue_ca": {}},
    {
        "name": "new_server",
        "after": "new_root",
        "issue_server_certificate": {"ca": "new_root"},
    },
]
SWAP = {"swap_server_certificate": {"certificate": "new_server"}}
BOTH = {"certificates": ["root", "new_root"]}


def fleet(
    *timeline: dict[str, Any], duration: str = "9s", **changes: Any
) -> dict[str, Any]:
    """Twenty devices that look over the air every second."""
    trucks = cohort("trucks", 20, ota="1s")
    changes.setdefault("thresholds", ["unaccounted == 0", "unclassified == 0"])
    changes.setdefault("drain", "1s")
    return scenario(trucks, timeline=list(timeline), duration=duration, **changes)


def states(finished: Finished) -> Counter[str]:
    """Devices by their last contact state."""
    return Counter(
        pq.read_table(finished.folder / "devices.parquet")["state"].to_pylist()
    )


def steps(finished: Finished, step: str) -> list[dict[str, Any]]:
    """Lines of the timeline about a step."""
    return [line for line in read_timeline(finished.folder) if line.get("step") == step]


def outcomes(finished: Finished) -> dict[str, str]:
    """How every entry ended."""
    return {line["name"]: line["outcome"] for line in steps(finished, "end")}


def test_trust_first_then_the_server(tmp_path: Path) -> None:
    """Both roots in waves, proof by device.json, then the swap: nobody notices."""
    done = run(
        fleet(
            *NEW_PKI,
            {
                "name": "push",
                "after": "new_server",
                "push_bundle": {**BOTH, "waves": {"share": "25%", "every": "500ms"}},
            },
            {"name": "swap", "when": "bundle_share >= 1", **SWAP},
            {
                "name": "all_well",
                "after": "swap",
                "delay": "2s",
                "assert": {"condition": "connected_share >= 1"},
            },
        ),
        tmp_path,
    )
    assert set(outcomes(done).values()) == {"done"}
    assert done.summary["verdict"] == "passed"
    assert states(done) == {"connected": 20}
    assert done.kinds("trucks") == {""}
    waves = steps(done, "wave")
    assert [line["devices"] for line in waves] == [5, 5, 5, 5]
    assert all(line["planned_ns"] <= line["actual_ns"] for line in waves)
    (swap,) = (line for line in steps(done, "end") if line["name"] == "swap")
    after = [row for row in done.records if row["started_ns"] > swap["actual_ns"]]
    assert {row["device"] for row in after} == {row["device"] for row in done.records}


def test_server_first_strands_everybody(tmp_path: Path) -> None:
    """The new trust waits in the bucket, out of reach: the tool proves the damage."""
    done = run(
        fleet(
            *NEW_PKI,
            {"name": "swap", "at": "2s", **SWAP},
            {"name": "push", "after": "swap", "push_bundle": BOTH},
            thresholds=["stranded == 20", "unaccounted == 0"],
        ),
        tmp_path,
    )
    assert done.summary["verdict"] == "passed"
    assert states(done) == {"stranded": 20}
    (swap,) = (line for line in steps(done, "end") if line["name"] == "swap")
    late = [row for row in done.records if row["started_ns"] > swap["actual_ns"]]
    assert {row["kind"] for row in late} == {
        "tls.verify.unable_to_get_issuer_cert_locally"
    }
    proofs = pq.read_table(done.folder / "states.parquet").to_pylist()
    reasons = {row["reason"] for row in proofs if row["state"] == "stranded"}
    assert len(reasons) == 1
    assert "by CN=new_root" in reasons.pop()


def test_a_pause_saves_the_rest(tmp_path: Path) -> None:
    """An empty bundle in waves: the rule stops it after the first, and the run fails."""
    done = run(
        fleet(
            {
                "name": "push",
                "at": "1s",
                "push_bundle": {
                    "fault": "empty",
                    "waves": {"share": "10%", "every": "3s"},
                    "pause_when": "stranded > 0",
                },
            },
            thresholds=["stranded == 2"],
        ),
        tmp_path,
    )
    assert states(done) == {"stranded": 2, "connected": 18}
    assert [line["wave"] for line in steps(done, "wave")] == [1]
    assert len(steps(done, "paused")) == 1
    (end,) = steps(done, "end")
    assert (end["outcome"], end["reason"]) == (
        "failed",
        "the run ended before it was done",
    )
    assert done.summary["verdict"] == "failed"
    kinds = Counter(row["kind"] for row in done.of("trucks") if row["kind"])
    assert set(kinds) == {"device.no_trusted_certificates"}


def test_a_timeline_that_was_not_carried_out_fails_the_run(tmp_path: Path) -> None:
    """A swap whose condition never held has rehearsed nothing."""
    done = run(
        fleet(
            *NEW_PKI,
            {"name": "swap", "when": "bundle_share >= 1", **SWAP},
            duration="3s",
        ),
        tmp_path,
    )
    assert outcomes(done)["swap"] == "skipped"
    assert done.summary["verdict"] == "failed"
