"""The scripted channel keeps the contract of a channel: one answer per command."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from fleetsim.core.commands import Connect, Operation, Send, Task
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    Handshake,
    RequestFailed,
    Response,
    ResponseReceived,
)
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.settings import Endpoint
from fleetsim.transport.scripted import Answer, ScriptedChannel

TASK = Task(operation=Operation.UPLOAD, key="k", planned_ns=0)
CONNECT = Connect(
    task=TASK,
    endpoint=Endpoint(scheme="http", host="a.test", port=80, bucket="fleet"),
    group=None,
    bundle=None,
    verify_unix_s=0,
    resume=False,
)
SEND = Send(task=TASK, head=b"GET / HTTP/1.1\r\n\r\n", body=())
REFUSED = Failure(Kind.TCP_REFUSED, Phase.TCP)
HANDSHAKE = Handshake(version="TLSv1.2", suite="X")
OK = Response(200, {}, b"", keep_alive=True)


@dataclass
class Told:
    """A listener that remembers."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def on_connected(self, handshake: Handshake | None) -> None:
        """Remember."""
        self.events.append(("connected", handshake))

    def on_connect_failed(self, failure: Failure) -> None:
        """Remember."""
        self.events.append(("connect_failed", failure.kind))

    def on_response(self, response: Response, *, is_open: bool) -> None:
        """Remember."""
        self.events.append(("response", response.status, is_open))

    def on_request_failed(self, failure: Failure) -> None:
        """Remember."""
        self.events.append(("request_failed", failure.kind))

    def on_lost(self) -> None:
        """Remember."""
        self.events.append(("lost",))


class Network:
    """A channel, its listener, and answers that arrive when the test says so."""

    def __init__(self, answer: Answer, after_ns: int = 5) -> None:
        self.told = Told()
        self.waiting: list[tuple[int, Callable[[], None]]] = []
        self.channel = ScriptedChannel(
            self.told,
            lambda _command: (answer, after_ns),
            lambda delay_ns, callback: self.waiting.append((delay_ns, callback)),
        )

    def arrive(self) -> None:
        """Let every answer arrive."""
        for _, callback in self.waiting:
            callback()
        self.waiting.clear()


@pytest.mark.parametrize(
    ("command", "answer", "event"),
    [
        pytest.param(
            CONNECT, Connected(HANDSHAKE), ("connected", HANDSHAKE), id="connected"
        ),
        pytest.param(
            CONNECT,
            ConnectFailed(REFUSED),
            ("connect_failed", "tcp.refused"),
            id="refused",
        ),
        pytest.param(
            SEND, ResponseReceived(OK, is_open=True), ("response", 200, True), id="open"
        ),
        pytest.param(
            SEND, RequestFailed(REFUSED), ("request_failed", "tcp.refused"), id="lost"
        ),
    ],
)
def test_one_answer_per_command(
    command: Connect | Send, answer: Answer, event: tuple[Any, ...]
) -> None:
    """The answer comes later, once, and the time it took is measured."""
    network = Network(answer, after_ns=7)
    if isinstance(command, Connect):
        network.channel.connect(command)
    else:
        network.channel.send(command)
    assert network.told.events == []
    assert [delay_ns for delay_ns, _ in network.waiting] == [7]
    network.arrive()
    assert network.told.events == [event]
    measures = network.channel.measures
    measured = measures.tcp_ns if isinstance(command, Connect) else measures.wait_ns
    assert measured == 7
    assert network.channel.commands == [command]


@pytest.mark.parametrize(
    ("silent", "events"),
    [(True, []), (False, [("connect_failed", "run.stopped")])],
)
def test_abort(*, silent: bool, events: list[tuple[Any, ...]]) -> None:
    """After an abort the answer never arrives; unless silent, the command has ended."""
    network = Network(Connected(None))
    network.channel.connect(CONNECT)
    network.channel.abort(silent=silent)
    network.arrive()
    network.channel.abort()
    assert network.told.events == events


def test_abort_of_a_request() -> None:
    """A request that is broken off has failed, not its connection."""
    network = Network(ResponseReceived(OK, is_open=True))
    network.channel.send(SEND)
    network.channel.abort()
    assert network.told.events == [("request_failed", "run.stopped")]


def test_the_peer_may_close_an_idle_connection() -> None:
    """The listener hears of it."""
    network = Network(Connected(None))
    network.channel.lose()
    assert network.told.events == [("lost",)]
