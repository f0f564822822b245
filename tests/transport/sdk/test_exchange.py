"""One exchange of the SDK, phase by phase, on a clock of the test's own."""

import ssl
from typing import Any
from unittest.mock import Mock

import pytest

from fleetsim.core.events import Response
from fleetsim.core.failure import Kind, Phase
from fleetsim.transport.base import Measures
from fleetsim.transport.sdk.exchange import Call, Exchange

ERROR = b"<Error><Code>SlowDown</Code><Message>slowly</Message></Error>"


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        """Now."""
        return self.ns

    def tick(self, ns: int) -> None:
        """Let time pass."""
        self.ns += ns


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


@pytest.fixture
def call(clock: Clock) -> Call:
    """A call somebody listens to."""
    return Call(Mock(), clock)


def agreed() -> Any:
    """A TLS object after its handshake."""
    made = Mock(spec=ssl.SSLObject)
    made.cipher.return_value = ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
    made.version.return_value = "TLSv1.3"
    return made


def test_a_whole_exchange_has_every_phase(clock: Clock, call: Call) -> None:
    """Dns 1, tcp 2, tls 4, send 8, wait 16; the phases add up without a gap."""
    exchange = Exchange(call, "PutObject")
    exchange.sized(100, 50)
    exchange.dialling()
    exchange.resolving()
    phases = [exchange.phase]
    clock.tick(1)
    exchange.resolved()
    phases.append(exchange.phase)
    clock.tick(2)
    exchange.securing(agreed())
    phases.append(exchange.phase)
    clock.tick(4)
    exchange.opened()
    exchange.wrote(0)
    phases.append(exchange.phase)
    clock.tick(8)
    exchange.wrote(50)
    phases.append(exchange.phase)
    assert phases == [Phase.DNS, Phase.TCP, Phase.TLS, Phase.SEND, Phase.WAIT]
    clock.tick(16)
    exchange.received(30)
    exchange.ended(Response(200, {}, b"", keep_alive=True), None, {"ETag": '"e"'})
    assert exchange.measures() == Measures(
        dns_ns=1,
        tcp_ns=2,
        tls_ns=4,
        send_ns=8,
        wait_ns=16,
        bytes_sent=150,
        bytes_received=30,
    )
    assert (exchange.tls_version, exchange.suite) == (
        "TLSv1.3",
        "TLS_AES_256_GCM_SHA384",
    )
    assert (exchange.etag, exchange.failure, call.handshakes) == ("e", None, 1)


@pytest.mark.parametrize(
    ("steps", "phase", "expected"),
    [
        ((), Phase.TCP, Measures()),
        (("dialling", "resolving"), Phase.DNS, Measures(dns_ns=5)),
        (("dialling",), Phase.TCP, Measures(tcp_ns=5)),
        (("dialling", "securing"), Phase.TLS, Measures(tcp_ns=0, tls_ns=5)),
        (("reusing",), Phase.SEND, Measures(send_ns=5)),
    ],
    ids=["before", "dns", "tcp", "tls", "send"],
)
def test_the_phase_it_died_in_counts_to_the_end(
    clock: Clock, call: Call, steps: tuple[str, ...], phase: Phase, expected: Measures
) -> None:
    """What came after it is absent."""
    exchange = Exchange(call, "PutObject")
    exchange.sized(10, 20)
    for step in steps:
        getattr(exchange, step)(*([agreed()] if step == "securing" else []))
    clock.tick(5)
    exchange.ended(None, ConnectionResetError("reset"), {})
    assert exchange.measures() == expected
    assert exchange.failure is not None
    assert exchange.failure.phase is phase


def test_a_second_dial_replaces_the_first(clock: Clock, call: Call) -> None:
    """Aiohttp may find a kept connection dead and dial within one exchange."""
    exchange = Exchange(call, "PutObject")
    exchange.reusing()
    clock.tick(3)
    exchange.dialling()
    clock.tick(5)
    exchange.opened()
    exchange.wrote(0)
    clock.tick(7)
    exchange.ended(Response(200, {}, b"", keep_alive=True), None, {})
    measured = exchange.measures()
    assert (measured.tcp_ns, measured.send_ns, measured.wait_ns) == (5, 0, 7)


@pytest.mark.parametrize(
    ("response", "parsed", "kind"),
    [
        (Response(503, {}, ERROR, keep_alive=True), {}, "s3.SlowDown"),
        (Response(500, {}, b"", keep_alive=True), {}, Kind.HTTP_STATUS),
        (
            Response(200, {}, ERROR, keep_alive=True),
            {"Error": {"Code": "InternalError", "Message": "m"}},
            "s3.InternalError",
        ),
        (Response(304, {}, b"", keep_alive=True), {"Error": {"Code": "304"}}, ""),
        (Response(204, {}, b"", keep_alive=True), {}, ""),
    ],
    ids=["503", "500 without document", "200 with an error", "304", "204"],
)
def test_the_response_is_judged_as_for_firmware(
    call: Call, response: Response, parsed: dict[str, Any], kind: str
) -> None:
    """By the one reader of S3 errors; AWS may send an error with status 200."""
    exchange = Exchange(call, "CompleteMultipartUpload")
    exchange.ended(response, None, parsed)
    assert (exchange.failure.kind if exchange.failure else "") == kind


def test_only_repetitions_are_told(call: Call) -> None:
    """Another request of the same call is none, nor what serves the SDK itself."""
    first = Exchange(call, "CreateMultipartUpload")
    call.began(first, None)
    second = Exchange(call, "UploadPart")
    call.began(second, None)
    listener: Any = call._listener
    listener.on_repeated.assert_not_called()
    call.began(Exchange(call, "UploadPart"), second)
    listener.on_repeated.assert_called_once_with(second)
    aborting = Exchange(call, "AbortMultipartUpload")
    call.began(aborting, aborting)
    listener.on_repeated.assert_called_once()
    assert call.last is not aborting


def test_what_made_a_call_fail_stays_its_last(call: Call) -> None:
    """Whatever other parts still do."""
    failed, other = Exchange(call, "UploadPart"), Exchange(call, "UploadPart")
    call.began(failed, None)
    call.failed(failed)
    call.began(other, None)
    call.failed(other)
    assert call.last is failed


def test_an_upload_in_parts_adds_up_its_bytes(clock: Clock, call: Call) -> None:
    """One attempt of many exchanges: first dial, all bytes, no send and wait."""
    for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        exchange = Exchange(call, operation)
        call.began(exchange, None)
        exchange.sized(10, 0)
        if operation == "CreateMultipartUpload":
            exchange.dialling()
            clock.tick(3)
            exchange.opened()
        else:
            exchange.reusing()
        exchange.wrote(0)
        exchange.ended(Response(200, {}, b"", keep_alive=True), None, {})
        call.finished(exchange)
    assert call.measures() == Measures(tcp_ns=3, bytes_sent=30)
    assert call.connection is not None
    assert call.connection.operation == "CreateMultipartUpload"


def test_a_call_without_an_exchange_measured_nothing(call: Call) -> None:
    """It was cut off before the SDK began."""
    assert call.measures() == Measures()
    assert call.connection is None
