"""What a device forgets without power and what it presents, told by ``openssl s_server``.

The server's own page says whether a session was new or reused and which client
certificate it saw: the observer is another implementation.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.commands import Send
from fleetsim.core.events import Response
from fleetsim.core.settings import Deadlines, TlsRules
from fleetsim.engine.clock import MonotonicClock
from fleetsim.transport.network import Network, NetworkChannel
from tests.integration.test_connection import Told, to
from tests.integration.tls_wire import REQUEST, openssl_server, write_identity
from tests.transport.certificates import authority, leaf
from tests.transport.pumps import SERVER, identity_of

pytestmark = pytest.mark.server

CLIENT_CA = authority("Client Root", number=20)
OLD = leaf("old device", parent=CLIENT_CA)
NEW = leaf("new device", parent=CLIENT_CA)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a TLS 1.2 server that asks for a client certificate and resumes."""
    folder = tmp_path_factory.mktemp("memory")
    write_identity(folder, "server", SERVER)
    pem = CLIENT_CA.certificate.public_bytes(Encoding.PEM)
    (folder / "client-ca.pem").write_bytes(pem)
    with openssl_server(
        folder,
        *("-cert", "server.pem", "-key", "server.key", "-tls1_2"),
        *("-CAfile", "client-ca.pem", "-verify", "3", "-verify_return_error"),
    ) as found:
        yield found


class Reader(Told):
    """A listener that is told the whole response."""

    def on_response(self, response: Response, *, is_open: bool) -> None:
        """Remember."""
        self.events.put_nowait(("response", (response, is_open)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What both sides saw of a connection.

    Attributes:
        resumed: Our side says that a session was resumed.
        reused: The server says so.
        name: Common name of the client certificate, empty = none was shown.
    """

    resumed: bool
    reused: bool
    name: str


async def look(channel: NetworkChannel, told: Reader, port: int) -> Seen:
    """Fetch the server's page on a new connection."""
    command = to(port, scheme="https")
    command.resume = True
    channel.connect(command)
    event, handshake = await told.next()
    assert event == "connected", handshake
    channel.send(Send(task=command.task, head=REQUEST, body=()))
    event, fact = await told.next()
    assert event == "response", fact
    page = fact[0].body.decode()
    assert "New, TLSv1.2" in page or "Reused, TLSv1.2" in page
    name = re.search(r"Subject: ?CN ?= ?([^\n]+)", page)
    return Seen(
        resumed=handshake.resumed,
        reused="Reused, TLSv1.2" in page,
        name=name[1] if name else "",
    )


async def test_sessions_and_identities(port: int) -> None:
    """Sessions are reused until power is lost or the certificate is replaced."""
    told = Reader()
    async with asyncio.TaskGroup() as group:
        network = Network(
            loop=asyncio.get_running_loop(),
            spawn=group.create_task,
            now_ns=MonotonicClock().now_ns,
        )
        channel = NetworkChannel(
            network,
            told,
            tls=TlsRules(resumption=True),
            deadlines=Deadlines(),
            identity=identity_of(OLD),
        )

        async def seen() -> Seen:
            return await look(channel, told, port)

        assert await seen() == Seen(resumed=False, reused=False, name="old device")
        assert await seen() == Seen(resumed=True, reused=True, name="old device")
        channel.forget_sessions()
        assert await seen() == Seen(resumed=False, reused=False, name="old device")
        assert await seen() == Seen(resumed=True, reused=True, name="old device")
        channel.replace_identity(identity_of(NEW))
        assert await seen() == Seen(resumed=False, reused=False, name="new device")
        channel.replace_identity(None)
        assert await seen() == Seen(resumed=False, reused=False, name="")
        channel.abort(silent=True)
