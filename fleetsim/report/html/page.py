"""Page: ``report.html``, a pure function of the run folder.

One file without any outside resource, made to be mailed, printed and opened in ten
years. Its size is bounded: series have at most
:data:`~fleetsim.report.over_time.MAX_SLOTS` points, lists are cut (and say so), and
nothing in it grows with the number of attempts.
"""

import contextlib
import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from fleetsim.core.histogram import Histogram
from fleetsim.exceptions import RecordingError
from fleetsim.recording.names import REPORT
from fleetsim.report.aggregate import HANDSHAKE
from fleetsim.report.failure_cells import FailureCell, failure_cells
from fleetsim.report.handshake_bill import Bill, handshake_bill
from fleetsim.report.headline import headline, is_good, verdict_word
from fleetsim.report.html import honesty, particulars, sides, tables, when
from fleetsim.report.html.bars import phase_bars
from fleetsim.report.html.charts import Chart, data_size, percentile_chart
from fleetsim.report.load import Run
from fleetsim.report.over_time import OverTime, over_time
from fleetsim.report.plain import number, shown_time
from fleetsim.report.staleness import LastSeen, last_seen, staleness
from fleetsim.report.summary import summarise

MAX_STRANDED: Final = 2000
"""Most stranded devices listed; the count is always complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All that a report is made of.

    Attributes:
        run: The run.
        summary: Its summary.
        over: Its records over time.
        cells: Its failures.
        bill: Its handshakes.
        seen: When each device was last seen.
    """

    run: Run
    summary: Mapping[str, Any]
    over: OverTime
    cells: tuple[FailureCell, ...]
    bill: Bill
    seen: LastSeen


def gather(run: Run, summary: Mapping[str, Any] | None = None) -> Material:
    """Read what a report needs beyond the summary.

    Args:
        run: The run.
        summary: Its summary, when it was made already.

    Raises:
        InputError: If a file of the folder is damaged.
    """
    return Material(
        run=run,
        summary=summarise(run) if summary is None else summary,
        over=over_time(run.path, run.records.last_ns),
        cells=failure_cells(run.path),
        bill=handshake_bill(run.path),
        seen=last_seen(run.path),
    )


def render(material: Material) -> str:
    """Make the page of a run."""
    run, summary, over = material.run, material.summary, material.over
    axis = when.axis_of(summary, over)
    rehearsal = summary["rehearsal"]
    contacts = run.rehearsal.contacts.get(None)
    stranded = [] if contacts is None else contacts.stranded
    stale = staleness(run.rehearsal.entries, material.seen, run.records.cohort_of)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=f"{summary['scenario']} · {verdict_word(summary)}",
            summary=summary,
            word=verdict_word(summary),
            tone={True: "good", False: "bad", None: "warn"}[is_good(summary)],
            sentence=headline(summary),
            about=_about(run),
            tiles=tuple(_tiles(summary)),
            thresholds=tables.thresholds(summary),
            charts=when.charts(summary, over, axis),
            step_s=over.step_s,
            warm_up=when.span_told(summary),
            timeline=tables.timeline(
                rehearsal["timeline"]["entries"], when.mark_numbers(summary)
            ),
            aborted=rehearsal["timeline"]["aborted"],
            intervals=tables.intervals(rehearsal["timeline"]["intervals"]),
            percentiles=_percentiles(run),
            latency=tables.latency(summary),
            bars=phase_bars(run.records),
            operations=tables.operations(summary),
            cohorts=tables.cohorts(summary),
            failures=particulars.failures(material.cells),
            failures_hidden=max(0, len(material.cells) - particulars.MAX_CELLS),
            refused=sides.refused(summary),
            both_sides=sides.both_sides(summary),
            told_at_front=sides.told_at_front(summary),
            sides_remarks=tuple(sides.remarks(summary)),
            negotiated=particulars.negotiated(material.bill),
            bill=tuple(
                particulars.bill_totals(
                    material.bill,
                    devices=summary["devices"]["total"],
                    seconds=summary["seconds"],
                    shortened_by=honesty.shortened_by(run.manifest),
                )
            )
            if material.bill.completed or material.bill.failed
            else (),
            groups=summary["cipher_groups"],
            stale=stale,
            stale_table=particulars.stale(stale),
            contact=None
            if rehearsal["states"] is None
            else tables.contact(rehearsal["states"]),
            recovery=tuple(tables.recovery(summary)),
            traffic=tuple(tables.traffic(summary)),
            proofs=particulars.proofs(stranded[:MAX_STRANDED]),
            stranded_hidden=max(0, len(stranded) - MAX_STRANDED),
            healed=0
            if contacts is None
            else contacts.stranded_ever - len(contacts.stranded),
            honesty=tuple(honesty.remarks(run, summary)),
            rerun=honesty.command(run.manifest),
            facts=tuple(honesty.facts(run)),
            scenario=yaml.safe_dump(
                run.manifest.get("scenario", {}), sort_keys=False, allow_unicode=True
            ),
        )
    )


def write_report(run: Run, summary: Mapping[str, Any] | None = None) -> Path:
    """Make the page of a run and write it into its folder.

    Args:
        run: The run.
        summary: Its summary, when it was made already.

    Returns:
        The file.

    Raises:
        InputError: If a file of the folder is damaged.
        RecordingError: If the page cannot be written.
    """
    path = run.path / REPORT
    write_page(path, render(gather(run, summary)))
    return path


def write_page(path: Path, page: str) -> None:
    """Write a page whole or not at all.

    Raises:
        RecordingError: If it cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(page, encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RecordingError(str(path), exc.strerror or str(exc)) from exc


@cache
def environment() -> jinja2.Environment:
    """The templates; everything put into them is escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("fleetsim.report.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = _text("fleetsim.report.web", "palette.css") + _text(
        "fleetsim.report.html", "templates", "page.css"
    )
    script = _text("fleetsim.report.html", "templates", "page.js")
    made.globals |= {
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
    }
    return made


def _text(package: str, *path: str) -> str:
    return files(package).joinpath(*path).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Hash of an inline style or script (Content Security Policy Level 3, 2.3.1)."""
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"sha256-{b64encode(digest).decode('ascii')}"


def _about(run: Run) -> str:
    scenario = run.manifest.get("scenario")
    told = scenario.get("description") if isinstance(scenario, dict) else ""
    return str(told or "")


def _tiles(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The few figures that everybody asks for: name, figure, remark."""
    states = summary["rehearsal"]["states"]
    end = summary["devices"]["by_state"] if states is None else states["end"]
    total = summary["devices"]["total"]
    yield (
        "devices in contact at the end",
        f"{tables.in_contact(end):,}",
        f"of {total:,}",
    )
    uploads = summary["uploads"]
    stored = uploads["stored"]
    yield (
        "uploads acknowledged",
        f"{uploads['acknowledged']:,}",
        "bucket not compared" if stored is None else f"{stored:,} found in the bucket",
    )
    response = summary["latency"]["response"]
    yield (
        "response time, 99 %",
        shown_time(response["p99_ms"]),
        f"median {shown_time(response['p50_ms'])}",
    )
    operations = {k: v for k, v in summary["operations"].items() if k != HANDSHAKE}
    attempts = sum(each["attempts"] for each in operations.values())
    failed = sum(each["failed"] for each in operations.values())
    share = (
        f"{failed / attempts:.2%} of {number(attempts, 'attempt')}" if attempts else ""
    )
    yield "failed attempts", f"{failed:,}", share
    rate = summary["throughput"]
    yield (
        "handshakes a second",
        f"{rate['handshakes_per_s']:,.3g}",
        f"{number(sum(summary['cipher_suites'].values()), 'handshake')} completed",
    )
    yield (
        "goodput",
        f"{data_size(rate['goodput_bytes_per_s'])}/s",
        f"{rate['uploads_per_s']:,.3g} uploads a second",
    )


def _percentiles(run: Run) -> Chart | None:
    uploads = ("upload",)
    times: dict[str, tuple[str, Histogram]] = {
        "response time": ("series-1", run.records.times_of("response", uploads)),
        "service time": ("series-2", run.records.times_of("total", uploads)),
        "TLS handshake": ("series-4", run.records.times_of("tls")),
    }
    chart = percentile_chart(
        times,
        key="percentiles",
        title="Latency by percentile",
        told="How long the given share of the uploads and of the handshakes took at "
        "most; both axes are logarithmic.",
    )
    return chart if chart.shapes else None
