"""Markdown: a report for a pull request, a ticket or a wiki (GitHub Flavored Markdown).

The same tables as the page, without charts. Everything that came from a scenario, a
device or a peer is escaped: it can neither add markup nor break out of its cell.
"""

import re
from collections.abc import Iterable, Iterator

from fleetsim.report.headline import headline, verdict_word
from fleetsim.report.html import honesty, particulars, sides, tables, when
from fleetsim.report.html.page import Material
from fleetsim.report.html.table import Cell, Table
from fleetsim.report.staleness import staleness

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~#&])")
_LINE_END = re.compile(r"[\r\n\x0b\x0c\x85\u2028\u2029]+")
_FENCE = re.compile(r"`+")


def render_markdown(material: Material) -> str:
    """Make the report of a run as Markdown."""
    return "\n".join(_lines(material)) + "\n"


def _lines(material: Material) -> Iterator[str]:
    run, summary, bill = material.run, material.summary, material.bill
    rehearsal = summary["rehearsal"]
    yield f"# {escape(summary['scenario'])}: {escape(verdict_word(summary))}"
    yield ""
    yield escape(headline(summary))
    yield ""
    yield from _section("Thresholds", tables.thresholds(summary))
    yield from _section("Latency", tables.latency(summary))
    yield from _section("Operations", tables.operations(summary))
    yield from _pairs(tables.traffic(summary))
    yield from _section("Failures", particulars.failures(material.cells))
    yield from _section("Who refused", sides.refused(summary))
    yield from _section("Both sides of the wire", sides.both_sides(summary))
    yield from _section("TLS", particulars.negotiated(bill))
    yield from _pairs(
        particulars.bill_totals(
            bill,
            devices=summary["devices"]["total"],
            seconds=summary["seconds"],
            shortened_by=honesty.shortened_by(run.manifest),
        )
        if bill.completed or bill.failed
        else ()
    )
    numbers = when.mark_numbers(summary)
    entries = rehearsal["timeline"]["entries"]
    yield from _section("Timeline", tables.timeline(entries, numbers))
    found = staleness(run.rehearsal.entries, material.seen, run.records.cohort_of)
    yield from _section("Who has proved the change", particulars.stale(found))
    if rehearsal["states"] is not None:
        yield from _section("Contact", tables.contact(rehearsal["states"]))
    yield from _pairs(tables.recovery(summary))
    contacts = run.rehearsal.contacts.get(None)
    for proof in particulars.proofs(contacts.stranded if contacts else ()):
        ids = ", ".join(code_span(device) for device, _, _ in proof.devices[:20])
        more = f" and {len(proof.devices) - 20:,} more" if proof.devices[20:] else ""
        yield f"- **{len(proof.devices):,} stranded**: {escape(proof.reason)} ({ids}{more})"
    yield ""
    yield from _section("Cohorts", tables.cohorts(summary))
    yield "## Honesty"
    yield ""
    for remark in honesty.remarks(run, summary):
        yield f"- **{escape(remark.name)}**: {escape(remark.told)}"
    yield ""
    yield "## Run it again"
    yield ""
    yield from _pairs(honesty.facts(run))


def _section(title: str, table: Table) -> Iterator[str]:
    if not table.rows:
        return
    yield f"## {title}"
    yield ""
    yield from markdown_table(table)
    yield ""


def _pairs(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    lines = [f"- {escape(name)}: {escape(value)}" for name, value in found]
    if lines:
        yield from lines
        yield ""


def markdown_table(table: Table) -> Iterator[str]:
    """Write a table, line by line."""
    yield _row(table.head)
    yield "|" + "|".join(" ---: " if c.is_number else " --- " for c in table.head) + "|"
    for row in table.rows:
        yield _row(row)


def _row(cells: Iterable[Cell]) -> str:
    shown = (
        code_span(cell.text) if cell.tone == "mono" else escape(cell.text)
        for cell in cells
    )
    return f"| {' | '.join(shown)} |"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", _LINE_END.sub(" ", text))


def code_span(text: str) -> str:
    """Code that stays code whatever is in it, also within a table (GFM 4.10, 6.3)."""
    flat = _LINE_END.sub(" ", text).strip()
    if not flat:
        return ""
    longest = max((len(run) for run in _FENCE.findall(flat)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{flat}{pad}{fence}".replace("|", r"\|")
