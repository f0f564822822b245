"""Plain: tables, numbers and times as every text report writes them."""

from rich import box
from rich.table import Table

_TEXTS = frozenset({"threshold", "measured", "groups", "outcome", "phase", "with"})


def plain_table(*columns: str) -> Table:
    """A table of text in the first column and figures in the others."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, name in enumerate(columns):
        is_text = position == 0 or name in _TEXTS
        table.add_column(name, justify="left" if is_text else "right", overflow="fold")
    return table


def number(count: int, what: str) -> str:
    """A count with its noun."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def shown_time(ms: float | None) -> str:
    """A duration of milliseconds in the unit that suits it."""
    if ms is None:
        return "-"
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    if ms >= 1000:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.3g} ms"
