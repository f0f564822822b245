"""The forecast in words."""

import io
from dataclasses import replace

from fleetsim.cli.forecast_text import print_forecast
from fleetsim.forecast.forecast import make_forecast
from fleetsim.report.console import make_console
from tests.forecast.fleet import NOW, ROOT
from tests.forecast.test_forecast import OLD, bundle, on_day, question
from tests.transport.certificates import authority, leaf


def printed(*chains: object, window: tuple[int, int] | None = None) -> str:
    """Print the forecast of a bundle with the old root."""
    asked = question(bundle("old.p7b", ROOT), chains=chains)  # type: ignore[arg-type]  # a test's chains
    if window is not None:
        asked = replace(asked, window=window)
    file = io.StringIO()
    print_forecast(make_forecast(asked), make_console(file))
    return file.getvalue()


def test_periods_are_told_with_their_reasons() -> None:
    """One line per period; a reason that holds for many is told once."""
    text = printed(OLD, OLD)
    assert text.count("CN=server expired 2027-03-02T00:00:00Z") == 1
    assert text.count("no   (1)") == 2
    assert text.count("Trusting old.p7b, served chain") == 2


def test_days_are_told_without_a_time() -> None:
    """Midnight is a date; anything else has its second."""
    text = printed(leaf(parent=ROOT, not_before=on_day(10)), window=(NOW, NOW + 10**7))
    rows = [line.split() for line in text.splitlines()]
    assert ["2026-11-22", "2026-12-02", "no", "no", "no", "(1)"] in rows
    assert ["2026-12-02", "2027-03-17T17:46:40Z", "yes", "yes", "yes"] in rows


def test_findings_stand_below_what_they_are_about() -> None:
    """The chain's fault below the chain."""
    lines = printed(leaf(parent=ROOT, kind="p256")).splitlines()
    place = lines.index("Chain chain 1")
    assert lines[place + 2].startswith("  warning: CN=server: ec_key: EC secp256r1")
    assert "Switching" not in lines


def test_brackets_in_names_are_no_markup() -> None:
    """A subject is printed as it is."""
    odd = authority("[bold]Root[/bold]", number=70)
    asked = question(bundle("[red]x.p7b", odd), chains=(leaf(parent=odd),))
    file = io.StringIO()
    print_forecast(make_forecast(asked), make_console(file))
    assert "CN=[bold]Root[/bold]" in file.getvalue()
    assert "[red]x.p7b" in file.getvalue()
