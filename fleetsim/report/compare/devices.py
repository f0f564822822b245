"""Devices: figures of which every device has one, to be resampled by device."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow.compute as pc

from fleetsim.core.contact import ContactState
from fleetsim.recording.outcomes import read_devices
from fleetsim.report.compare.bootstrap import Numbers
from fleetsim.report.load import Run

_STATES: Final = (ContactState.STRANDED, ContactState.FAILING)
_FILES: Final = ("lost", "backlog")


@dataclass(slots=True)
class DeviceFigures:
    """What became of every device.

    Attributes:
        ids: Device ids, sorted.
        sums: Name to a number of each device, in the order of :attr:`ids`.
        ages_s: Age of the newest stored file of each device at the end, seconds.
    """

    ids: tuple[str, ...] = ()
    sums: dict[str, Numbers] = field(default_factory=dict)
    ages_s: Numbers = field(default_factory=lambda: np.zeros(0))

    def of(self, ids: tuple[str, ...]) -> "DeviceFigures":
        """The figures of these devices only; each must be one of ours."""
        place = {device: number for number, device in enumerate(self.ids)}
        chosen = np.array([place[device] for device in ids], dtype=np.int64)
        return DeviceFigures(
            ids=ids,
            sums={name: values[chosen] for name, values in self.sums.items()},
            ages_s=self.ages_s[chosen],
        )


def device_figures(run: Run) -> DeviceFigures:
    """Read what became of the devices; empty when the run was killed before.

    Raises:
        InputError: If the file is damaged.
    """
    table = read_devices(run.path)
    if table is None or not table.num_rows:
        return DeviceFigures()
    table = table.sort_by([("device", "ascending")])
    ids = tuple(table["device"].to_pylist())
    sums = {
        state.value: pc.equal(table["state"], state.value)
        .cast("int64")
        .to_numpy()
        .astype(np.float64)
        for state in _STATES
    }
    sums |= {
        f"files.{name}": table[f"files_{name}"].to_numpy().astype(np.float64)
        for name in _FILES
    }
    end_ns = min(run.duration_ns, run.records.last_ns) or run.records.last_ns
    newest = run.records.newest
    ages = [max(0, end_ns - newest.get(device, 0)) / 1e9 for device in ids]
    return DeviceFigures(ids=ids, sums=sums, ages_s=np.array(ages, dtype=np.float64))
