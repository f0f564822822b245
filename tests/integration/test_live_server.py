"""The page's server over a real socket: who may what, events, breaks, the end."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fleetsim.exceptions import InputError
from fleetsim.report.live.address import Address
from fleetsim.report.live.feed import Feed
from fleetsim.report.live.frame import LiveFrame
from fleetsim.report.live.history import History
from fleetsim.report.live.page import WAITING, LivePage
from fleetsim.report.live.serve import serve_run
from fleetsim.report.live.server import ASSETS
from fleetsim.report.summary import build_summary
from tests.recording.records import record
from tests.report.live.seconds import PLAN, S, health, progress, snapshot, survey
from tests.report.live.test_layers import played
from tests.report.runs import change, make_run


class Rig:
    """A page of a made-up run, and a client.

    Attributes:
        base: Address without the fragment.
        token: The one in the fragment.
        stops: How often somebody stopped the run.
    """

    def __init__(self, page: LivePage, url: str, client: aiohttp.ClientSession) -> None:
        self.page = page
        self.client = client
        self.base, _, fragment = url.partition("/#token=")
        self.token = fragment
        self.stops = 0
        self.feed = Feed(PLAN)

    def begin(self, folder: Path) -> None:
        """The run begins."""

        def stop() -> None:
            self.stops += 1

        self.page.begin(self.feed.facts(folder, "lab"), stop)

    def second(self, at_s: int, states: str = "ccccc") -> LiveFrame:
        """Another second."""
        frame = self.feed.frame(
            progress(at_s, seen=survey(states), health=health()),
            snapshot(uploads=at_s, response_ms=[5] * at_s),
        )
        self.page.show(frame)
        return frame

    async def run(self) -> Any:
        """Everything so far."""
        async with self.client.get(f"{self.base}/api/run") as answer:
            assert answer.status == 200
            return await answer.json()

    @asynccontextmanager
    async def events(self, **headers: str) -> AsyncIterator["Events"]:
        """Follow the run."""
        async with self.client.get(
            f"{self.base}/api/events", headers=headers
        ) as answer:
            assert answer.content_type == "text/event-stream"
            yield Events(answer)


class Events:
    """Server-sent events, one after the other."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> tuple[int, str, Any]:
        """Number, name and data of the next event; number -1 = the stream is over."""
        fields: dict[str, str] = {}
        async for raw in self._answer.content:
            line = raw.decode().rstrip("\n")
            if not line and "event" in fields:
                return int(fields["id"]), fields["event"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value
        return -1, "", None


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A page that is being served."""
    said: list[str] = []
    page = LivePage(Address("127.0.0.1", 0), said.append)
    timeout = aiohttp.ClientTimeout(total=20)
    async with page, aiohttp.ClientSession(timeout=timeout) as client:
        (line,) = said
        yield Rig(page, line.removeprefix("live page: "), client)


async def test_everything_comes_from_here(rig: Rig) -> None:
    """The page names no other origin, and its policy forbids them."""
    async with rig.client.get(rig.base) as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<style" not in text
    assert not re.search(r"\son[a-z]+=|style=|https?://", text)
    for name in re.findall(r"/assets/([\w.]+)", text):
        assert name in ASSETS
    for name, kind in ASSETS.items():
        async with rig.client.get(f"{rig.base}/assets/{name}") as answer:
            assert (answer.status, answer.content_type) == (200, kind)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with rig.client.get(f"{rig.base}/assets/..%2f..%2f__init__.py") as answer:
        assert answer.status == 404


async def test_a_run_from_before_its_start_to_its_summary(
    rig: Rig, tmp_path: Path
) -> None:
    """Whoever comes late sees the same as whoever was there."""
    assert (await rig.run())["run"] is None
    async with rig.events() as events:
        rig.begin(tmp_path)
        assert (await events.next())[1] == "reset"
        rig.page.say("hello")
        assert (await events.next())[2] == {"text": "hello"}
        rig.second(1, "ccfuu")
        _, name, first = await events.next()
        assert name == "frame"
        assert first["point"]["uploads"] == 1
        assert first["changes"]["state"]["batch"] == [1, [0, 1, 2], [1, 1, 3]]
        rig.page.note(
            rig.feed.acted(PLAN.timeline[0], "start", {"actual_ns": S}), "start"
        )
        assert (await events.next())[2]["entry"]["state"] == "running"
        rig.second(2, "ccffu")
        _, _, second = await events.next()
        assert second["changes"] == {
            "state": {**second["changes"]["state"], "batch": [2, [3], [3]]}
        }
        rig.page.end("completed")
        assert (await events.next())[1:] == ("end", {"ending": "completed"})
        summary = build_summary(make_run(tmp_path, [record()]))
        rig.page.finish(summary)
        number, name, data = await events.next()
        assert (name, data["uploads"]) == ("summary", summary["uploads"])
    late = await rig.run()
    assert late["last_id"] == number
    assert late["frame"] == second["frame"] | {"timeline": late["frame"]["timeline"]}
    assert late["points"] == [first["point"], second["point"]]
    assert played(late["layers"]["state"], 5) == [1, 1, 3, 3, 0]
    assert [note["text"] for note in late["notes"]] == ["hello", "issue_ca root: start"]
    assert late["summary"]["verdict"] == summary["verdict"]
    assert late["ending"] == "completed"


async def test_after_a_break_nothing_is_missing(rig: Rig, tmp_path: Path) -> None:
    """``Last-Event-ID`` continues; too long a break starts the page again."""
    rig.begin(tmp_path)
    async with rig.events() as events:
        rig.second(1)
        number, _, _ = await events.next()
    rig.second(2)
    rig.second(3)
    async with rig.events(**{"Last-Event-ID": str(number)}) as events:
        seen = [await events.next() for _ in range(2)]
        assert [each[0] for each in seen] == [number + 1, number + 2]
        assert [each[2]["frame"]["uploads"] for each in seen] == [2, 3]
    for second in range(4, 140):
        rig.second(second)
    async with rig.events(**{"Last-Event-ID": str(number)}) as events:
        assert (await events.next())[1] == "reset"
    async with rig.events(**{"Last-Event-ID": "99999"}) as events:
        assert (await events.next())[1] == "reset"


async def test_readers_that_do_not_read(rig: Rig, tmp_path: Path) -> None:
    """They cost a bounded number of events and are let go."""
    rig.begin(tmp_path)
    source = rig.page.follow(None)

    async def first() -> str:
        return await anext(source)

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await asyncio.sleep(0)
        for second in range(1, WAITING + 50):
            rig.second(second)
    got = [text async for text in source]
    assert WAITING - 10 < len(got) < WAITING


@pytest.mark.parametrize(
    ("change_it", "status", "why"),
    [
        pytest.param(lambda h: h, 202, "", id="right"),
        pytest.param(lambda h: h | {"X-Fleetsim-Token": "x"}, 403, "token", id="token"),
        pytest.param(lambda h: h | {"X-Fleetsim-Token": ""}, 403, "token", id="none"),
        pytest.param(
            lambda h: h | {"Origin": "http://evil.test"},
            403,
            "another page",
            id="origin",
        ),
        pytest.param(
            lambda h: {k: v for k, v in h.items() if k != "Origin"},
            403,
            "another page",
            id="no origin",
        ),
        pytest.param(
            lambda h: h | {"Host": "evil.test", "Origin": "http://evil.test"},
            421,
            "another name",
            id="rebound name",
        ),
        pytest.param(
            lambda h: h | {"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:1"},
            421,
            "another name",
            id="port",
        ),
    ],
)
async def test_who_may_stop(
    rig: Rig,
    tmp_path: Path,
    change_it: Callable[[dict[str, str]], dict[str, str]],
    status: int,
    why: str,
) -> None:
    """Only who has the token, from the page itself, under this server's name."""
    rig.begin(tmp_path)
    right = {"Origin": rig.base, "X-Fleetsim-Token": rig.token}
    async with rig.client.post(
        f"{rig.base}/api/stop", headers=change_it(right)
    ) as answer:
        assert answer.status == status
        assert why in (await answer.json()).get("error", "")
    assert rig.stops == (status == 202)


async def test_stopping_is_a_post_of_a_running_run(rig: Rig, tmp_path: Path) -> None:
    """A link cannot stop a run, and one that has ended cannot be stopped."""
    rig.begin(tmp_path)
    right = {"Origin": rig.base, "X-Fleetsim-Token": rig.token}
    async with rig.client.get(f"{rig.base}/api/stop", headers=right) as answer:
        assert answer.status == 405
    rig.page.end("completed")
    async with rig.client.post(f"{rig.base}/api/stop", headers=right) as answer:
        assert answer.status == 409
    assert rig.stops == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("[::1]", 200),
        ("192.0.2.7", 421),
        ("a.test", 421),
    ],
)
async def test_reading_under_other_names(rig: Rig, host: str, status: int) -> None:
    """DNS rebinding: a name that is not this server reads nothing."""
    port = rig.base.rpartition(":")[2]
    headers = {"Host": f"{host}:{port}"}
    async with rig.client.get(f"{rig.base}/api/run", headers=headers) as answer:
        assert answer.status == status


async def test_history_of_a_device(rig: Rig, tmp_path: Path) -> None:
    """From the run folder, by the place in the plan; strangers have none."""
    device = PLAN.devices[1].device_id
    folder = make_run(
        tmp_path,
        [record(device=device)],
        histories=[(device, "c", change(0, "", "unreached"))],
    )
    async with rig.client.get(f"{rig.base}/api/device/1") as answer:
        assert answer.status == 404, "nothing runs yet"
    rig.begin(folder)
    async with rig.client.get(f"{rig.base}/api/device/1") as answer:
        found = await answer.json()
    assert (found["id"], len(found["attempts"])) == (device, 1)
    for stranger in ("5", "x", "-1"):
        async with rig.client.get(f"{rig.base}/api/device/{stranger}") as answer:
            assert answer.status == 404


async def test_long_runs_thin_out(rig: Rig, tmp_path: Path) -> None:
    """The charts of a day have as many points as those of an hour."""
    rig.begin(tmp_path)
    rig.page._history = History(10)
    for second in range(1, 40):
        rig.second(second)
    points = (await rig.run())["points"]
    assert len(points) < 10
    assert points[0]["t"] > 1


async def test_the_end_is_told() -> None:
    """Readers hear why and that it is over; then the server is gone."""
    said: list[str] = []
    page = LivePage(Address("127.0.0.1", 0), said.append)

    async def breaks(client: aiohttp.ClientSession, told: list[Any]) -> None:
        async with page:
            rig = Rig(page, said[0].removeprefix("live page: "), client)
            following = rig.events()
            events = await following.__aenter__()
            told += [following, events]
            page.say("first")
            told.append(await events.next())
            raise ValueError("broken")

    async with aiohttp.ClientSession() as client:
        told: list[Any] = []
        with pytest.raises(ValueError, match="broken"):
            await breaks(client, told)
        _, events, first = told
        why, bye, over = [await events.next() for _ in range(3)]
    assert first[1:] == ("message", {"text": "first"})
    assert "broken" in why[2]["text"]
    assert (bye[1], over[0]) == ("bye", -1)


async def test_other_machines_are_announced() -> None:
    """Who opens the page to others is told so."""
    said: list[str] = []
    async with LivePage(Address("0.0.0.0", 0), said.append):  # noqa: S104 - that is the test
        pass
    assert said[0].startswith("live page: http://127.0.0.1:")
    assert "other machines can reach" in said[1]


async def test_a_finished_run(tmp_path: Path) -> None:
    """Is served until a signal; it cannot be stopped."""
    folder = make_run(
        tmp_path, [record()], histories=[("AAAA0001", "c", change(0, "", "unreached"))]
    )
    said: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as client:
        group.create_task(
            serve_run(folder, Address("127.0.0.1", 0), "--listen", said.put_nowait)
        )
        base = (await said.get()).split()[1].rstrip("/")
        async with client.get(f"{base}/api/run") as answer:
            assert (await answer.json())["mode"] == "finished"
        async with client.get(f"{base}/api/device/0") as answer:
            assert (await answer.json())["id"] == "AAAA0001"
        async with client.post(
            f"{base}/api/stop", headers={"Origin": base, "X-Fleetsim-Token": ""}
        ) as answer:
            assert answer.status == 403
        signal.raise_signal(signal.SIGINT)


async def test_no_run_is_no_server(tmp_path: Path) -> None:
    """A folder that is no run folder is refused before anybody listens."""
    with pytest.raises(InputError, match="is not a run folder"):
        await serve_run(tmp_path, Address("127.0.0.1", 0), "--listen", print)
