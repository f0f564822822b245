"""Both sides in words: figures, gaps, and what a reader must know about them."""

import io
from pathlib import Path

from fleetsim.core.observed import Handshakes, Layer, Observed, Refusal, Source
from fleetsim.recording.observed import write_observed
from fleetsim.report.console import make_console
from fleetsim.report.summary import build_summary
from fleetsim.report.terminal import print_summary
from tests.recording.records import record
from tests.report.runs import make_run
from tests.report.test_both_sides import RECORDS, front


def printed(folder: Path, observed: Observed | None) -> str:
    """Print the summary of a run; from its part on both sides on."""
    if observed is not None:
        write_observed(folder, observed)
    file = io.StringIO()
    print_summary(build_summary(folder), make_console(file))
    return file.getvalue().partition("Both sides of the wire")[2]


def lines_of(text: str) -> list[list[str]]:
    """Words of every line."""
    return [line.split() for line in text.splitlines() if line.strip()]


def test_both_sides_and_no_gap(tmp_path: Path) -> None:
    """Columns of what there is; notes are for gaps alone."""
    quiet = front(notes=("a note",))
    text = printed(make_run(tmp_path, RECORDS), Observed(sources=(quiet,)))
    lines = lines_of(text)
    assert lines[0] == ["devices", "front", "gap"]
    assert ["handshakes", "completed", "4", "4", "0"] in lines
    assert ["objects", "stored", "3", "3", "0"] in lines
    assert "a note" not in text
    assert "cut off" not in text


def test_a_gap_is_shown_with_what_is_known_of_it(tmp_path: Path) -> None:
    """Signed, with the notes of the sources and the attempts that were cut off."""
    lossy = front(
        handshakes=Handshakes(completed=1, refused={"tls.reset": 5}),
        notes=("a note",),
        others=7,
        is_complete=False,
    )
    refusal = Refusal(device="0000002B", kind="tls.verify.cert_revoked", count=2)
    text = printed(
        make_run(tmp_path, RECORDS), Observed(sources=(lossy,), refusals=(refusal,))
    )
    lines = lines_of(text)
    assert ["handshakes", "completed", "4", "1", "-3"] in lines
    assert ["handshakes", "refused", "2", "5", "+3"] in lines
    assert "The servers' side is incomplete." in text
    assert "The end of the run cut off 1 attempt." in text
    assert "access.log: a note" in text
    assert "access.log: left out 7 lines of others" in text
    pair = ["tls.alert.certificate_revoked", "tls.verify.cert_revoked"]
    assert [*pair, "1", "2", "2", "0"] in lines


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    """Without figures there is no table, but why there is none."""
    gone = Source(
        name="lab", kind="lab", layer=Layer.STORE, is_complete=False, notes=("died",)
    )
    text = printed(make_run(tmp_path, RECORDS), Observed(sources=(gone,)))
    assert "devices" not in text
    assert "lab: died" in text


def test_nobody_was_asked(tmp_path: Path) -> None:
    """The summary is as short as before."""
    assert not printed(make_run(tmp_path, (record(0),)), None)
