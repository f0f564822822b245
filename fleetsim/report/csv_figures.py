"""CSV: every figure of ``summary.json`` as one row, for spreadsheets (RFC 4180).

Columns ``cohort`` (empty = the fleet), ``metric`` and ``value``. A metric is the path of
the figure in ``summary.json``, so it carries its unit as its name does there
(``latency.response.p99_ms``). Series over time are left out: analysts read
``records.parquet``.
"""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_APART: Final = frozenset({"cohorts", "thresholds"})

Row = tuple[str, str, str]


def render_csv(summary: Mapping[str, Any]) -> str:
    """Write the figures of a summary.

    Args:
        summary: As :func:`fleetsim.report.summary.build_summary` makes it.
    """
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(("cohort", "metric", "value"))
    writer.writerows(_rows(summary))
    return text.getvalue()


def _rows(summary: Mapping[str, Any]) -> Iterator[Row]:
    whole = {name: each for name, each in summary.items() if name not in _APART}
    yield from _figures("", (), whole)
    for threshold in summary["thresholds"]:
        path = ("thresholds", threshold["expression"])
        yield from _figures("", (*path, "value"), threshold["value"])
        yield from _figures("", (*path, "ok"), threshold["ok"])
    for cohort, figures in summary["cohorts"].items():
        yield from _figures(cohort, (), figures)


def _figures(cohort: str, path: tuple[str, ...], found: object) -> Iterator[Row]:
    match found:
        case Mapping():
            for name, each in found.items():
                yield from _figures(cohort, (*path, str(name)), each)
        case bool():
            yield _row(cohort, path, str(found).lower())
        case str() | int() | float():
            yield _row(cohort, path, str(found))
        case _:
            return  # lists are series or examples; None is no figure


def _row(cohort: str, path: tuple[str, ...], value: str) -> Row:
    return _harmless(cohort), _harmless(".".join(path)), _harmless(value)


def _harmless(text: str) -> str:
    """Text that a spreadsheet does not take for a formula (OWASP, "CSV Injection")."""
    is_number = text.removeprefix("-").replace(".", "", 1).replace("e", "", 1).isdigit()
    return f"'{text}" if text.startswith(_FORMULA) and not is_number else text
