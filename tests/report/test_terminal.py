"""The summary in words: the verdict first, plain without a terminal."""

import io
import re
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import AuditOutcome, DeviceOutcome
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.console import make_console
from fleetsim.report.summary import build_summary
from fleetsim.report.terminal import print_summary
from tests.recording.records import record
from tests.report.runs import SATURATED, make_run


class Terminal(io.StringIO):
    """A text file that claims to be a terminal."""

    def isatty(self) -> bool:
        """Claim it."""
        return True


class AsciiFile(io.StringIO):
    """A text file that can hold ASCII only."""

    encoding = "ascii"


def printed(folder: Path, file: io.StringIO | None = None) -> str:
    """Print the summary of a run."""
    file = io.StringIO() if file is None else file
    print_summary(build_summary(folder), make_console(file))
    return file.getvalue()


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            {},
            "PASSED quickstart: 0 devices, 1 upload acknowledged in 0.0 s",
        ),
        (
            {"generator": SATURATED},
            (
                "PASSED quickstart: 0 devices, 1 upload acknowledged in 0.0 s; "
                "generator saturated: times are the generator's, not the target's"
            ),
        ),
        (
            {"outcome": RunOutcome.RUNNING},
            "INTERRUPTED quickstart: 1 device, 1 upload acknowledged in 0.0 s",
        ),
    ],
    ids=["passed", "saturated", "killed"],
)
def test_the_first_line_is_the_verdict(
    tmp_path: Path, facts: dict[str, Any], line: str
) -> None:
    """One sentence with verdict, scenario and size; saturation is said there."""
    text = printed(make_run(tmp_path, [record()], **facts))
    assert " ".join(text.split()).startswith(line)


@pytest.mark.parametrize(
    ("audit", "line"),
    [
        (None, "acknowledged 1; the bucket was not checked"),
        (
            AuditOutcome(checked=False, reason="the lab was gone"),
            "acknowledged 1; the bucket was not checked: the lab was gone",
        ),
        (
            AuditOutcome(checked=True, acknowledged=1, stored=1, late_count=2),
            "acknowledged 1 = stored 1 (2 more arrived unacknowledged)",
        ),
        (
            AuditOutcome(checked=True, acknowledged=1, stored=1, size_only_count=1),
            "acknowledged 1 = stored 1; 1 compared by size only (ETag is no MD5)",
        ),
        (
            AuditOutcome(
                checked=True,
                missing=("A/1",),
                missing_count=1,
                unexplained=("B/2",),
                unexplained_count=3,
            ),
            (
                "acknowledged 1 but stored 0: 1 missing, 3 that nobody sent; "
                "for example A/1"
            ),
        ),
    ],
    ids=["no audit", "no check", "equal", "size only", "different"],
)
def test_told_and_stored_are_compared_in_words(
    tmp_path: Path, audit: AuditOutcome | None, line: str
) -> None:
    """The second line says ``acknowledged = stored`` or the difference."""
    assert line in printed(make_run(tmp_path, [record()], audit=audit))


def test_every_section_is_there(tmp_path: Path) -> None:
    """Phases, kinds, groups, suites, cohorts, thresholds and generator are shown."""
    rows = (
        record(0),
        record(1, kind="tls.alert.unknown_ca", phase="tls"),
        record(2, cohort="[bold]b", group="group 3"),
        record(3, kind="http.status", phase="wait", status=400, detail="400 Bad: no"),
    )
    devices = (
        DeviceOutcome(device="A", cohort="ordinary", state="connected"),
        DeviceOutcome(device="B", cohort="[bold]b", state="x", cipher_group="group 3"),
    )
    text = printed(
        make_run(
            tmp_path,
            rows,
            devices=devices,
            thresholds=(
                "unclassified == 0",
                "dns.max < 1s",
                "tls.max < 1s",
                "upload.failed_ratio < 1%",
            ),
        )
    )
    for words in (
        "response: from plan",
        "p99.9",
        "21 ms",
        "tls.alert.unknown_ca",
        "HTTP front wait HTTP 400 Bad: no 1 1",
        "group 3",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "[bold]b",
        "\N{CHECK MARK} unclassified == 0 0",
        "\N{BALLOT X} dns.max < 1s nothing was measured",
        "\N{CHECK MARK} tls.max < 1s 9 ms",
        "\N{BALLOT X} upload.failed_ratio < 1% 50 %",
        "nothing was measured",
        "Generator: 40% of one core, 1 of 10 starts late",
        "Profiles: canedge2",
    ):
        assert words in " ".join(text.split())


def test_without_a_terminal_it_is_plain(tmp_path: Path) -> None:
    """No escape sequence in a pipe or a file, and no line beyond the fixed width."""
    text = printed(make_run(tmp_path, [record()]))
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_no_color_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``NO_COLOR`` a terminal gets no colour (no-color.org); without, it does."""
    folder = make_run(tmp_path, [record()])
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;32mPASSED" in printed(folder, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "32m" not in printed(folder, Terminal())


def test_ascii_gets_ascii(tmp_path: Path) -> None:
    """An ASCII terminal can print everything."""
    folder = make_run(tmp_path, [record()], thresholds=("unclassified == 0",))
    text = printed(folder, AsciiFile())
    assert text.isascii()
    assert "ok | unclassified == 0" in " ".join(text.split())


def test_a_narrow_terminal_is_not_overrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines wrap at the width of the terminal; no figure is cut off."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    text = re.sub(
        "\x1b\\[[0-9;]*m", "", printed(make_run(tmp_path, [record()]), Terminal())
    )
    assert max(len(line) for line in text.splitlines()) <= 60
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
