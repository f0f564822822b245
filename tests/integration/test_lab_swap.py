"""Hot swaps: each setting takes effect for new handshakes, and nothing slips past them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from aiohttp import web
from cryptography import x509

from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.lab.tls_front import TlsFront
from fleetsim.pki.crl import Reason, Revocation, build_crl
from fleetsim.pki.leaves import Leaf, issue_server
from fleetsim.transport.tls_server import ServerTls
from tests.lab.tls_clients import (
    NOW,
    VALID,
    PumpClient,
    client_connection,
    device,
    root,
    server,
    server_tls,
    turn_until,
)

TLS13 = CipherGroup("1.3", ("TLS_AES_128_GCM_SHA256",))


async def answer(request: web.BaseRequest) -> web.Response:
    """Answer with the path."""
    return web.Response(text=request.path)


@dataclass
class Rig:
    """A front."""

    front: TlsFront
    port: int

    async def client(self, **options: object) -> PumpClient:
        """Connect; the handshake has ended."""
        connection = client_connection(**options)  # type: ignore[arg-type]  # pass-through
        return await (await PumpClient.connect(self.port, connection)).opened()

    async def verdict(self, **options: object) -> tuple[str, bool]:
        """Connect and ask something; tells the failure, and whether it resumed."""
        client = await self.client(**options)
        assert client.pump is not None
        # In TLS 1.3 the server judges the client after the client is through.
        if client.failure is None:
            client.send(b"GET /x HTTP/1.1\r\nHost: lab\r\n\r\n")
            try:
                await client.responses()
            except ConnectionError:
                await client.ended()
        resumed = client.pump.is_open and client.pump.handshake_info().resumed
        client.close()
        return ("" if client.failure is None else client.failure.kind), resumed


@pytest.fixture
async def start() -> AsyncIterator[Callable[[ServerTls], object]]:
    """Start a front; it is stopped at the end of the test."""
    started: list[tuple[TlsFront, web.Server]] = []

    async def start(tls: ServerTls) -> Rig:
        http = web.Server(answer, access_log=None)
        front = TlsFront(tls, http, clock=lambda: 0.0)
        started.append((front, http))
        return Rig(front, await front.start("127.0.0.1", 0))

    yield start
    for front, http in started:
        front.close_listener()
        front.close_connections()
        await http.shutdown(0.1)
        await front.stop(1)


Start = Callable[[ServerTls], "asyncio.Future[Rig]"]


def revoking(*leaves: Leaf) -> x509.CertificateRevocationList:
    """The devices' list with some of them on it."""
    revoked = [
        Revocation(
            serial=leaf.certificate.serial_number,
            revoked_at=NOW,
            reason=Reason.KEY_COMPROMISE,
        )
        for leaf in leaves
    ]
    return build_crl(root("devices"), revoked, number=1, validity=VALID)


def mutual(*revoked: Leaf, ca: str = "devices", **changes: object) -> ServerTls:
    """Settings for mutual TLS with a list."""
    values: dict[str, object] = {
        "client_cas": (root(ca).certificate,),
        "require_client_certificate": True,
        "crls": (revoking(*revoked),) if ca == "devices" else (),
        "check_crl": ca == "devices",
        **changes,
    }
    return server_tls(**values)


def of_stranger() -> ServerTls:
    """A server certificate of a root that nobody here trusts."""
    leaf = issue_server(
        root("stranger"), validity=VALID, names=("localhost",), ips=("127.0.0.1",)
    )
    return server_tls(leaf)


CASES: dict[str, tuple[Callable[[], ServerTls], Callable[[], ServerTls], bool, str]] = {
    "crl": (
        mutual,
        lambda: mutual(device("fine")),
        True,
        "tls.alert.certificate_revoked",
    ),
    "client-ca": (
        mutual,
        lambda: mutual(ca="other devices"),
        True,
        "tls.alert.unknown_ca",
    ),
    "client-certificate": (
        server_tls,
        mutual,
        False,
        "tls.alert.handshake_failure",
    ),
    "versions": (
        server_tls,
        lambda: server_tls(min_version="TLSv1.3"),
        False,
        "tls.alert.protocol_version",
    ),
    "ciphers": (
        server_tls,
        lambda: server_tls(cipher_list="AES128-SHA:@SECLEVEL=0"),
        False,
        "tls.alert.handshake_failure",
    ),
    "name": (
        server_tls,
        lambda: server_tls(server("other.example")),
        False,
        "tls.verify.hostname_mismatch",
    ),
    "issuer": (
        server_tls,
        of_stranger,
        False,
        "tls.verify.unable_to_get_issuer_cert_locally",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_swap_is_for_new_handshakes_only(start: Start, case: str) -> None:
    """Before it, through it, after it, and back: refused only where it must be."""
    before, after, has_certificate, kind = CASES[case]
    leaf = device("fine") if has_certificate else None
    rig = await start(before())
    live = await rig.client(leaf=leaf)
    assert await rig.verdict(leaf=leaf) == ("", False)
    rig.front.swap(after())
    assert await rig.verdict(leaf=leaf) == (kind, False)
    kept = await live.request("GET /kept HTTP/1.1\r\nHost: lab\r\n\r\n")
    assert kept.endswith(b"/kept")
    rig.front.swap(before())
    assert await rig.verdict(leaf=leaf) == ("", False)
    live.close()
    results = rig.front.handshakes.by_result()
    assert results["ok"] == 3
    assert sum(results.values()) == 4


async def test_handshake_under_way_keeps_what_it_began_with(start: Start) -> None:
    """A client that had sent its hello before the swap gets the old certificate."""
    rig = await start(server_tls())
    waiting = [
        await PumpClient.connect(rig.port, client_connection()) for _ in range(3)
    ]
    await turn_until(lambda: rig.front.live == 3)
    rig.front.swap(server_tls(server("other.example")))
    for client in waiting:
        await client.opened()
        assert client.failure is None
        client.close()


RESUMPTIONS = {
    "1.2": (True, TlsRules(resumption=True), None),
    "1.2-without-tickets": (False, TlsRules(resumption=True), None),
    "1.3": (True, TlsRules(resumption=True, max_version="TLSv1.3"), TLS13),
    "1.3-without-tickets": (
        False,
        TlsRules(resumption=True, max_version="TLSv1.3"),
        TLS13,
    ),
}


@pytest.mark.parametrize("case", RESUMPTIONS)
async def test_old_session_does_not_slip_past_the_new_list(
    start: Start, case: str
) -> None:
    """A revoked device that resumes is refused: its session died with the swap.

    OpenSSL verifies nothing anew when it resumes: the same session was resumed before
    the swap, and after it an unrevoked device starts afresh. A front without tickets
    keeps no sessions either.
    """
    tickets, rules, group = RESUMPTIONS[case]
    options: dict[str, object] = {"rules": rules}
    if group is not None:
        options["group"] = group
    rig = await start(mutual(session_tickets=tickets))
    sessions = {}
    for name in ("fine", "revoked"):
        client = await rig.client(leaf=device(name), **options)
        await client.request("GET /1 HTTP/1.1\r\nHost: lab\r\n\r\n")
        assert client.pump is not None
        sessions[name] = client.pump.session()
        client.close()
        options_of = {**options, "leaf": device(name), "session": sessions[name]}
        assert await rig.verdict(**options_of) == ("", tickets)
    rig.front.swap(mutual(device("revoked"), session_tickets=tickets))
    assert await rig.verdict(
        leaf=device("revoked"), session=sessions["revoked"], **options
    ) == ("tls.alert.certificate_revoked", False)
    assert await rig.verdict(
        leaf=device("fine"), session=sessions["fine"], **options
    ) == ("", False)
