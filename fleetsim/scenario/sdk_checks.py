"""SDK checks: what does not fit together in cohorts with ``client: sdk``."""

from collections.abc import Iterator

from fleetsim.scenario.cohort_schema import CohortSpec, Overrides
from fleetsim.scenario.finding import Finding
from fleetsim.scenario.probability import Fixed
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.sdk_schema import Client
from fleetsim.scenario.selecting import selects_cohort
from fleetsim.scenario.timeline_schema import LoseRtc, SetClock, SkewClock
from fleetsim.scenario.yaml_document import Loc

_WITHOUT_EFFECT = ("fallback", "tls", "deadlines", "clock", "signed_payload")


def check_sdk(scenario: Scenario, cohort: CohortSpec, at: Loc) -> Iterator[Finding]:
    """Find what cannot work.

    Args:
        scenario: The scenario.
        cohort: One of its cohorts.
        at: Its place.
    """
    depends = ((*at, "client"),)
    if cohort.client is not Client.SDK:
        if cohort.sdk is not None:
            yield Finding(
                (*at, "sdk"),
                "settings of the SDK without it: write client: sdk too",
                depends,
            )
        return
    if cohort.clock.skew != Fixed(0.0):
        yield Finding(
            (*at, "clock", "skew"),
            "the SDK signs and verifies by this machine's clock: devices with "
            "client: sdk cannot have another",
            depends,
        )
    if scenario.calendar is not None:
        yield Finding(
            (*at, "client"),
            "the SDK signs and verifies by this machine's clock: with a calendar, use "
            "client: device",
            (("calendar",),),
        )


def sdk_warnings(scenario: Scenario) -> Iterator[str]:
    """Say which words of a scenario have no effect on cohorts with ``client: sdk``."""
    for cohort in scenario.cohorts:
        if cohort.client is not Client.SDK:
            continue
        unused = [f"overrides.{name}" for name in _set_overrides(cohort.overrides)]
        if cohort.cipher_table is not None:
            unused.append("cipher_table")
        if unused:
            yield (
                f"Cohort {cohort.name} uploads through the SDK, on which "
                f"{', '.join(unused)} {'has' if len(unused) == 1 else 'have'} no effect."
            )
        for entry in scenario.timeline:
            _, action = entry.action
            if isinstance(action, SkewClock | SetClock | LoseRtc) and selects_cohort(
                action.to, cohort.name
            ):
                yield (
                    f"Cohort {cohort.name} uploads through the SDK: changing the clocks "
                    "of its devices has no effect."
                )
                break


def _set_overrides(overrides: Overrides) -> Iterator[str]:
    for name in _WITHOUT_EFFECT:
        if getattr(overrides, name) != getattr(Overrides(), name):
            yield name
