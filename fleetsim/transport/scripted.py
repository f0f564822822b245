"""Scripted: a channel without a network, answered by a function.

For tests and for models that are too large for real sockets: the same device and the
same driver run, only the network is a rule that maps a command to what becomes of it.
"""

from collections.abc import Callable
from typing import assert_never

from fleetsim.core.commands import Connect, Send
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    RequestFailed,
    ResponseReceived,
)
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.transport.base import ClientIdentity, Listener, Measures

Answer = Connected | ConnectFailed | ResponseReceived | RequestFailed
Later = Callable[[int, Callable[[], None]], object]
"""Runs a callback after so many nanoseconds."""


class ScriptedChannel:
    """Answers the commands of one device by a script.

    Args:
        listener: The device's driver.
        script: Maps a command to its answer and the nanoseconds until it comes.
        later: Runs the answer when its time has come.

    Attributes:
        commands: What it was asked to do, in order.
        identity: Client certificate it was given last.
    """

    def __init__(
        self,
        listener: Listener,
        script: Callable[[Connect | Send], tuple[Answer, int]],
        later: Later,
    ) -> None:
        self.measures = Measures()
        self.commands: list[Connect | Send] = []
        self.identity: ClientIdentity | None = None
        self._listener = listener
        self._script = script
        self._later = later
        self._outstanding: Connect | Send | None = None

    def connect(self, command: Connect) -> None:
        """Answer a ``Connect``."""
        self.measures = Measures()
        self._answer(command)

    def send(self, command: Send) -> None:
        """Answer a ``Send``."""
        self._answer(command)

    def abort(self, *, silent: bool = False) -> None:
        """Drop the connection; see :class:`fleetsim.transport.base.Channel`."""
        command, self._outstanding = self._outstanding, None
        if silent or command is None:
            return
        stopped = Failure(Kind.RUN_STOPPED, Phase.RUN, "the run ended")
        self._deliver(
            ConnectFailed(stopped)
            if isinstance(command, Connect)
            else RequestFailed(stopped)
        )

    def forget_sessions(self) -> None:
        """Nothing to forget: there is no TLS."""

    def replace_identity(self, identity: ClientIdentity | None) -> None:
        """Note the new client certificate."""
        self.identity = identity

    def lose(self) -> None:
        """Let the peer close the idle connection."""
        self._listener.on_lost()

    def _answer(self, command: Connect | Send) -> None:
        self.commands.append(command)
        self._outstanding = command
        answer, after_ns = self._script(command)
        phase = "tcp_ns" if isinstance(command, Connect) else "wait_ns"

        def arrive() -> None:
            if self._outstanding is command:
                self._outstanding = None
                setattr(self.measures, phase, after_ns)
                self._deliver(answer)

        self._later(after_ns, arrive)

    def _deliver(self, answer: Answer) -> None:
        match answer:
            case Connected():
                self._listener.on_connected(answer.handshake)
            case ConnectFailed():
                self._listener.on_connect_failed(answer.failure)
            case ResponseReceived():
                self._listener.on_response(answer.response, is_open=answer.is_open)
            case RequestFailed():
                self._listener.on_request_failed(answer.failure)
            case _:
                assert_never(answer)
