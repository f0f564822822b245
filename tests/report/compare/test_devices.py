"""Figures of devices: one of each, in the order of their ids."""

from pathlib import Path

from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.report.compare.devices import device_figures
from fleetsim.report.load import load_run
from tests.recording.records import S, record
from tests.report.runs import make_run


def test_devices_are_ordered_and_can_be_chosen(tmp_path: Path) -> None:
    """States are 0 or 1, files are counts, ages are those at the end of the load."""
    devices = (
        DeviceOutcome(device="B", cohort="c", state="stranded", files_lost=3),
        DeviceOutcome(device="A", cohort="c", state="connected", files_backlog=2),
    )
    folder = make_run(
        tmp_path,
        [record(4, device="A"), record(9, device="A", kind="x", phase="wait")],
        devices=devices,
        duration_ns=9 * S,
    )
    found = device_figures(load_run(folder))
    assert found.ids == ("A", "B")
    assert found.sums["stranded"].tolist() == [0, 1]
    assert found.sums["files.lost"].tolist() == [0, 3]
    assert found.ages_s.tolist() == [5, 9]
    assert found.of(("B",)).sums["stranded"].tolist() == [1]


def test_a_killed_run_has_no_figures_of_devices(tmp_path: Path) -> None:
    """They were never written."""
    folder = make_run(tmp_path, [record()], devices=None)
    assert device_figures(load_run(folder)).ids == ()
