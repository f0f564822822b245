"""Sides: whose word a refusal was, and what the servers saw."""

from pathlib import Path
from typing import Any

from fleetsim.report.html import sides
from fleetsim.report.html.table import Table
from fleetsim.report.summary import build_summary
from tests.recording.records import record
from tests.report.runs import make_run

OBSERVED: dict[str, Any] = {
    "rows": [
        {
            "what": "handshakes completed",
            "devices": 10,
            "front": 12,
            "gap": 2,
            "store": None,
            "store_gap": None,
        }
    ],
    "cut_off": 1,
    "notes": ["a note"],
    "is_complete": False,
    "refusals": [
        {
            "device_says": "",
            "front_says": "tls.alert.certificate_expired",
            "devices": 1,
            "attempts": 3,
            "at_front": 3,
            "gap": 0,
        }
    ],
    "sources": [{"name": "front", "notes": ["theirs"], "others": 4}],
}


def texts(found: Table) -> list[list[str]]:
    """Texts of its rows."""
    return [[cell.text for cell in row] for row in found.rows]


def test_a_refusal_names_whose_word_it_was(tmp_path: Path) -> None:
    """In the words of the summary."""
    failed = record(
        kind="tls.verify.cert_has_expired",
        phase="tls",
        suite="",
        status=0,
        detail="certificate has expired",
    )
    summary = build_summary(make_run(tmp_path, [failed]))
    ((by, phase, kind, attempts, devices, words),) = texts(sides.refused(summary))
    assert (by, phase, kind) == ("the device", "tls", "tls.verify.cert_has_expired")
    assert (attempts, devices, words) == ("1", "1", "certificate has expired")


def test_differences_between_both_sides_are_set_off() -> None:
    """A difference is no verdict, but it wants an explanation."""
    summary = {"observed": OBSERVED}
    found = sides.both_sides(summary)
    assert texts(found)[0][:4] == ["handshakes completed", "10", "12", "+2"]
    assert found.rows[0][3].tone == "warn"
    assert texts(sides.told_at_front(summary))[0][0] == "nothing"
    assert list(sides.remarks(summary)) == [
        "The servers' side is incomplete.",
        "The end of the run cut off 1 attempt.",
        "a note",
        "front: theirs",
        "front: left out 4 lines of others.",
    ]


def test_where_nobody_looked_there_is_nothing_to_tell() -> None:
    """An older summary has no such key."""
    for summary in ({}, {"observed": None}, {"observed": OBSERVED | {"sources": []}}):
        assert sides.both_sides(summary).rows == ()
        assert sides.refused(summary).rows == ()
        assert list(sides.remarks(summary)) == []
