"""Honesty: what a reader must know before believing the figures, and how to check them."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.load import Run
from fleetsim.report.plain import number, shown_time

_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that was checked.

    Attributes:
        name: What.
        tone: Whether it is well.
        told: What was found.
    """

    name: str
    tone: Literal["good", "bad", "warn", "soft"]
    told: str


def remarks(run: Run, summary: Mapping[str, Any]) -> Iterator[Remark]:
    """What was checked about the run itself, one remark each."""
    yield _generator(summary)
    yield from _lags(summary)
    yield _rows(run, summary)
    yield _truth(summary)
    yield _unclassified(summary)
    yield from _clocks(run, summary)
    profiles = ", ".join(summary["profiles"]) or "unknown"
    yield Remark(
        "Device profiles",
        "soft",
        f"{profiles}. The reference device's cipher table is not public: what a profile "
        "does not document is inferred, and fleetsim profiles NAME says which.",
    )


def _generator(summary: Mapping[str, Any]) -> Remark:
    health = summary["generator"]
    name = "Load generator"
    if health is None:
        return Remark(name, "warn", "The run ended before it could judge itself.")
    cpu_s = health["cpu_ratio"] * health["seconds"]
    each = (
        f", {shown_time(cpu_s * 1000 / health['starts'])} of CPU for each attempt with "
        "its handshake, signature and record"
        if health["starts"]
        else ""
    )
    if health.get("devices_lost"):
        return Remark(
            name,
            "bad",
            f"{number(health['devices_lost'], 'device')} went down with a process of "
            "it: what ran is a smaller fleet than was planned.",
        )
    used = f"It used {health['cpu_ratio']:.0%} of one core{each}."
    if health["saturated"]:
        reasons = "; ".join(health["reasons"])
        return Remark(
            name,
            "bad",
            f"Saturated: {reasons}. Times are the generator's, not the target's. {used}",
        )
    return Remark(name, "good", f"{used} It was not the limit.")


def _lags(summary: Mapping[str, Any]) -> Iterator[Remark]:
    health = summary["generator"]
    if health is None:
        return
    late, starts = health["late_starts"], health["starts"]
    share = f" ({late / starts:.2%})" if starts and late else ""
    yield Remark(
        "Late starts",
        "warn" if starts and late / starts > 0.01 else "good",
        f"{late:,} of {number(starts, 'attempt')}{share} started noticeably after they "
        f"were due; 99 % within {shown_time(health['start_lag_p99_ms'])}. Lateness is "
        "part of the response time, never hidden.",
    )
    yield Remark(
        "Event loop",
        "good" if health["loop_lag_p99_ms"] < 50 else "warn",
        f"99 % of its turns came at most {shown_time(health['loop_lag_p99_ms'])} late: "
        "no time below that can be told apart from the generator's own.",
    )


def _rows(run: Run, summary: Mapping[str, Any]) -> Remark:
    recorded = run.records.attempts_at().count
    health = summary["generator"]
    name = "Records"
    if run.outcome is RunOutcome.RUNNING:
        return Remark(
            name,
            "warn",
            f"{number(recorded, 'attempt')} up to the last flush before the run was "
            "killed (or it is still going on).",
        )
    if health is None or not health["starts"]:
        return Remark(name, "soft", f"{number(recorded, 'attempt')} recorded.")
    missing = health["starts"] - recorded
    if missing:
        return Remark(
            name,
            "bad",
            f"{number(health['starts'], 'attempt')} started but {recorded:,} recorded: "
            f"{abs(missing):,} rows {'are missing' if missing > 0 else 'too many'}.",
        )
    return Remark(
        name,
        "good",
        f"{number(recorded, 'attempt')} started, as many recorded: no row was dropped, "
        "none was sampled.",
    )


def _truth(summary: Mapping[str, Any]) -> Remark:
    name, audit = "Truth check", summary["audit"]
    if audit is None or not audit["checked"]:
        why = f": {audit['reason']}" if audit and audit["reason"] else ""
        tone: Literal["bad", "warn"] = "bad" if audit and audit["failed"] else "warn"
        return Remark(name, tone, f"The bucket was not compared{why}.")
    uploads = summary["uploads"]
    if uploads["unaccounted"]:
        examples = ", ".join(audit["examples"][:3])
        parts = ", ".join(
            f"{audit[key]:,} {words}"
            for key, words in (
                ("missing", "missing"),
                ("wrong_size", "of wrong size"),
                ("wrong_etag", "of wrong content"),
                ("unexplained", "that nobody sent"),
            )
            if audit[key]
        )
        return Remark(name, "bad", f"{parts}; for example {examples}.")
    told = (
        f"{uploads['acknowledged']:,} acknowledged = {audit['stored']:,} found in the "
        "bucket, by size and MD5"
    )
    if audit["size_only"]:
        told += f"; {audit['size_only']:,} by size only (their ETag is no MD5)"
    if audit["late"]:
        told += f"; {audit['late']:,} more arrived whose answer was lost"
    return Remark(name, "good", f"{told}.")


def _unclassified(summary: Mapping[str, Any]) -> Remark:
    found = summary["unclassified"]
    if found:
        return Remark(
            "Failures without a kind", "bad", f"{found:,}: each is a bug of fleetsim."
        )
    return Remark("Failures without a kind", "good", "None.")


def _clocks(run: Run, summary: Mapping[str, Any]) -> Iterator[Remark]:
    told = (
        "Durations come from one monotonic clock of one machine. Latencies leave out "
        f"what was planned in the first {summary['warm_up_s']:g} s (warm-up)."
        if summary["warm_up_s"]
        else "Durations come from one monotonic clock of one machine; there was no "
        "warm-up to leave out."
    )
    scenario = run.manifest.get("scenario")
    calendar = scenario.get("calendar") if isinstance(scenario, dict) else None
    if isinstance(calendar, dict):
        told += (
            f" Devices and lab lived by a calendar from {calendar.get('start')}, "
            f"{calendar.get('time_scale', 1)} s of it a second."
        )
    factor = shortened_by(run.manifest)
    if factor > 1:
        told += (
            f" All times of the scenario were divided by {factor:g}: rates are that "
            "much higher than in the fleet it stands for."
        )
    yield Remark("Clock", "soft", told)
    seconds, planned_s = summary["seconds"], run.duration_ns / 1e9
    if summary["verdict"] == "interrupted" and planned_s:
        yield Remark(
            "Length",
            "warn",
            f"{seconds:,.0f} s of {planned_s:,.0f} s: everything here is about the part "
            "that took place.",
        )


def shortened_by(manifest: Mapping[str, Any]) -> float:
    """What all times of the scenario were divided by, >= 1."""
    scenario = manifest.get("scenario")
    factor = scenario.get("shorten_by") if isinstance(scenario, dict) else None
    return float(factor) if isinstance(factor, int | float) and factor > 1 else 1.0


def command(manifest: Mapping[str, Any]) -> str:
    """The command that runs the scenario below again with the same plan."""
    return shlex.join(
        ("fleetsim", "run", "scenario.yaml", "--seed", str(manifest.get("seed", 0)))
    )


def facts(run: Run) -> Iterator[tuple[str, str]]:
    """What was run, on what, with which versions, as name and value."""
    manifest = run.manifest
    for name, key in (
        ("run", "run"),
        ("scenario", "scenario_name"),
        ("seed", "seed"),
        ("plan SHA-256", "plan_sha256"),
        ("started", "started"),
        ("ended", "ended"),
        ("outcome", "outcome"),
    ):
        if manifest.get(key) is not None:
            yield name, str(manifest[key])
    host = manifest.get("host")
    if isinstance(host, dict):
        memory = host.get("memory_bytes")
        told = [str(host.get(key, "")) for key in ("processor", "machine", "system")]
        cores = host.get("cpus_usable")
        if cores:
            told.append(f"{cores} usable cores")
        if isinstance(memory, int):
            told.append(f"{memory / _GIB:.1f} GiB of memory")
        yield "host", ", ".join(filter(None, told))
    versions = manifest.get("versions")
    if isinstance(versions, dict):
        yield "versions", ", ".join(f"{name} {of}" for name, of in versions.items())
