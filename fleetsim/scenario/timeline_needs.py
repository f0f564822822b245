"""Timeline needs: what of a timeline will not work as its author may think."""

from collections.abc import Iterator, Sequence
from typing import Final

from fleetsim.core.settings import Security
from fleetsim.scenario.quantities import format_duration
from fleetsim.scenario.roster import CohortPlan, DevicePlan, to_ns
from fleetsim.scenario.selecting import count_of, selected_count, selects_cohort
from fleetsim.scenario.target_schema import LabSpec
from fleetsim.scenario.timeline import TimelinePlan, due_ns
from fleetsim.scenario.timeline_schema import (
    PushBundle,
    PushConfig,
    PushFirmware,
    RotateDeviceCertificates,
    Selector,
    Waves,
)

NS_PER_S: Final = 1_000_000_000
Push = PushBundle | PushConfig | PushFirmware


def timeline_warnings(
    timeline: Sequence[TimelinePlan],
    *,
    cohorts: Sequence[CohortPlan],
    devices: Sequence[DevicePlan],
    duration_ns: int,
    lab: LabSpec | None,
) -> tuple[str, ...]:
    """Find what will not work as intended.

    Args:
        timeline: Timeline of the plan.
        cohorts: Its cohorts.
        devices: All its devices.
        duration_ns: Length of the load.
        lab: The embedded server, if any.
    """
    found: list[str] = []
    for entry in timeline:
        found += _unknown(entry, devices)
        action = entry.action
        if isinstance(action, Push):
            count = selected_count(cohorts, devices, action.to)
            begin_ns = due_ns(timeline, entry.index) or 0  # at best at once
            end_ns = begin_ns + spread_ns(action.waves, count)
            if end_ns > duration_ns:
                found.append(
                    f"{entry.label} has its last wave at {_time(end_ns)}, after the "
                    f"load of {_time(duration_ns)}."
                )
            for cohort in cohorts:
                timer_ns = _timer_ns(timeline, cohort)
                if timer_ns is None or not selects_cohort(action.to, cohort.name):
                    continue
                found += _arrival(entry, cohort, timer_ns, duration_ns - end_ns)
        if isinstance(action, PushConfig):
            found += _identities(timeline, entry, action, cohorts, lab)
    return tuple(found)


def _unknown(entry: TimelinePlan, devices: Sequence[DevicePlan]) -> Iterator[str]:
    selector = selector_of(entry)
    if selector is None or not selector.devices:
        return
    left = set(selector.devices) - {device.device_id for device in devices}
    if left:
        yield (
            f"{entry.label} names devices that are not in this plan: "
            f"{', '.join(sorted(left))}. Their ids derive from the seed."
        )


def selector_of(entry: TimelinePlan) -> Selector | None:
    """Devices an entry is for; ``None`` = it is not for devices."""
    found = getattr(entry.action, "to", None)
    return found if isinstance(found, Selector) else None


def waves_of_entry(entry: TimelinePlan) -> Waves | None:
    """Waves of an entry; ``None`` = all at once."""
    found = getattr(entry.action, "waves", None)
    return found if isinstance(found, Waves) else None


def wave_count(waves: Waves, devices: int) -> int:
    """How many waves a number of devices takes."""
    size = count_of(waves.share, devices)
    return -(-devices // size) if size else 0


def spread_ns(waves: Waves | None, devices: int) -> int:
    """Time from the first wave to the last, nanoseconds; pauses not included."""
    if waves is None or not devices:
        return 0
    return (wave_count(waves, devices) - 1) * to_ns(waves.every)


def _timer_ns(timeline: Sequence[TimelinePlan], cohort: CohortPlan) -> int | None:
    """Period of the over-the-air check; ``None`` = the timeline changes it."""
    if any(
        isinstance(other.action, PushConfig)
        and other.action.ota is not None
        and selects_cohort(other.action.to, cohort.name)
        for other in timeline
    ):
        return None
    return to_ns(cohort.workload.ota_s)


def _arrival(
    entry: TimelinePlan, cohort: CohortPlan, timer_ns: int, left_ns: int
) -> Iterator[str]:
    if not timer_ns:
        yield (
            f"{entry.label} never reaches cohort {cohort.name}: its over-the-air "
            "check is off."
        )
    elif 0 <= left_ns < timer_ns:
        yield (
            f"{entry.label} may not reach all of cohort {cohort.name}: its devices "
            f"look every {_time(timer_ns)}, the load goes on for {_time(left_ns)}."
        )


def _identities(
    timeline: Sequence[TimelinePlan],
    entry: TimelinePlan,
    action: PushConfig,
    cohorts: Sequence[CohortPlan],
    lab: LabSpec | None,
) -> Iterator[str]:
    """Devices without certificates that are sent to a front that requires them."""
    fronts = {front.name: front for front in lab.fronts} if lab is not None else {}
    front = fronts.get(action.front or "")
    if front is None or front.security is not Security.HIGH:
        return
    for cohort in cohorts:
        if cohort.security is Security.HIGH or not selects_cohort(
            action.to, cohort.name
        ):
            continue
        if not any(
            isinstance(other.action, RotateDeviceCertificates)
            and selects_cohort(other.action.to, cohort.name)
            for other in timeline
        ):
            yield (
                f"{entry.label} sends cohort {cohort.name} to front {front.name}, which "
                "requires client certificates that nothing in the timeline gives it "
                "(rotate_device_certificates)."
            )


def _time(ns: int) -> str:
    return format_duration(ns / NS_PER_S)
