"""Page: a comparison as one HTML file, with the charts of its runs on top of each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fleetsim.report.compare.comparison import Comparison
from fleetsim.report.compare.texts import is_notable
from fleetsim.report.compare.wording import (
    change_table,
    difference_table,
    method_told,
    sentence,
    verdict,
)
from fleetsim.report.html.charts import (
    Chart,
    Line,
    TimeAxis,
    ms,
    percentile_chart,
    plain,
    time_chart,
)
from fleetsim.report.html.page import environment
from fleetsim.report.html.table import Table, code, figure, table, text
from fleetsim.report.over_time import OverTime, over_time, step_for
from fleetsim.report.plain import shown_time

_PALETTE: Final = 8
_TONES: Final = {"worse": "bad", "better": "good", "worse and better": "warn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One run against the first.

    Attributes:
        letter: Letter of the run.
        tone: How its verdict is set off.
        verdict: Its verdict.
        sentence: The verdict with its reason.
        differences: In what the scenarios differ.
        notable: Changes with a verdict, and those everybody asks for.
        others: All other changes.
        method: How the intervals were made.
        remarks: What else to know.
    """

    letter: str
    tone: str
    verdict: str
    sentence: str
    differences: Table
    notable: Table
    others: Table
    method: str
    remarks: tuple[str, ...]


def render_page(comparison: Comparison) -> str:
    """Make the page of a comparison.

    Raises:
        InputError: If the records of a run are damaged.
    """
    sections = tuple(_sections(comparison))
    tones = {section.tone for section in sections}
    tone = "bad" if "bad" in tones else "warn" if "warn" in tones else ""
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            title="Comparison",
            tone=tone or ("good" if "good" in tones else "neutral"),
            word=", ".join(f"{each.letter} {each.verdict}" for each in sections),
            letters=[side.letter for side in comparison.sides],
            runs=_runs(comparison),
            sections=sections,
            charts=tuple(chart for chart in _charts(comparison) if chart.shapes),
        )
    )


def _sections(comparison: Comparison) -> Iterator[Section]:
    for against in comparison.others:
        notable = [each for each in against.changes if is_notable(each)]
        others = [each for each in against.changes if not is_notable(each)]
        yield Section(
            letter=against.side.letter,
            tone=_TONES.get(verdict(against), ""),
            verdict=verdict(against),
            sentence=sentence(comparison, against),
            differences=difference_table(comparison, against),
            notable=change_table(comparison, against, notable),
            others=change_table(comparison, against, others),
            method=method_told(comparison, against),
            remarks=against.remarks,
        )


def _runs(comparison: Comparison) -> Table:
    return table(
        "Runs",
        {
            "": False,
            "run": False,
            "scenario": False,
            "verdict": False,
            "devices": True,
            "uploads": True,
            "response p50": True,
            "response p99": True,
            "generator": True,
        },
        *(
            (
                text(side.letter),
                code(side.name),
                code(side.summary["scenario"]),
                text(side.summary["verdict"]),
                figure(side.summary["devices"]["total"]),
                figure(side.summary["uploads"]["acknowledged"]),
                figure(shown_time(side.summary["latency"]["response"]["p50_ms"])),
                figure(shown_time(side.summary["latency"]["response"]["p99_ms"])),
                figure(
                    None
                    if side.run.generator is None
                    else f"{side.run.generator.cpu_ratio:.0%} of a core"
                ),
            )
            for side in comparison.sides
        ),
    )


def _charts(comparison: Comparison) -> Iterator[Chart]:
    sides = comparison.sides
    end_ns = max(side.run.records.last_ns for side in sides)
    step_s = step_for(end_ns)
    found = [
        over_time(side.run.path, side.run.records.last_ns, step_s) for side in sides
    ]
    axis = TimeAxis(
        step_s=step_s,
        slots=max(each.slots for each in found),
        warm_up_s=max(side.run.warm_up_ns for side in sides) / 1e9,
    )
    letters = [side.letter for side in sides]
    if not axis.slots:
        return
    for percent in (50, 99):
        yield time_chart(
            axis,
            _lines(
                letters, [each.quantile_ms(each.response, percent) for each in found]
            ),
            key=f"response-{percent}",
            title=f"Response time of uploads, p{percent}",
            told=f"Percentile {percent} of the response time of uploads, run by run.",
            unit=ms,
            logarithmic=True,
        )
    yield time_chart(
        axis,
        _lines(letters, [each.per_second(each.uploads) for each in found]),
        key="uploads",
        title="Acknowledged uploads a second",
        told="Acknowledged uploads a second, run by run.",
        unit=plain,
    )
    yield time_chart(
        axis,
        _lines(letters, [_failed(each) for each in found]),
        key="failures",
        title="Failed attempts a second",
        told="Failed attempts a second of all kinds, run by run.",
        unit=plain,
    )
    for key, title, phase, operations in (
        (
            "percentiles",
            "Response time of uploads by percentile",
            "response",
            ("upload",),
        ),
        ("handshakes", "TLS handshake by percentile", "tls", None),
    ):
        yield percentile_chart(
            {
                side.letter: (
                    f"series-{number % _PALETTE + 1}",
                    side.run.records.times_of(phase, operations),
                )
                for number, side in enumerate(sides)
            },
            key=key,
            title=title,
            told=f"{title}, run by run; both axes are logarithmic.",
        )


def _lines(
    letters: Sequence[str], values: Sequence[Sequence[float | None]]
) -> list[Line]:
    return [
        Line(name=letter, values=each, colour=f"series-{number % _PALETTE + 1}")
        for number, (letter, each) in enumerate(zip(letters, values, strict=True))
    ]


def _failed(over: OverTime) -> tuple[float, ...]:
    return tuple(
        sum(counts.get(slot, 0) for counts in over.failures.values()) / over.step_s
        for slot in range(over.slots)
    )
