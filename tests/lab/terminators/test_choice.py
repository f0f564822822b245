import asyncio
import resource
from pathlib import Path

import pytest

from fleetsim.lab.settings import FrontProgram, FrontSettings
from fleetsim.lab.terminators import choice
from fleetsim.lab.terminators.choice import make_terminator
from fleetsim.lab.terminators.program import folder_name, socket_name

FRONT = FrontSettings(name="main", scheme="http", max_connections=1000)


def test_builtin_needs_no_program() -> None:
    """The built-in front has no terminator."""
    chosen = make_terminator(FrontProgram.BUILTIN, None, FRONT, asyncio.Protocol)
    assert chosen is None


def is_empty(folder: Path) -> bool:
    """Whether nothing was written."""
    return not any(folder.iterdir())


@pytest.mark.parametrize("program", [FrontProgram.NGINX, FrontProgram.HAPROXY])
async def test_program_is_made_and_not_run(
    program: FrontProgram, tmp_path: Path
) -> None:
    """Making a terminator starts nothing and writes nothing."""
    chosen = make_terminator(program, tmp_path, FRONT, asyncio.Protocol)
    assert chosen is not None
    assert chosen.pid == 0
    assert is_empty(tmp_path)
    assert chosen.handshakes.total == 0
    await chosen.stop()


def test_program_needs_a_folder() -> None:
    """Keys of a real program need a place."""
    with pytest.raises(ValueError, match="folder"):
        make_terminator(FrontProgram.NGINX, None, FRONT, asyncio.Protocol)


@pytest.mark.parametrize(
    ("hard", "most"), [(20_000, 9_900), (100, 1), (resource.RLIM_INFINITY, 1_000_000)]
)
def test_connections_fit_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, hard: int, most: int
) -> None:
    """A connection takes two descriptors of the program, within the hard limit."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1, hard))
    assert choice._most_connections() == most


def test_generations_have_places_of_their_own() -> None:
    """No two generations share a socket or a folder."""
    places = {
        make(number) for number in range(3) for make in (socket_name, folder_name)
    }
    assert len(places) == 6
