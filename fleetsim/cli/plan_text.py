"""Plan text: a plan in words for people, and as JSON for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from fleetsim.cli.timeline_text import (
    calendar_data,
    calendar_text,
    print_timeline,
    timeline_data,
)
from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.core.settings import Security
from fleetsim.scenario.needs import law
from fleetsim.scenario.plan import CohortPlan, DevicePlan, Plan
from fleetsim.scenario.quantities import approximate_size, format_duration
from fleetsim.scenario.sdk_schema import sdk_notes
from fleetsim.scenario.specs import credentials_data, trust_data

NS_PER_S: Final = 1_000_000_000
FIRST_STARTS: Final = 5


def plan_data(plan: Plan, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The plan as JSON data; additive changes only, ``schema`` counts up.

    Args:
        plan: The plan.
        notes: Further warnings, about this machine.
    """
    needs = {f.name: getattr(plan.needs, f.name) for f in fields(plan.needs)}
    return {
        "schema": 1,
        "scenario": plan.name,
        "seed": plan.seed,
        "digest": plan.digest,
        "duration_s": plan.duration_ns / NS_PER_S,
        "warm_up_s": plan.warm_up_ns / NS_PER_S,
        "drain_s": plan.drain_ns / NS_PER_S,
        "in_flight": plan.in_flight,
        "target": _target(plan),
        "cohorts": [_cohort_data(cohort) for cohort in plan.cohorts],
        "first_starts": [
            {
                "device": device.device_id,
                "cohort": plan.cohorts[device.cohort].name,
                "start_s": device.start_ns / NS_PER_S,
            }
            for device in first_starts(plan)
        ],
        "needs": {key: value for key, value in needs.items() if key != "warnings"},
        "warnings": [*plan.needs.warnings, *notes],
        "notes": list(client_notes(plan)),
        "calendar": calendar_data(plan),
        "shortened_by": plan.shortened_by,
        "expect": plan.expect,
        "timeline": timeline_data(plan),
        "thresholds": [threshold.expression for threshold in plan.thresholds],
    }


def _cohort_data(cohort: CohortPlan) -> dict[str, Any]:
    work = cohort.workload
    return {
        "name": cohort.name,
        "count": cohort.count,
        "profile": cohort.profile.name,
        "cipher_table": cohort.cipher_table.name,
        "cipher_groups": {g.name: list(g.suites) for g in cohort.cipher_table.groups},
        "security": cohort.security.value,
        "front": cohort.front,
        "trust": trust_data(cohort.trust),
        "credentials": credentials_data(cohort.credentials),
        "client_key": cohort.client_key,
        "start_over_s": cohort.start_over_s,
        "period_s": work.period_s,
        "phase": work.phasing.value,
        "mean_file_bytes": law(work.file_size).mean(),
        "connection": work.connection.value,
        "client": "device" if cohort.sdk is None else "sdk",
        "sdk": None if cohort.sdk is None else asdict(cohort.sdk),
        "heartbeat_s": work.heartbeat_s,
        "ota_s": work.ota_s,
    }


def client_notes(plan: Plan) -> Iterator[str]:
    """What cohorts that upload through the SDK do, and what is not simulated then."""
    names: dict[SdkSettings, list[str]] = {}
    for cohort in plan.cohorts:
        if cohort.sdk is not None:
            names.setdefault(cohort.sdk, []).append(cohort.name)
    yield from sdk_notes(names)


def first_starts(plan: Plan, count: int = FIRST_STARTS) -> tuple[DevicePlan, ...]:
    """The devices that are powered on first, in order."""
    order = sorted(plan.devices, key=lambda device: (device.start_ns, device.index))
    return tuple(islice(order, count))


def print_plan(plan: Plan, notes: Sequence[str], console: Console) -> None:
    """Print the plan for people.

    Args:
        plan: The plan.
        notes: Further warnings, about this machine.
        console: Where to.
    """
    for line in _opening(plan):
        console.print(line, soft_wrap=True)
    console.print(_cohorts(plan))
    for line in (*client_notes(plan), *_figures(plan)):
        console.print(line, soft_wrap=True)
    console.print()
    print_timeline(plan, console)
    for title, entries in (
        ("Thresholds", [threshold.expression for threshold in plan.thresholds]),
        ("Warnings", [*plan.needs.warnings, *notes]),
    ):
        console.print(f"{title}: {'none' if not entries else ''}".rstrip())
        for entry in entries:
            console.print(f"  {entry}", soft_wrap=True)


def _target(plan: Plan) -> str:
    if plan.lab is not None:
        fronts = ", ".join(
            f"{front.name} ({front.security.value})" for front in plan.lab.fronts
        )
        return f"embedded lab, bucket {plan.lab.bucket}, fronts {fronts}"
    if plan.target is not None:
        place = plan.target.endpoint or "the endpoint of the environment (AWS_…)"
        return f"{place}, bucket {plan.target.bucket}"
    return "none"


def _opening(plan: Plan) -> Iterator[str]:
    needs = plan.needs
    yield (
        f"{plan.name}: {needs.devices:,} devices for "
        f"{_time(plan.duration_ns)} (warm-up {_time(plan.warm_up_ns)}, drain up to "
        f"{_time(plan.drain_ns)}), seed {plan.seed}"
    )
    yield f"Target: {_target(plan)}"
    if plan.shortened_by != 1:
        yield f"Shortened: every time of the scenario is divided by {plan.shortened_by:g}"
    if plan.calendar_epoch_unix_s is not None:
        yield f"Calendar: {calendar_text(plan)}"
    if plan.expect == "fail":
        yield "Expected: a failed verdict (exit code 0 when it fails, 99 when it passes)"


def _time(ns: int) -> str:
    return format_duration(ns / NS_PER_S)


def _cohorts(plan: Plan) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, title="Cohorts", title_justify="left")
    table.add_column("cohort", no_wrap=True)
    table.add_column("devices", justify="right", no_wrap=True)
    for name in ("profile", "server", "files", "timers"):
        table.add_column(name, overflow="fold")
    for cohort in plan.cohorts:
        count = len(cohort.cipher_table.groups)
        groups = (
            f"\n{cohort.cipher_table.name}, {count} group{'s' if count > 1 else ''}"
        )
        is_tls = cohort.security is not Security.LOW
        front = f"\nfront {cohort.front}" if cohort.front else ""
        client = "" if cohort.sdk is None else "\nclient sdk"
        table.add_row(
            cohort.name,
            f"{cohort.count:,}",
            f"{cohort.profile.name}{groups if is_tls else ''}",
            f"security {cohort.security.value}{front}{client}",
            _files(cohort),
            _timers(cohort),
        )
    return table


def _files(cohort: CohortPlan) -> str:
    work = cohort.workload
    if not work.period_s:
        return "none"
    size = approximate_size(law(work.file_size).mean())
    rhythm = f"every {format_duration(work.period_s)}, {work.phasing.value}"
    return f"{size} {rhythm}\n{work.connection.value}"


def _timers(cohort: CohortPlan) -> str:
    work = cohort.workload
    timers = (("heartbeat", work.heartbeat_s), ("OTA", work.ota_s))
    return "\n".join(
        f"{name} {format_duration(period) if period else 'off'}"
        for name, period in timers
    )


def _figures(plan: Plan) -> Iterator[str]:
    needs = plan.needs
    starts = ", ".join(
        f"{device.device_id} at {device.start_ns / NS_PER_S:.3f} s"
        for device in first_starts(plan)
    )
    yield f"First starts: {starts}"
    yield (
        f"Load: {needs.uploads:,} uploads of {approximate_size(needs.upload_bytes)} in "
        f"all; on average {needs.uploads_per_s:,.1f} uploads/s, "
        f"{needs.requests_per_s:,.1f} requests/s, {needs.connections_per_s:,.1f} new "
        f"connections/s, {approximate_size(needs.bytes_per_s)}/s"
    )
    yield (
        f"Needs: up to {needs.file_descriptors:,} open files, "
        f"{needs.ephemeral_ports:,} local ports towards one endpoint, about "
        f"{approximate_size(needs.memory_bytes)} of memory and {needs.cpu_ratio:.2f} "
        "cores for the generator (estimates)"
    )
    if needs.largest_burst > 1:
        yield (
            f"Herd: up to {needs.largest_burst:,} devices act at the same instant, "
            f"{plan.in_flight:,} at most are served at once"
        )
