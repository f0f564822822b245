"""The console of results: nothing in a text is markup, files have a fixed width."""

import io

from fleetsim.report.console import PLAIN_WIDTH, make_console


def test_texts_are_printed_as_they_are() -> None:
    """Names of a scenario are data: brackets and colons mean nothing."""
    file = io.StringIO()
    make_console(file).print("[bold]cohort[/bold] :smile: 1.5")
    assert file.getvalue() == "[bold]cohort[/bold] :smile: 1.5\n"


def test_a_file_has_a_width_of_its_own() -> None:
    """Output in CI does not depend on a terminal that is not there."""
    console = make_console(io.StringIO())
    assert console.width == PLAIN_WIDTH
    assert not console.is_terminal
