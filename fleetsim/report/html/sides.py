"""Sides: who refused, and what the servers saw beside what the devices say."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleetsim.report.html.table import Cell, Table, code, figure, table, text
from fleetsim.report.plain import number
from fleetsim.report.refusals import By

MAX_ROWS: Final = 100
"""Most rows of a table; ``summary.json`` has all."""

_WHO: Final = {
    By.SERVER_TLS.value: "TLS server",
    By.FRONT.value: "HTTP front",
    By.S3.value: "S3 endpoint",
    By.DEVICE.value: "the device",
    By.NETWORK.value: "nobody: lost on the way",
    By.RUN.value: "the end of the run",
}


def refused(summary: Mapping[str, Any]) -> Table:
    """Who ended the failed attempts, in which phase and with what."""
    return table(
        "Who refused",
        {
            "refused by": False,
            "phase": False,
            "with": False,
            "attempts": True,
            "devices": True,
            "in their words": False,
        },
        *(
            (
                text(_WHO.get(each["by"], each["by"])),
                text(each["phase"]),
                code(each["answer"] or each["kind"]),
                figure(each["attempts"]),
                figure(each["devices"]),
                text(each["example"], "soft"),
            )
            for each in summary.get("refusals", ())[:MAX_ROWS]
        ),
    )


def both_sides(summary: Mapping[str, Any]) -> Table:
    """What devices say against what fronts and the store counted."""
    observed = _observed(summary)
    return table(
        "Both sides of the wire",
        {
            "what": False,
            "devices": True,
            "front": True,
            "difference": True,
            "store": True,
            "difference of the store": True,
        },
        *(
            (
                text(row["what"]),
                figure(row["devices"]),
                figure(row["front"]),
                _gap(row["gap"]),
                figure(row["store"]),
                _gap(row["store_gap"]),
            )
            for row in observed.get("rows", ())
        ),
    )


def told_at_front(summary: Mapping[str, Any]) -> Table:
    """What a device was told against what the front wrote down for it."""
    found = _observed(summary).get("refusals", ())
    return table(
        "The same refusals in the words of both sides",
        {
            "device says": False,
            "front says": False,
            "devices": True,
            "attempts": True,
            "at the front": True,
            "difference": True,
        },
        *(
            (
                code(each["device_says"] or "nothing"),
                code(each["front_says"]),
                figure(each["devices"]),
                figure(each["attempts"]),
                figure(each["at_front"]),
                _gap(each["gap"]),
            )
            for each in found[:MAX_ROWS]
        ),
    )


def remarks(summary: Mapping[str, Any]) -> Iterator[str]:
    """What to know about the servers' side."""
    observed = _observed(summary)
    if not observed:
        return
    if not observed["is_complete"]:
        yield "The servers' side is incomplete."
    if observed["cut_off"]:
        yield f"The end of the run cut off {number(observed['cut_off'], 'attempt')}."
    yield from observed["notes"]
    for source in observed["sources"]:
        yield from (f"{source['name']}: {note}" for note in source["notes"])
        if source["others"]:
            others = number(source["others"], "line")
            yield f"{source['name']}: left out {others} of others."


def _observed(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The servers' side; empty when nobody looked there."""
    observed: Mapping[str, Any] | None = summary.get("observed")
    return observed if observed and observed["sources"] else {}


def _gap(gap: int | None) -> Cell:
    return (
        figure(None)
        if gap is None
        else figure(f"{gap:+,}" if gap else "0", "warn" if gap else "")
    )
