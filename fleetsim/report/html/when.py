"""What happened when: the charts over time of a report, on one axis."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleetsim.core.contact import ContactState
from fleetsim.report.html.charts import (
    Chart,
    Line,
    TimeAxis,
    data_size,
    ms,
    plain,
    time_chart,
)
from fleetsim.report.html.scales import clock
from fleetsim.report.over_time import OverTime
from fleetsim.report.plain import shown_time

MAX_MARKS: Final = 40
"""Most marks on the axis: more than that would be a hatching."""

MAX_KINDS: Final = 6
"""Most series of failures; the rest is one series together."""

_PALETTE: Final = 8
_REST: Final = "other kinds"


def axis_of(summary: Mapping[str, Any], over: OverTime) -> TimeAxis:
    """The axis of time, with the actions of the timeline that began."""
    return TimeAxis(
        step_s=over.step_s,
        slots=over.slots,
        marks=tuple(
            (
                entry["started_s"],
                f"{entry['action']} {entry['name']}".rstrip()
                + f", at {entry['started_s']:.1f} s",
            )
            for entry in _marked(summary)
        ),
        warm_up_s=summary["warm_up_s"],
    )


def mark_numbers(summary: Mapping[str, Any]) -> dict[int, int]:
    """Position of an entry of the timeline to the number of its mark."""
    entries = summary["rehearsal"]["timeline"]["entries"]
    started = [n for n, entry in enumerate(entries) if entry["started_s"] is not None]
    return {
        position: number for number, position in enumerate(started[:MAX_MARKS], start=1)
    }


def _marked(summary: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    entries = summary["rehearsal"]["timeline"]["entries"]
    for position in mark_numbers(summary):
        yield entries[position]


def charts(
    summary: Mapping[str, Any], over: OverTime, axis: TimeAxis
) -> tuple[Chart, ...]:
    """All charts over time that have something to show."""
    if not over.slots:
        return ()
    found = [_states(summary, axis), _rates(over, axis), _latency(over, axis)]
    found.append(_failures(over, axis))
    found.append(_handshakes(over, axis))
    found.append(_groups(over, axis))
    found.append(_goodput(over, axis))
    return tuple(chart for chart in found if chart is not None and chart.shapes)


def _states(summary: Mapping[str, Any], axis: TimeAxis) -> Chart | None:
    states = summary["rehearsal"]["states"]
    if states is None or not states["over_time"]:
        return None
    series = resampled(states["over_time"], states["step_s"], axis)
    used = [
        state.value
        for state in (
            # healthy at the bottom, so that what is lost eats into it from above
            ContactState.CONNECTED,
            ContactState.RECOVERED,
            ContactState.DEGRADED,
            ContactState.FAILING,
            ContactState.STRANDED,
            ContactState.ASLEEP,
            ContactState.UNREACHED,
        )
        if any(point.get(state.value) for point in series)
    ]
    end = ", ".join(f"{count:,} {state}" for state, count in states["end"].items())
    return time_chart(
        axis,
        [
            Line(
                name=state,
                values=[float(point.get(state, 0)) for point in series],
                colour=f"state-{state}",
            )
            for state in used
        ],
        key="states",
        title="Devices by contact state",
        told=f"How many devices were in which state of contact; at the end {end}.",
        unit=plain,
        stacked=True,
    )


def resampled(
    series: list[dict[str, int]], step_s: int, axis: TimeAxis
) -> list[dict[str, int]]:
    """Bring a series of states, one point a step, onto the slots of the axis.

    A slot shows the state at its end: what the changes in it led to.
    """
    last = len(series) - 1
    return [
        series[min(last, ((slot + 1) * axis.step_s) // step_s)]
        for slot in range(axis.slots)
    ]


def _rates(over: OverTime, axis: TimeAxis) -> Chart:
    peak = max(over.per_second(over.uploads), default=0.0)
    return time_chart(
        axis,
        [
            Line(
                name="planned",
                values=over.per_second(over.arrivals),
                colour="max",
            ),
            Line(
                name="acknowledged",
                values=over.per_second(over.uploads),
                colour="series-3",
            ),
        ],
        key="uploads",
        title="Uploads a second",
        told="Uploads that the plan wanted against those the server acknowledged, a "
        f"second; at most {plain(peak)} were acknowledged.",
        unit=plain,
    )


def _latency(over: OverTime, axis: TimeAxis) -> Chart:
    p99 = [v for v in over.quantile_ms(over.response, 99) if v is not None]
    worst = shown_time(max(p99, default=None))
    return time_chart(
        axis,
        [
            Line(
                name=f"p{percent}",
                values=over.quantile_ms(over.response, percent),
                colour=f"p{percent}",
            )
            for percent in (50, 90, 99)
        ],
        key="response",
        title="Response time of uploads",
        told="Time from the planned start of an upload to its success, by percentile; "
        f"the 99th was at most {worst}.",
        unit=ms,
        logarithmic=True,
    )


def _failures(over: OverTime, axis: TimeAxis) -> Chart | None:
    totals = Counter({kind: counts.total() for kind, counts in over.failures.items()})
    if not totals:
        return None
    ranked = [kind for kind, _ in sorted(totals.items(), key=lambda i: (-i[1], i[0]))]
    lines = [
        Line(
            name=kind,
            values=over.per_second(over.failures[kind]),
            colour=f"series-{number}",
        )
        for number, kind in enumerate(ranked[:MAX_KINDS], start=1)
    ]
    rest: Counter[int] = Counter()
    for kind in ranked[MAX_KINDS:]:
        rest.update(over.failures[kind])
    if rest:
        lines.append(
            Line(name=_REST, values=over.per_second(rest), colour=f"series-{_PALETTE}")
        )
    return time_chart(
        axis,
        lines,
        key="failures",
        title="Failed attempts a second by kind",
        told=f"Failed attempts a second; {totals.total():,} in all, most of them "
        f"{ranked[0]}.",
        unit=plain,
        stacked=True,
    )


def _handshakes(over: OverTime, axis: TimeAxis) -> Chart | None:
    if not over.full and not over.resumed:
        return None
    names = (("full", over.full, "series-1"), ("resumed", over.resumed, "series-3"))
    return time_chart(
        axis,
        [
            Line(name=name, values=over.per_second(counts), colour=colour)
            for name, counts, colour in names
            if counts
        ],
        key="handshakes",
        title="Completed TLS handshakes a second",
        told=f"Full and resumed handshakes a second; {over.full.total():,} full and "
        f"{over.resumed.total():,} resumed in all.",
        unit=plain,
        stacked=True,
    )


def _groups(over: OverTime, axis: TimeAxis) -> Chart | None:
    if not over.groups:
        return None
    totals = [
        sum(counts[s] for counts in over.groups.values()) for s in range(over.slots)
    ]
    return time_chart(
        axis,
        [
            Line(
                name=group,
                values=[
                    100 * counts[slot] / total if total else 0.0
                    for slot, total in enumerate(totals)
                ],
                colour=f"series-{number % _PALETTE + 1}",
            )
            for number, (group, counts) in enumerate(sorted(over.groups.items()))
        ],
        key="groups",
        title="Cipher groups of successful attempts",
        told="Share of the successful attempts on each cipher group, in percent.",
        unit=lambda value: f"{value:.3g} %",
        stacked=True,
    )


def _goodput(over: OverTime, axis: TimeAxis) -> Chart:
    return time_chart(
        axis,
        [
            Line(
                name="on the wire, both ways",
                values=over.per_second(over.wire_bytes),
                colour="max",
            ),
            Line(
                name="stored files",
                values=over.per_second(over.body_bytes),
                colour="series-1",
            ),
        ],
        key="bytes",
        title="Bytes a second",
        told="Bytes of acknowledged files against all bytes on the wire, a second.",
        unit=lambda value: f"{data_size(value)}/s",
    )


def span_told(summary: Mapping[str, Any]) -> str:
    """How long a point of the charts is, and what of the run was warm-up."""
    warm_up_s = summary["warm_up_s"]
    return f" The first {clock(warm_up_s)} were warm-up." if warm_up_s else ""
