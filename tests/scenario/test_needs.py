"""What a plan needs."""

from collections.abc import Callable
from itertools import count, takewhile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.scenario import needs
from fleetsim.scenario.plan import DevicePlan, Plan

PlanOf = Callable[..., Plan]
QUIET: dict[str, Any] = {"heartbeat": 0, "ota": 0}


def closings(device: DevicePlan, period_ns: int, duration_ns: int) -> list[int]:
    """Closing times, counted one by one as the contract of Workload says."""
    times = (device.phase_ns + k * period_ns for k in count())
    load = takewhile(lambda time: time < duration_ns, times)
    return [time for time in load if time > device.start_ns]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    period=st.floats(0.05, 60),
    duration=st.floats(1, 60),
    phase=st.sampled_from(["herd", "spread"]),
    start=st.sampled_from(["herd", "spread"]),
)
def test_uploads_are_counted_exactly(
    period: float, duration: float, phase: str, start: str, plan_of: PlanOf
) -> None:
    """The formula agrees with counting every closing time of every device."""
    plan = plan_of(
        {
            "workload": {"period": period, "phase": phase},
            "start_up": {"phase": start},
            **QUIET,
        },
        duration=duration,
    )
    period_ns = round(plan.cohorts[0].workload.period_s * 1e9)
    counted = sum(
        len(closings(device, period_ns, plan.duration_ns)) for device in plan.devices
    )
    assert plan.needs.uploads == counted


def test_rates_follow_from_periods(plan_of: PlanOf) -> None:
    """1,000 devices, one file and one heartbeat per 10 s: 100 of each per second."""
    plan = plan_of(
        {
            "count": 1000,
            "start_up": {"phase": "herd"},
            "heartbeat": "10s",
            "ota": 0,
            "workload": {"period": "10s", "file_size": "10kB"},
            "overrides": {"boot_uploads_schema": False},
        },
        duration="100s",
    )
    assert plan.needs.uploads_per_s == pytest.approx(100, rel=0.02)
    assert plan.needs.requests_per_s == pytest.approx(200, rel=0.02)
    assert plan.needs.connections_per_s == pytest.approx(200, rel=0.02)
    assert plan.needs.upload_bytes == plan.needs.uploads * 10_000
    assert plan.needs.bytes_per_s > 100 * 10_000


def test_an_over_the_air_check_is_three_requests_on_one_connection(
    plan_of: PlanOf,
) -> None:
    """Certificates, configuration, firmware: one timer, one connection."""
    work = {"workload": {"period": 0}, "start_up": {"phase": "herd"}, "heartbeat": 0}
    off = plan_of({**work, "ota": 0}, duration="100s").needs
    on = plan_of({**work, "ota": "10s"}, duration="100s").needs
    assert on.requests - off.requests == 10 * (3 * 10 + 1)
    assert (on.connections_per_s - off.connections_per_s) * 100 == pytest.approx(100)


def test_keep_alive_opens_one_connection_per_device(plan_of: PlanOf) -> None:
    """And keeps it, so all are open at the same time."""
    cohort = {"count": 50, "workload": {"connection": "keep_alive", "period": "1s"}}
    kept = plan_of(cohort, limits={"in_flight": 5}).needs
    assert kept.connections_per_s * 30 == pytest.approx(50)
    assert kept.file_descriptors == 50 + needs.FILE_DESCRIPTOR_RESERVE
    passing = plan_of({"count": 50}, limits={"in_flight": 5}).needs
    assert passing.file_descriptors == 5 + needs.FILE_DESCRIPTOR_RESERVE


def test_ports_in_time_wait_are_counted(plan_of: PlanOf) -> None:
    """A real target keeps a port for 60 s after the connection, loopback for 1 s."""
    cohort = {
        "count": 1000,
        "workload": {"period": "1s"},
        "start_up": {"phase": "herd"},
        **QUIET,
        "overrides": {"boot_uploads_schema": False},
    }
    target = {"endpoint": "https://h", "bucket": "fleet", "ca_file": "x"}
    far = plan_of(cohort, target=target, duration="100s").needs
    near = plan_of(cohort, duration="100s").needs
    assert far.ephemeral_ports == pytest.approx(60_000 + 1000, rel=0.02)
    assert near.ephemeral_ports == pytest.approx(1000 + 1000, rel=0.02)
    assert any("net.ipv4.ip_local_port_range" in w for w in far.warnings)


WARNED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("cpu", {"count": 5000, "workload": {"period": "100ms"}}, {}, "cores; one process"),
    (
        "shared machine",
        {"count": 500, "workload": {"period": "1s"}},
        {},
        "The lab server shares this machine",
    ),
    (
        "herd",
        {"count": 50, "start_up": {"phase": "herd"}},
        {"limits": {"in_flight": 5}},
        "50 devices act at the same instant but only 5",
    ),
    (
        "store",
        {"workload": {"period": "1s", "file_size": "1MiB"}},
        {"lab": {"store": {"limit": "1MiB"}}},
        "uploads will be refused",
    ),
    ("no file", {"workload": {"period": "1h"}}, {}, "closes no file"),
    (
        "drain",
        {"workload": {"period": "1s", "upload_delay": "10s"}},
        {"drain": "1s"},
        "longer than the drain",
    ),
    (
        "jitter",
        {"workload": {"period": "1s", "jitter": {"uniform": ["-1s", "1s"]}}},
        {},
        "jitter by more than a period",
    ),
    (
        "card",
        {"overrides": {"card": {"size": "1KiB"}}},
        {},
        "larger than its SD card",
    ),
    (
        "no client certificate",
        {"security": "medium"},
        {"lab": {"fronts": [{"security": "high"}]}},
        "it will be refused",
    ),
    ("client certificate", {"security": "high"}, {}, "never asks for them"),
    (
        "versions",
        {},
        {"lab": {"fronts": [{"tls": {"versions": ["TLSv1.3"]}}]}},
        "share no TLS version",
    ),
    (
        "name",
        {},
        {"lab": {"fronts": [{"tls": {"certificate": {"names": ["other"]}}}]}},
        "does not name localhost",
    ),
]


@pytest.mark.parametrize("row", WARNED, ids=lambda row: str(row[0]))
def test_what_will_not_work_as_thought_is_said_before(
    row: tuple[str, dict[str, Any], dict[str, Any], str], plan_of: PlanOf
) -> None:
    """Each trap has its sentence."""
    _, cohort, top, words = row
    warnings = plan_of(cohort, **top).needs.warnings
    assert any(words in warning for warning in warnings), warnings


def test_an_ordinary_plan_has_no_warnings(plan_of: PlanOf) -> None:
    """Nobody reads a warning that is always there."""
    assert (
        plan_of({"workload": {"period": "10s", "upload_delay": 0}}).needs.warnings == ()
    )


def test_foreign_distributions_are_refused() -> None:
    """Without mean and bounds nothing can be planned."""

    class Foreign:
        """Can be sampled, and that is all."""

        fixed = None

        def sample(self, draws: Draws) -> float:
            """Draw."""
            return draws.uniform()

    with pytest.raises(TypeError, match="no scenario distribution"):
        needs.law(Foreign())
