"""Tables of a report: the figures of ``summary.json`` as people read them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleetsim.core.contact import ContactState
from fleetsim.recording.latency import CONNECTION_PHASES
from fleetsim.report.html.charts import data_size
from fleetsim.report.html.scales import clock
from fleetsim.report.html.table import Cell, Table, code, figure, table, text
from fleetsim.report.plain import shown_time

_QUANTILES: Final = {
    "p50": "p50_ms",
    "p90": "p90_ms",
    "p99": "p99_ms",
    "p99.9": "p999_ms",
    "max": "max_ms",
}
_PHASES: Final = {
    "dns": "name resolution",
    "tcp": "TCP connect",
    "tls": "TLS handshake",
    "send": "request handed over",
    "wait": "until the last byte of the answer",
    "total": "service time: from the start of an attempt",
    "response": "response time: from the moment the plan wanted it",
}


def thresholds(summary: Mapping[str, Any]) -> Table:
    """Each threshold, what was measured, and whether it holds."""
    return table(
        "Thresholds of the scenario",
        {"verdict": False, "threshold": False, "measured": True},
        *(_threshold(each) for each in summary["thresholds"]),
    )


def _threshold(each: Mapping[str, Any]) -> tuple[Cell, ...]:
    is_damage = each.get("expect") == "fail"
    is_good = each["ok"] is not is_damage
    word = "holds" if each["ok"] else "broken"
    if is_damage:
        word = "holds, but must not" if each["ok"] else "broken, as the scenario shows"
    mark = "\N{HEAVY CHECK MARK}" if is_good else "\N{HEAVY BALLOT X}"
    tone: Any = "good" if is_good else "bad"
    measured = each["reason"] if each["value"] is None else measured_value(each)
    return (
        text(f"{mark} {word}", tone),
        code(each["expression"]),
        figure(measured),
    )


def measured_value(threshold: Mapping[str, Any]) -> str:
    """Write the figure of a threshold in its unit; there must be one."""
    value: float = threshold["value"]
    match threshold["unit"]:
        case "duration":
            return shown_time(value * 1000)
        case "ratio":
            return f"{value * 100:.3g} %"
        case _:
            return f"{value:,.0f}"


def latency(summary: Mapping[str, Any]) -> Table:
    """Quantiles of every phase."""
    return table(
        "Latency of successful attempts by phase",
        {"phase": False, "count": True}
        | dict.fromkeys(_QUANTILES, True)
        | {"of": False, "what it is": False},
        *(
            (
                code(phase),
                figure(figures["count"]),
                *(figure(shown_time(figures[key])) for key in _QUANTILES.values()),
                text("connections" if phase in CONNECTION_PHASES else "uploads"),
                text(_PHASES.get(phase, ""), "soft"),
            )
            for phase, figures in summary["latency"].items()
            if figures["count"]
        ),
    )


def operations(summary: Mapping[str, Any]) -> Table:
    """What the devices attempted."""
    return table(
        "Operations",
        {
            "operation": False,
            "attempts": True,
            "ok": True,
            "failed": True,
            "cut off": True,
            "attempts each": True,
            "response p50": True,
            "response p99": True,
        },
        *(
            (
                code(operation),
                figure(figures["attempts"]),
                figure(figures["ok"]),
                figure(figures["failed"], "bad" if figures["failed"] else ""),
                figure(figures["stopped"]),
                figure(_amplification(figures)),
                figure(shown_time(figures["response"]["p50_ms"])),
                figure(shown_time(figures["response"]["p99_ms"])),
            )
            for operation, figures in summary["operations"].items()
        ),
    )


def _amplification(figures: Mapping[str, Any]) -> str | None:
    found = figures.get("amplification")
    return None if found is None else f"{found:.2f}"


def cohorts(summary: Mapping[str, Any]) -> Table:
    """The cohorts side by side."""
    return table(
        "Cohorts",
        {
            "cohort": False,
            "devices": True,
            "in contact at the end": True,
            "stranded": True,
            "uploads": True,
            "failed attempts": True,
            "cipher groups": False,
            "response p50": True,
            "response p99": True,
            "oldest newest file": True,
        },
        *(
            _cohort(name, figures)
            for name, figures in summary.get("cohorts", {}).items()
        ),
    )


def _cohort(name: str, figures: Mapping[str, Any]) -> tuple[Cell, ...]:
    rehearsal = figures["rehearsal"]
    states = rehearsal["states"]
    end = figures["devices"]["by_state"] if states is None else states["end"]
    stranded = end.get(ContactState.STRANDED.value, 0)
    failures = sum(figures["failures"].values())
    response = figures["latency"]["response"]
    return (
        code(name),
        figure(figures["devices"]["total"]),
        figure(in_contact(end)),
        figure(stranded, "bad" if stranded else ""),
        figure(figures["uploads"]["acknowledged"]),
        figure(failures, "bad" if failures else ""),
        text(
            ", ".join(
                f"{group}: {n:,}" for group, n in figures["cipher_groups"].items()
            )
        ),
        figure(shown_time(response["p50_ms"])),
        figure(shown_time(response["p99_ms"])),
        figure(span(rehearsal["freshness_s"]["max"])),
    )


def in_contact(by_state: Mapping[str, int]) -> int:
    """Devices that are connected, degraded or recovered."""
    good = (ContactState.CONNECTED, ContactState.DEGRADED, ContactState.RECOVERED)
    return sum(by_state.get(state.value, 0) for state in good)


def contact(states: Mapping[str, Any]) -> Table:
    """Devices by state: at the start, at the worst moment, at the end."""
    worst = states["worst"]
    rows = [("start", states["start"])]
    if worst["at_s"] is not None:
        rows.append((f"worst, at {clock(worst['at_s'])}", worst["counts"]))
    rows.append(("end", states["end"]))
    used = [
        state.value
        for state in ContactState
        if any(counts.get(state.value) for _, counts in rows)
    ]
    return table(
        "Devices by contact state",
        {"moment": False} | dict.fromkeys(used, True),
        *(
            (text(label), *(figure(counts.get(state, 0)) for state in used))
            for label, counts in rows
        ),
    )


def timeline(entries: list[Mapping[str, Any]], numbers: Mapping[int, int]) -> Table:
    """What the scenario did, when it meant to and when it did.

    Args:
        entries: As ``summary.json`` has them.
        numbers: Position of an entry to its mark in the charts.
    """
    return table(
        "Timeline of the scenario",
        {
            "mark": True,
            "action": False,
            "planned": True,
            "started": True,
            "ended": True,
            "outcome": False,
        },
        *(
            (
                figure(numbers.get(position)),
                code(f"{entry['action']} {entry['name']}".rstrip()),
                *(
                    figure(moment(entry[key]))
                    for key in ("planned_s", "started_s", "ended_s")
                ),
                text(
                    ": ".join(filter(None, (entry["outcome"], entry["reason"]))),
                    "" if entry["outcome"] == "done" else "bad",
                ),
            )
            for position, entry in enumerate(entries)
        ),
    )


def intervals(found: list[Mapping[str, Any]]) -> Table:
    """Failures between one change and the next."""
    return table(
        "Failed attempts between changes",
        {"from": True, "to": True, "after": False, "failed attempts by kind": False},
        *(
            (
                figure(moment(each["from_s"])),
                figure("end" if each["to_s"] is None else moment(each["to_s"])),
                text(", ".join(each["after"]) or "the start"),
                code(", ".join(f"{k}: {n:,}" for k, n in each["failures"].items())),
            )
            for each in found
        ),
    )


def recovery(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Times to detect and to recover, freshness and files, as name and figure."""
    rehearsal = summary["rehearsal"]
    for name, key in (
        ("time from a change to the first failure it caused", "time_to_detect_s"),
        ("time to recover from a failure", "time_to_recover_s"),
        ("age of the newest stored file of a device at the end", "freshness_s"),
    ):
        times = rehearsal[key]
        if times["count"]:
            yield (
                name,
                (
                    f"median {span(times['p50'])}, 99 % {span(times['p99'])}, "
                    f"longest {span(times['max'])} ({times['count']:,})"
                ),
            )
    lost = rehearsal["time_to_recover_s"]["not_recovered"]
    if lost:
        yield "devices that failed and did not recover", f"{lost:,}"
    files = rehearsal["files"]
    told = ", ".join(
        f"{files[key]:,} {words}"
        for key, words in (
            ("closed", "closed"),
            ("late", "uploaded more than a file period late"),
            ("lost", "lost on full cards"),
            ("backlog", "left on the cards at the end"),
        )
        if files[key] is not None
    )
    yield "log files", told


def traffic(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Rates of the whole run."""
    found = summary["throughput"]
    yield "uploads", f"{found['uploads_per_s']:,.3g} a second"
    yield "attempts", f"{found['attempts_per_s']:,.3g} a second"
    yield "TLS handshakes", f"{found['handshakes_per_s']:,.3g} a second"
    yield "goodput", f"{data_size(found['goodput_bytes_per_s'])}/s of stored files"
    wire = found["bytes_sent"] + found["bytes_received"]
    yield "on the wire", f"{data_size(wire)} both ways, TLS included"


def moment(at_s: float | None) -> str | None:
    """A run time with a tenth of a second."""
    return None if at_s is None else f"{at_s:,.1f} s"


def span(seconds: float | None) -> str:
    """A duration of seconds in the unit that suits it."""
    return shown_time(None if seconds is None else seconds * 1000)
