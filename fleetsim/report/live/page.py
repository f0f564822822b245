"""Page: the web page of a run that goes on."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from fleetsim.core.progress import STATES, Survey
from fleetsim.report.live.address import Address, listen
from fleetsim.report.live.device_history import device_history
from fleetsim.report.live.frame import EntryFrame, LiveFrame, RunFacts
from fleetsim.report.live.history import History, point_data
from fleetsim.report.live.layers import Layer
from fleetsim.report.live.server import PageServer, event_text, with_keep_alive
from fleetsim.report.live.view import LiveView
from fleetsim.report.live.wire import (
    entry_data,
    facts_data,
    frame_data,
    summary_data,
)

REPLAYED: Final = 120
"""Events kept for pages that come back after a break."""

WAITING: Final = 240
"""Events kept for a page that reads slowly; past them it has to start again."""

OPTION: Final = "--ui"


class LivePage(LiveView):
    """Shows a run to browsers.

    Args:
        address: Where to listen.
        announce: Is told the address for people, and a warning when others can reach it.
    """

    def __init__(self, address: Address, announce: Callable[[str], None]) -> None:
        self._address = address
        self._announce = announce
        self._server: PageServer | None = None
        self._facts: RunFacts | None = None
        self._facts_json = "null"
        self._stop: Callable[[], None] | None = None
        self._frame_json = "null"
        self._points = _JsonList()
        self._history = History()
        self._layers: dict[str, Layer] = {}
        self._names: dict[str, list[Any]] = {}
        self._notes: deque[str] = deque(maxlen=500)
        self._summary_json = "null"
        self._ending_json = "null"
        self._number = 0
        self._replay: deque[tuple[int, str]] = deque(maxlen=REPLAYED)
        self._readers: set[asyncio.Queue[str | None]] = set()

    async def __aenter__(self) -> Self:
        """Start to serve.

        Raises:
            InputError: Nobody can listen there.
        """
        server = PageServer(
            self,
            self._address,
            listen(self._address, OPTION),
            secrets.token_urlsafe(18),
        )
        await server.start()
        self._server = server
        self._announce(f"live page: {server.url}")
        if not self._address.is_loopback:
            self._announce(
                f"{OPTION}: other machines can reach {self._address.host} and see the "
                "run; stopping it takes the token in the address, which travels "
                "unencrypted"
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let everybody read to the end, then close."""
        if error is not None:
            text = (
                f"{type(error).__name__}: {error}"
                if str(error)
                else kind.__name__
                if kind
                else ""
            )
            self._tell("message", json.dumps({"text": f"the run ended with {text}"}))
        self._tell("bye", "{}")
        for reader in self._readers:
            reader.put_nowait(None)
        if self._server is not None:
            await self._server.close()

    # ------------------------------------------------------------ told by the run

    def say(self, text: str) -> None:
        """Show a message."""
        note = json.dumps({"text": text})
        self._notes.append(note)
        self._tell("message", note)

    def begin(self, facts: RunFacts, stop: Callable[[], None]) -> None:
        """Take note of what is run."""
        self._facts, self._stop = facts, stop
        self._facts_json = json.dumps(facts_data(facts), separators=(",", ":"))
        self._layers = {
            name: Layer(facts.devices) for name in ("state", "group", "bundle")
        }
        self._names = {
            "state": [state.value for state in STATES],
            "group": [""],
            "bundle": [""],
        }
        # Pages that came before the run have to fetch it.
        self._tell("reset", "{}")

    def show(self, frame: LiveFrame) -> None:
        """Send a frame."""
        self._frame_json = json.dumps(frame_data(frame), separators=(",", ":"))
        point = self._history.add(frame)
        point_json = "null"
        if point is not None:
            point_json = json.dumps(point_data(point), separators=(",", ":"))
            if len(self._history.points) < len(self._points) + 1:
                self._points.replace(
                    map(_compact, map(point_data, self._history.points))
                )
            else:
                self._points.append(point_json)
        changes = self._changes(frame)
        self._tell(
            "frame",
            f'{{"frame":{self._frame_json},"point":{point_json},"changes":{changes}}}',
        )

    def _changes(self, frame: LiveFrame) -> str:
        survey = frame.survey
        if survey is None or not self._layers:
            return "{}"
        found = []
        for name, codes in self._codes(survey, frame).items():
            text = self._layers[name].update(frame.now_s, codes)
            if text:
                names = json.dumps(self._names[name])
                found.append(f'"{name}":{{"names":{names},"batch":{text}}}')
        return f"{{{','.join(found)}}}"

    def _codes(self, survey: Survey, frame: LiveFrame) -> Mapping[str, bytes]:
        self._names["group"] = list(survey.group_names)
        numbers = {each.bundle: each.number for each in frame.generations}
        self._names["bundle"] = [
            {
                "number": numbers.get(seen, 0),
                "fingerprint": seen.fingerprint,
                "certificates": seen.certificates,
            }
            for seen in survey.bundles_seen
        ]
        return {
            "state": survey.states,
            "group": survey.groups,
            "bundle": survey.bundles,
        }

    def note(self, entry: EntryFrame, text: str) -> None:
        """Send a step of the timeline."""
        data = _compact({"entry": entry_data(entry), "text": f"{entry.label}: {text}"})
        self._notes.append(data)
        self._tell("note", data)

    def end(self, ending: str) -> None:
        """Say that the fleet has ended."""
        self._stop = None
        self._ending_json = json.dumps(ending)
        self._tell("end", json.dumps({"ending": ending}))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Send the summary."""
        self._summary_json = _compact(summary_data(summary))
        self._tell("summary", self._summary_json)

    # ------------------------------------------------------------ asked by pages

    def run_json(self) -> str:
        """Everything so far."""
        layers = ",".join(
            f'"{name}":{layer.to_json(self._names[name])}'
            for name, layer in self._layers.items()
        )
        return (
            f'{{"mode":"live","last_id":{self._number},"run":{self._facts_json},'
            f'"frame":{self._frame_json},"points":{self._points},'
            f'"layers":{{{layers}}},"notes":[{",".join(self._notes)}],'
            f'"ending":{self._ending_json},"summary":{self._summary_json}}}'
        )

    async def follow(self, last_id: int | None) -> AsyncIterator[str]:
        """Events from now on, and those missed since ``last_id``."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(WAITING)
        oldest = self._replay[0][0] if self._replay else self._number + 1
        if last_id is not None and last_id != self._number:
            if oldest - 1 <= last_id <= self._number:
                for number, text in tuple(self._replay):
                    if number > last_id:
                        queue.put_nowait(text)
            else:
                queue.put_nowait(event_text("reset", "{}", self._number))
        self._readers.add(queue)
        try:
            async for text in with_keep_alive(queue):
                yield text
        finally:
            self._readers.discard(queue)

    async def device(self, index: int) -> dict[str, Any] | None:
        """History of a device from the run folder."""
        facts = self._facts
        if facts is None or not 0 <= index < facts.devices:
            return None
        return await asyncio.to_thread(
            device_history, facts.folder, facts.device_ids[index]
        )

    def stop(self) -> bool:
        """End the load and drain; the second time stop at once."""
        if self._stop is None:
            return False
        self._stop()
        return True

    # ------------------------------------------------------------ events

    def _tell(self, name: str, data: str) -> None:
        self._number += 1
        text = event_text(name, data, self._number)
        self._replay.append((self._number, text))
        for reader in tuple(self._readers):
            if reader.qsize() >= WAITING - 1:
                # Too slow: it reconnects and starts again.
                self._readers.discard(reader)
                reader.put_nowait(None)
            else:
                reader.put_nowait(text)


class _JsonList:
    """A JSON array whose items are serialised once."""

    def __init__(self) -> None:
        self._items: list[str] = []

    def __len__(self) -> int:
        return len(self._items)

    def append(self, item: str) -> None:
        self._items.append(item)

    def replace(self, items: Any) -> None:
        self._items = list(items)

    def __str__(self) -> str:
        return f"[{','.join(self._items)}]"


def _compact(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))
