"""Replay: the page of a run folder has the figures of its summary."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.exceptions import InputError
from fleetsim.recording.progress_log import ProgressLog
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.live.replay import Replay
from fleetsim.report.summary import build_summary
from tests.recording.records import S, record
from tests.report.live.test_layers import played
from tests.report.runs import change, make_run

A, B, C = "AAAA0001", "AAAA0002", "AAAA0003"
DEVICES = tuple(
    DeviceOutcome(device=device, cohort=cohort, state=state)
    for device, cohort, state in (
        (C, "late", "failing"),
        (A, "early", "connected"),
        (B, "early", "connected"),
    )
)
HISTORIES = [
    (C, "late", change(0, "", "unreached")),
    (A, "early", change(0, "", "unreached")),
    (B, "early", change(0, "", "unreached")),
    (A, "early", change(1, "unreached", "connected")),
    (B, "early", change(1, "unreached", "connected")),
    (C, "late", change(2.25, "unreached", "failing", "refused")),
]
SCENARIO = {"cohorts": [{"name": "early"}, {"name": "late"}], "lab": {}}
TIMELINE = [
    {"action": "dns_change", "step": "start", "planned_ns": S, "actual_ns": S},
    {
        "action": "dns_change",
        "step": "end",
        "outcome": "failed",
        "reason": "no",
        "planned_ns": S,
        "actual_ns": 2 * S,
    },
]


def records() -> list[Any]:
    """Two devices that upload, the second falls back; one is refused."""
    return [
        *(
            record(
                n, device=A, cohort="early", group="group 1", ended_ns=n * S + S // 2
            )
            for n in range(4)
        ),
        record(1, device=B, cohort="early", group="group 1", ended_ns=S),
        record(2, device=B, cohort="early", group="group 3", ended_ns=2 * S),
        record(3, device=C, cohort="late", kind="tcp.refused", ended_ns=3 * S),
    ]


def made(tmp_path: Path, **how: Any) -> Path:
    """A run folder."""
    given = {
        "devices": DEVICES,
        "histories": HISTORIES,
        "scenario": SCENARIO,
        "timeline": TIMELINE,
        **how,
    }
    return make_run(tmp_path, records(), **given)


def page(folder: Path) -> dict[str, Any]:
    """What the page reads."""
    data: dict[str, Any] = json.loads(Replay(folder).run_json())
    return data


def test_figures_are_those_of_the_summary(tmp_path: Path) -> None:
    """Nothing is counted a second time in another way."""
    folder = made(tmp_path)
    data, summary = page(folder), build_summary(folder)
    frame = data["frame"]
    assert data["mode"] == "finished"
    assert frame["uploads"] == summary["uploads"]["acknowledged"] == 6
    assert frame["failures"] == summary["failures"] == {"tcp.refused": 1}
    assert frame["attempts"] == 7
    assert frame["states"] == summary["devices"]["by_state"]
    assert frame["response"] == summary["latency"]["response"]
    assert data["summary"]["verdict"] == summary["verdict"]
    assert {each["name"]: each["uploads"] for each in frame["cohorts"]} == {
        "early": 6,
        "late": 0,
    }
    uploads = sum(point["uploads"] for point in data["points"][:-1])
    assert uploads == 5, "the last one ends in the slot that is cut short"
    assert frame["timeline"][0]["state"] == "failed"
    assert frame["timeline"][0]["note"] == "no"


def test_devices_stand_by_cohort(tmp_path: Path) -> None:
    """In the order of the scenario, whoever was switched on first."""
    run = page(made(tmp_path))["run"]
    assert run["ids"] == A + B + C
    assert run["cohorts"] == [
        {"name": "early", "devices": 2},
        {"name": "late", "devices": 1},
    ]


def test_the_map_at_any_time(tmp_path: Path) -> None:
    """States from the histories, cipher groups from the successes."""
    layers = page(made(tmp_path))["layers"]
    state, group = layers["state"], layers["group"]
    now = [state["names"][code] for code in played(state, 3)]
    assert now == ["connected", "connected", "failing"]
    assert [batch[0] for batch in state["batches"]] == [1, 2.3]
    assert [group["names"][code] for code in played(group, 3)] == [
        "group 1",
        "group 3",
        "",
    ]
    assert "bundle" not in layers


def test_what_no_record_holds(tmp_path: Path) -> None:
    """Backlog, bundles, bytes and load come from the log of the seconds."""
    folder = made(tmp_path)
    with ProgressLog(folder) as log:
        for second in range(1, 4):
            log.add(
                {
                    "at_s": second,
                    "backlog": second,
                    "cpu_ratio": 0.5,
                    "sent_bytes": 100 * second,
                    "bundles": [
                        {
                            "generation": 1,
                            "fingerprint": "ab",
                            "certificates": 2,
                            "devices": 3,
                        }
                    ],
                }
            )
    data = page(folder)
    assert [point["backlog"] for point in data["points"]] == [1, 2, 3, 3]
    assert [point["bytes"] for point in data["points"]] == [100, 100, 100, 0]
    assert data["points"][0]["bundles"] == {"1": 3}
    assert data["frame"]["generations"][0]["number"] == 1


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"outcome": RunOutcome.RUNNING}, id="killed"),
        pytest.param({"histories": None}, id="without histories"),
        pytest.param({"generator": None, "timeline": ()}, id="bare"),
    ],
)
def test_runs_that_lack_something(tmp_path: Path, how: dict[str, Any]) -> None:
    """What a run did not keep is left out, the rest is shown."""
    data = page(made(tmp_path, **how))
    assert data["frame"]["uploads"] == 6
    assert data["run"]["devices"] == 3
    assert bool(data["notes"]) is (how.get("outcome") is RunOutcome.RUNNING)


async def test_devices_are_asked_by_place(tmp_path: Path) -> None:
    """The place on the map, not the order of the files."""
    replay = Replay(made(tmp_path))
    found = await replay.device(2)
    assert found is not None
    assert found["id"] == C
    assert found["changes"][-1]["reason"] == "refused"
    assert await replay.device(3) is None
    assert not replay.stop()
    assert [text async for text in replay.follow(None)] == []


def test_no_run_folder(tmp_path: Path) -> None:
    """A folder without a manifest is refused; so is a run that has no device to show."""
    with pytest.raises(InputError, match="is not a run folder"):
        Replay(tmp_path)
    empty = make_run(tmp_path, [], outcome=RunOutcome.RUNNING)
    with pytest.raises(InputError, match="killed before"):
        Replay(empty)
