"""Shortening: the same rehearsal in less time.

Every time of the run is divided by one factor: its length, the periods and timers of the
devices and their retries, when the timeline acts and how long troubles last. What the
run compares with each other keeps its ratio, so that counts and verdicts stay.

What does not follow the run stays as it is:

* deadlines of the devices, and the delay that ``slow_server`` and ``fault`` add: they
  are compared with each other and with what the network and the machine really take;
* clock errors: a server tolerates 15 minutes, whatever the length of a run;
* sizes, rates of bytes, and the time an operator's command may take.

Certificates live in the time of the calendar. With one, the calendar passes faster by
the factor and lifetimes stay; without one they are times of the run and are divided.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from fleetsim.core.settings import DeviceProfile
from fleetsim.scenario import resolve
from fleetsim.scenario.cohort_schema import (
    CohortSpec,
    FallbackOverrides,
    RetryOverrides,
    StartUpSpec,
    WorkloadSpec,
)
from fleetsim.scenario.condition import FIGURES, Condition
from fleetsim.scenario.distributions import AnyDistribution
from fleetsim.scenario.model import Part
from fleetsim.scenario.quantities import format_duration
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.target_schema import AuthoritySpec, CertificateSpec
from fleetsim.scenario.threshold import METRICS, Threshold, ThresholdUnit
from fleetsim.scenario.timeline_schema import (
    CalendarSpec,
    CrossSign,
    Fault,
    IssueCa,
    IssueServerCertificate,
    PowerCycleDevices,
    PushConfig,
    RotateCredentials,
    RotateDeviceCertificates,
    ServerOutage,
    SlowServer,
    TimelineEntry,
    WaitFor,
    Waves,
)

SHORTEST_PERIOD_S: Final = 0.01
SHORTEST_LIFETIME_S: Final = 1.0
"""Dates of a certificate are whole seconds (RFC 5280 4.1.2.5)."""

_RUN_TIMES: Final[Mapping[type[Part], tuple[str, ...]]] = {
    Scenario: ("duration", "warm_up", "drain"),
    CohortSpec: ("heartbeat", "ota"),
    WorkloadSpec: ("period", "jitter", "upload_delay"),
    StartUpSpec: ("over",),
    FallbackOverrides: ("delay",),
    RetryOverrides: ("first", "max"),
    TimelineEntry: ("at", "delay"),
    Waves: ("every",),
    PushConfig: ("heartbeat", "ota"),
    RotateDeviceCertificates: ("revoke_old",),
    RotateCredentials: ("overlap",),
    ServerOutage: ("duration",),
    SlowServer: ("duration",),
    Fault: ("duration",),
    PowerCycleDevices: ("over",),
    WaitFor: ("timeout",),
}
"""Fields that are times of the run."""

_CERTIFICATE_TIMES: Final[Mapping[type[Part], tuple[str, ...]]] = {
    AuthoritySpec: ("lifetime",),
    CertificateSpec: ("lifetime",),
    IssueCa: ("lifetime",),
    CrossSign: ("lifetime",),
    IssueServerCertificate: ("lifetime", "starts"),
    RotateDeviceCertificates: ("lifetime",),
}
"""Fields that are times of the calendar, if there is one, else of the run."""

_P = TypeVar("_P", bound=Part)


def shortened(scenario: Scenario) -> Scenario:
    """Carry out ``shorten_by``.

    Args:
        scenario: A scenario whose ``shorten_by`` is the factor, >= 1.

    Returns:
        The same scenario with shorter times and a factor of 1.
    """
    factor = scenario.shorten_by
    if factor == 1:
        return scenario
    times = dict(_RUN_TIMES)
    if scenario.calendar is None:
        for kind, names in _CERTIFICATE_TIMES.items():
            times[kind] = (*times.get(kind, ()), *names)
    cohorts = tuple(
        cohort.model_copy(
            update={
                "start_up": cohort.start_up.model_copy(
                    update={"over": _start_over_s(scenario, cohort)}
                )
            }
        )
        for cohort in scenario.cohorts
    )
    explicit = scenario.model_copy(update={"cohorts": cohorts, "shorten_by": 1.0})
    return _part(explicit, factor, times)


def _start_over_s(scenario: Scenario, cohort: CohortSpec) -> float | None:
    """What a start-up that is left out means, before anything is divided."""
    over_s = resolve.start_over_s(scenario, cohort)
    return over_s or cohort.start_up.over


def shortened_profile(profile: DeviceProfile, factor: float) -> DeviceProfile:
    """Divide the timers of a device model.

    Args:
        profile: The model.
        factor: >= 1.
    """
    if factor == 1:
        return profile
    delay = profile.upload_delay
    return replace(
        profile,
        heartbeat_s=profile.heartbeat_s / factor,
        ota_s=profile.ota_s / factor,
        retry=replace(
            profile.retry,
            first_s=profile.retry.first_s / factor,
            max_s=profile.retry.max_s / factor,
        ),
        fallback=replace(profile.fallback, delay_s=profile.fallback.delay_s / factor),
        upload_delay=delay.scaled(1 / factor)
        if isinstance(delay, AnyDistribution)
        else delay,
    )


def shortening_problems(
    scenario: Scenario, profiles: Mapping[str, DeviceProfile]
) -> Iterator[str]:
    """Say why a scenario cannot be shortened by its factor.

    Args:
        scenario: The scenario as written.
        profiles: Profiles by the name the cohorts use, as far as they are known.
    """
    factor = scenario.shorten_by
    if factor == 1:
        return
    short = shortened(scenario)
    for cohort in short.cohorts:
        for what, period_s in _periods(short, cohort, profiles, factor):
            if 0 < period_s < SHORTEST_PERIOD_S:
                yield _too_short(
                    f"the {what} of cohort {cohort.name}",
                    period_s,
                    factor,
                    SHORTEST_PERIOD_S,
                )
    for what, lifetime_s in _lifetimes(short):
        if lifetime_s < SHORTEST_LIFETIME_S:
            yield _too_short(what, lifetime_s, factor, SHORTEST_LIFETIME_S)


def _too_short(what: str, now_s: float, factor: float, least_s: float) -> str:
    most = factor * now_s / least_s
    return (
        f"{what} would be {format_duration(now_s)}, less than "
        f"{format_duration(least_s)}: at most {most:.4g} is possible"
    )


def _periods(
    short: Scenario,
    cohort: CohortSpec,
    profiles: Mapping[str, DeviceProfile],
    factor: float,
) -> Iterator[tuple[str, float]]:
    yield "period", cohort.workload.period
    if cohort.profile in profiles:
        loaded = shortened_profile(profiles[cohort.profile], factor)
        profile = resolve.profile_of(short, cohort, loaded)
        yield "heartbeat", profile.heartbeat_s
        yield "over-the-air check", profile.ota_s
        yield "first retry", profile.retry.first_s


def _lifetimes(short: Scenario) -> Iterator[tuple[str, float]]:
    if short.lab is not None:
        for name, authority in short.lab.authorities:
            yield f"the certificate of authority {name}", authority.lifetime
    for front in short.lab.fronts if short.lab else ():
        if front.tls is not None:
            yield (
                f"the certificate of front {front.name}",
                front.tls.certificate.lifetime,
            )
    for index, entry in enumerate(short.timeline):
        for key in type(entry).model_fields:
            names = _CERTIFICATE_TIMES.get(type(getattr(entry, key)), ())
            if "lifetime" in names:
                yield (
                    f"the certificate of timeline[{index}]",
                    getattr(entry, key).lifetime,
                )


# ---------------------------------------------------------------- dividing


def _part(part: _P, factor: float, times: Mapping[type[Part], tuple[str, ...]]) -> _P:
    """A copy of a part and of all parts in it, their times divided."""
    run_times = times.get(type(part), ())
    changes: dict[str, Any] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        is_time = name in run_times
        new = _divided(value, factor) if is_time else _inside(value, factor, times)
        if new is not value:
            changes[name] = new
    return part.model_copy(update=changes) if changes else part


def _inside(
    value: Any, factor: float, times: Mapping[type[Part], tuple[str, ...]]
) -> Any:
    match value:
        case CalendarSpec():
            return value.model_copy(update={"time_scale": value.time_scale * factor})
        case Part():
            return _part(value, factor, times)
        case Condition():
            return _condition(value, factor)
        case Threshold():
            return _threshold(value, factor)
        case tuple():
            items = tuple(_inside(item, factor, times) for item in value)
            return items if items != value else value
        case _:
            return value


def _divided(value: float | AnyDistribution | None, factor: float) -> object:
    if value is None:
        return None
    if isinstance(value, AnyDistribution):
        return value.scaled(1 / factor)
    return value / factor


def _condition(condition: Condition, factor: float) -> Condition:
    if FIGURES[condition.figure].unit is not ThresholdUnit.DURATION:
        return condition
    value = condition.value / factor
    return replace(
        condition, expression=_with_value(condition.expression, value), value=value
    )


def _threshold(threshold: Threshold, factor: float) -> Threshold:
    if not METRICS[threshold.metric].is_run_time:
        return threshold
    value = threshold.value / factor
    return replace(
        threshold, expression=_with_value(threshold.expression, value), value=value
    )


def _with_value(expression: str, seconds: float) -> str:
    """An expression with another time behind its operator, which is its last."""
    end = max(expression.rfind(sign) for sign in "<>=") + 1
    return f"{expression[:end]} {format_duration(seconds)}"
