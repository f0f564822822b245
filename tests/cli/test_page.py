"""Page: asked for or not."""

import pytest

from fleetsim.cli.page import pages
from fleetsim.exceptions import InputError
from fleetsim.report.live.page import LivePage


def test_only_when_asked_for() -> None:
    """Without ``--ui`` there is none, and an address that is none is refused."""
    assert pages(None, print) == []
    (page,) = pages("0", print)
    assert isinstance(page, LivePage)
    with pytest.raises(InputError, match="port is a number"):
        pages("x", print)
