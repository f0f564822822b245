"""Exit codes: the table names every code that the program can end with."""

import pytest

from fleetsim.cli.errors import BROKEN_PIPE
from fleetsim.core.exit_codes import EXIT_CODES
from fleetsim.exceptions import FleetsimError, InputError, RecordingError, TargetError
from fleetsim.report.summary import exit_code


@pytest.mark.parametrize(
    "error", [FleetsimError, InputError, TargetError, RecordingError]
)
def test_our_errors_end_with_a_documented_code(error: type[FleetsimError]) -> None:
    """Every exception has a code of the table."""
    assert error.exit_code in EXIT_CODES


@pytest.mark.parametrize(
    ("verdict", "name"),
    [
        ("passed", "passed"),
        ("failed", "a threshold failed"),
        ("invalid", "a threshold failed"),
        ("interrupted", "interrupted"),
    ],
)
def test_verdicts_end_with_a_documented_code(verdict: str, name: str) -> None:
    """Every verdict has a code of the table, under its name."""
    summary = {"verdict": verdict, "audit": {"failed": False}, "expect": "pass"}
    assert EXIT_CODES[exit_code(summary)][0] == name


def test_a_reader_who_is_gone_is_documented() -> None:
    """The shell's code for SIGPIPE."""
    assert BROKEN_PIPE in EXIT_CODES
