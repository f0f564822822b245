import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.target.observer import rgw
from fleetsim.target.observer.rgw import parse_counters, read_counters, source_of

COUNTERS = {"req": 10, "failed_req": 1, "put": 5, "put_b": 500, "get": 2}
DUMP = {"rgw": {**COUNTERS, "qlen": 0}, "AsyncMessenger::Worker-0": {}}


@asynccontextmanager
async def daemon(
    folder: Path, answer: bytes
) -> AsyncIterator[tuple[Path, list[bytes]]]:
    """A socket that answers whatever it is asked; gives its path and what was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\0"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, str(folder / "rgw.asok"))
    try:
        yield folder / "rgw.asok", asked
    finally:
        server.close()
        await server.wait_closed()


def framed(content: bytes) -> bytes:
    """An answer as a Ceph daemon writes it."""
    return struct.pack("!I", len(content)) + content


async def test_reads_counters(tmp_path: Path) -> None:
    """One JSON command ended by zero, one answer behind its length."""
    async with daemon(tmp_path, framed(json.dumps(DUMP).encode())) as (path, asked):
        assert await read_counters(path) == COUNTERS
    assert json.loads(asked[0].rstrip(b"\0")) == {
        "prefix": "perf dump",
        "format": "json",
    }


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"", "no admin socket"),
        (b"\0\0", "no admin socket"),
        (struct.pack("!I", 99) + b"{}", "no admin socket"),
        (b"\xff\xff\xff\xff", "without an end"),
        (framed(b"{}"), "no counters"),
        (framed(b"no JSON"), "no counters"),
        (framed(b'{"rgw": []}'), "no counters"),
        (framed(json.dumps({"rgw": COUNTERS | {"put": "5"}}).encode()), "no counters"),
    ],
)
async def test_what_is_no_gateway(tmp_path: Path, answer: bytes, what: str) -> None:
    """It is named, with what is wrong."""
    async with daemon(tmp_path, answer) as (path, _):
        with pytest.raises(InputError, match=what) as caught:
            await read_counters(path)
    assert caught.value.problems[0].where == str(path)


@pytest.mark.parametrize(
    ("name", "what"), [("missing", "No such file"), ("file", "refused")]
)
async def test_what_is_no_socket(tmp_path: Path, name: str, what: str) -> None:
    """The reason is the system's."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=what):
        await read_counters(tmp_path / name)


async def test_a_gateway_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever."""
    monkeypatch.setattr(rgw, "_TIMEOUT_S", 0.01)
    released = asyncio.Event()

    async def serve(_reader: object, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    server = await asyncio.start_unix_server(serve, str(tmp_path / "x"))
    with pytest.raises(InputError, match="did not answer"):
        await read_counters(tmp_path / "x")
    released.set()
    server.close()


def test_gained_since_the_start() -> None:
    """Requests, failures and uploads of the run."""
    after = {name: value + 7 for name, value in COUNTERS.items()}
    source = source_of(Path("s"), COUNTERS, after)
    assert source.is_complete
    assert source.requests is not None
    assert (source.requests.answered, source.requests.stored) == (7, 7)
    assert source.requests.failed == 7
    assert "every client" in source.notes[0]


def test_started_again_in_between() -> None:
    """Counters that went backwards have begun anew."""
    after = COUNTERS | {"req": 3, "put": 2, "failed_req": 0, "get": 0, "put_b": 0}
    source = source_of(Path("s"), COUNTERS, after)
    assert not source.is_complete
    assert source.requests is not None
    assert (source.requests.answered, source.requests.stored) == (3, 2)


@given(st.binary())
def test_any_answer_is_read_or_refused(answer: bytes) -> None:
    """Foreign bytes raise nothing but that they are bad input."""
    with pytest.raises(InputError):
        parse_counters(answer, "x")
