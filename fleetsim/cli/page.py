"""The web page that options of ``fleetsim run`` and ``fleetsim ui`` ask for."""

from collections.abc import Callable
from typing import Annotated

import typer

from fleetsim.report.live.address import parse_address
from fleetsim.report.live.view import LiveView

OPTION = "--ui"

UiOption = Annotated[
    str | None,
    typer.Option(
        OPTION,
        metavar="[HOST:]PORT",
        help="Show the run in the browser while it goes on, on this machine only unless "
        "a host is given; 0 = any free port.",
        envvar="FLEETSIM_UI",
    ),
]


def pages(ui: str | None, say: Callable[[str], None]) -> list[LiveView]:
    """Make the page; its libraries are imported only where it is used.

    Args:
        ui: Value of ``--ui``.
        say: Shows a line to people.

    Raises:
        InputError: It is no address.
    """
    if ui is None:
        return []
    from fleetsim.report.live.page import LivePage  # noqa: PLC0415 - only where used

    return [LivePage(parse_address(ui, OPTION), say)]
