"""What is really on the wire: tshark reads the device's handshakes off the loopback."""

import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fleetsim.core.settings import TlsRules
from fleetsim.profiles import catalog
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerTls
from tests.integration.tls_wire import (
    TIMEOUT_S,
    exchange,
    one_shot_server,
    program,
    running,
)
from tests.transport.pumps import (
    PLAIN_SERVER,
    TLS13_RULES,
    Client,
    server_pump,
)

pytestmark = [pytest.mark.server, pytest.mark.slow]

FIELDS = (
    "udp.payload",
    "tcp.stream",
    "tcp.dstport",
    "tls.handshake.type",
    "tls.handshake.version",
    "tls.handshake.ciphersuite",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_supported_group",
    "tls.alert_message.level",
    "tls.alert_message.desc",
)
SCSV = 0x00FF  # TLS_EMPTY_RENEGOTIATION_INFO_SCSV, RFC 5746 3.3


@dataclass(frozen=True, slots=True)
class Packet:
    """Fields of one packet; a field that occurs several times has several values."""

    fields: dict[str, tuple[str, ...]]

    def numbers(self, name: str) -> list[int]:
        """Values of a numeric field, decimal or hexadecimal."""
        return [int(value, 0) for value in self.fields[name]]


@contextmanager
def capturing(port: int, folder: Path) -> Iterator[list[Packet]]:
    """Capture on the loopback; the list is complete when the block has ended.

    UDP datagrams to the same port mark the beginning and the end: the capture has
    begun when the first is reported, and is complete when the last one is.
    """
    arguments = [program("tshark"), "-i", "lo", "-n", "-l", "-Q"]
    arguments += ["-f", f"port {port}", "-d", f"tcp.port=={port},tls"]
    arguments += ["-o", "tcp.desegment_tcp_streams:TRUE"]
    arguments += ["-T", "fields", "-E", "separator=|", "-E", "aggregator=,"]
    for field in FIELDS:
        arguments += ["-e", field]
    packets: list[Packet] = []
    with (
        running(arguments, folder) as process,
        ThreadPoolExecutor(1) as pool,
        socket.socket(type=socket.SOCK_DGRAM) as marker,
    ):
        assert process.stdout is not None
        lines = process.stdout

        def read_until(mark: bytes) -> bool:
            for line in lines:
                values = line.rstrip("\n").split("|")
                if len(values) != len(FIELDS):
                    continue  # what tshark says to its user
                if values[0] == mark.hex():
                    return True
                if not values[0]:
                    parts = (tuple(filter(None, value.split(","))) for value in values)
                    packets.append(Packet(dict(zip(FIELDS, parts, strict=True))))
            return False

        begun = pool.submit(read_until, b"begin")
        while not begun.done():
            marker.sendto(b"begin", ("127.0.0.1", port))
            try:
                begun.result(0.05)
            except TimeoutError:
                continue
        if not begun.result():
            refuse = pytest.fail if os.environ.get("CI") else pytest.skip
            refuse("tshark may not capture on the loopback here")
        yield packets
        ended = pool.submit(read_until, b"end")
        marker.sendto(b"end", ("127.0.0.1", port))
        assert ended.result(TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Seen:
    """What tshark saw of one handshake, and what the pumps made of it."""

    hello: Packet
    alerts_of_client: list[int]
    alerts_of_server: list[int]
    client: TlsPump
    server: TlsPump


def cipher_groups() -> dict[str, Client]:
    """Every cipher group of every built-in profile, each once."""
    found: dict[tuple[object, ...], tuple[str, Client]] = {}
    for name in catalog.names():
        profile = catalog.load(name).profile
        for table in profile.cipher_tables:
            for group in table.groups:
                where = f"{name} {table.name} {group.name}"
                client = Client(suites=group.suites, rules=profile.tls)
                found.setdefault((group.suites, profile.tls), (where, client))
    return dict(found.values())


GROUPS = cipher_groups()
NAMES = {
    "name": (Client(), ("storage.test",)),
    "name with final dot": (Client(host="storage.test."), ("storage.test",)),
    "name, SNI off": (Client(rules=TlsRules(send_sni=False)), ()),
    "IPv4 address": (Client(host="127.0.0.1"), ()),
    "IPv6 address": (Client(host="::1"), ()),
}
TLS13_CLIENT = Client(suites=("TLS_AES_128_GCM_SHA256",), rules=TLS13_RULES)
ALERTS: dict[str, tuple[Client, ServerTls, list[int], list[int]]] = {
    "unknown CA": (Client(anchors=()), PLAIN_SERVER, [48], []),
    "another name": (Client(host="other.test"), PLAIN_SERVER, [42], []),
    "too early": (Client(unix_s=0), PLAIN_SERVER, [42], []),
    "too late": (Client(unix_s=1 << 32), PLAIN_SERVER, [45], []),
    "no common suite": (
        Client(suites=("AES128-SHA",)),
        replace(PLAIN_SERVER, cipher_list="ECDHE"),
        [],
        [40],
    ),
    "version": (Client(), replace(PLAIN_SERVER, min_version="TLSv1.3"), [], [70]),
    "no common suite in TLS 1.3": (
        TLS13_CLIENT,
        replace(PLAIN_SERVER, tls13_suites="TLS_AES_256_GCM_SHA384"),
        [],
        [40],
    ),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """All handshakes of this module under one capture: starting tshark is slow."""
    cases = {where: (client, PLAIN_SERVER) for where, client in GROUPS.items()}
    cases |= {where: (client, PLAIN_SERVER) for where, (client, _) in NAMES.items()}
    cases |= {where: (case[0], case[1]) for where, case in ALERTS.items()}
    pumps = []
    with (
        one_shot_server() as server,
        capturing(server.port, tmp_path_factory.mktemp("tshark")) as packets,
    ):
        for client, settings in cases.values():
            served = server.serve(server_pump(settings))
            here = exchange(client.pump(), server.port, b"hello\n")
            pumps.append((here.pump, served.result(TIMEOUT_S).pump))
        port = str(server.port)
    found = {}
    for stream, (where, (here_pump, there_pump)) in enumerate(
        zip(cases, pumps, strict=True)
    ):
        mine = [p for p in packets if p.fields["tcp.stream"] == (str(stream),)]
        alerts: dict[bool, list[int]] = {True: [], False: []}
        for packet in mine:
            to_server = packet.fields["tcp.dstport"] == (port,)
            alerts[to_server] += packet.numbers("tls.alert_message.desc")
            assert set(packet.fields["tls.alert_message.level"]) <= {"2"}
        found[where] = Seen(
            hello=next(p for p in mine if "1" in p.fields["tls.handshake.type"]),
            alerts_of_client=alerts[True],
            alerts_of_server=alerts[False],
            client=here_pump,
            server=there_pump,
        )
    return found


@pytest.fixture(scope="module")
def code_points() -> dict[str, int]:
    """IANA code points of suites by OpenSSL name, from ``openssl ciphers -V``."""
    listed = subprocess.run(
        [program("openssl"), "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for line in listed.stdout.splitlines():
        code, _, name, *_ = line.split()
        high, low = code.split(",")
        found[name] = int(high, 16) << 8 | int(low, 16)
    return found


@pytest.mark.parametrize("where", GROUPS)
def test_client_hello_carries_the_group(
    where: str, seen: dict[str, Seen], code_points: dict[str, int]
) -> None:
    """The ClientHello offers the group's suites in its order, and nothing else.

    TLS 1.3 suites come first; the only stranger is the signalling value of RFC 5746,
    which a hello with TLS 1.2 suites carries last.
    """
    suites = GROUPS[where].suites
    ordered = sorted(suites, key=lambda suite: not suite.startswith("TLS_"))
    wanted = [code_points[suite] for suite in ordered]
    offered = seen[where].hello.numbers("tls.handshake.ciphersuite")
    assert offered[: len(wanted)] == wanted
    assert offered[len(wanted) :] in ([], [SCSV])
    assert seen[where].client.is_open


@pytest.mark.parametrize("where", NAMES)
def test_sni_on_the_wire(where: str, seen: dict[str, Seen]) -> None:
    """SNI is on the wire for host names and only if the profile sends it."""
    names = seen[where].hello.fields["tls.handshake.extensions_server_name"]
    assert names == NAMES[where][1]
    assert seen[where].client.is_open


def test_curves_of_the_device(seen: dict[str, Seen]) -> None:
    """The groups for key exchange are those of the profile: P-256 is 23 (RFC 8422)."""
    hello = seen["name"].hello
    assert hello.numbers("tls.handshake.extensions_supported_group") == [23]


@pytest.mark.parametrize("where", ALERTS)
def test_alerts_on_the_wire(where: str, seen: dict[str, Seen]) -> None:
    """Alerts leave in clear, fatal, with the number the registry gives them."""
    _, _, of_client, of_server = ALERTS[where]
    one = seen[where]
    assert (one.alerts_of_client, one.alerts_of_server) == (of_client, of_server)
    assert one.client.failure is not None
    assert one.server.failure is not None
