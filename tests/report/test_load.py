"""A run is what its folder tells, killed or not."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.exceptions import InputError
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.load import load_run
from tests.recording.records import record
from tests.report.runs import HEALTHY, make_run


def test_a_finished_run_tells_everything(tmp_path: Path) -> None:
    """Manifest, records, devices, generator: all there, counted by cohort."""
    devices = (
        DeviceOutcome(
            device="A", cohort="a", state="connected", cipher_group="group 1"
        ),
        DeviceOutcome(device="B", cohort="a", state="connected", files_closed=2),
        DeviceOutcome(device="C", cohort="b", state="unseen", power_cycles=1),
    )
    run = load_run(make_run(tmp_path, [record()], devices=devices))
    assert run.outcome is RunOutcome.COMPLETED
    assert run.generator == HEALTHY
    assert run.cohorts == ("a", "b", "ordinary")
    assert run.devices is not None
    assert run.devices.count == 3
    assert run.devices.by_state == {"connected": 2, "unseen": 1}
    assert run.devices.by_group == {"group 1": 1}
    assert run.devices.files_closed == 2
    assert run.devices_by_cohort["b"].power_cycles == 1


def test_a_killed_run_tells_what_it_got_to_write(tmp_path: Path) -> None:
    """Records up to the last flush, the rest unknown."""
    run = load_run(make_run(tmp_path, [record()], outcome=RunOutcome.RUNNING))
    assert run.outcome is RunOutcome.RUNNING
    assert run.records.attempts_at().count == 1
    assert (run.devices, run.generator, run.audit) == (None, None, None)


@pytest.mark.parametrize(
    "changes",
    [{"outcome": "exploded"}, {"warm_up_ns": "soon"}, {"thresholds": None}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_manifest_of_something_else_is_bad_input(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Unusable fields are named with the file."""
    path = make_run(tmp_path) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=r"manifest\.json: lacks a field"):
        load_run(path.parent)
