import pytest

from fleetsim.core.device_settings import RunClock
from fleetsim.lab.lab_clock import LabClock

EPOCH = 1_800_000_000
S = 1_000_000_000


@pytest.mark.parametrize("scale", [0.5, 1.0, 60.0, 86_400.0])
@pytest.mark.parametrize("elapsed_s", [-3, 0, 1, 500])
def test_lab_and_devices_read_the_same_calendar(scale: float, elapsed_s: int) -> None:
    """At every moment the lab's time is the device's of the same epoch and scale."""
    origin_ns = 77 * S
    lab = LabClock(
        epoch_unix_s=EPOCH,
        scale=scale,
        origin_monotonic_ns=origin_ns,
        now_ns=lambda: origin_ns + elapsed_s * S,
    )
    device = RunClock(EPOCH * S, scale)
    assert int(lab()) == device.unix_s(elapsed_s * S)
