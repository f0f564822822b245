"""The driver of SDK devices: hidden repetitions become records, one try altogether."""

import asyncio
from dataclasses import dataclass

import aiohttp
import pytest

from fleetsim.core.commands import Connect, Send
from fleetsim.core.contact import ContactState
from fleetsim.core.events import Connected, RequestFailed, Response, ResponseReceived
from fleetsim.core.failure import Failure, Kind, Phase, alert
from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.engine.sdk_driver import SdkDevices, SdkDriver
from fleetsim.transport.base import Measures
from fleetsim.transport.network import Network
from fleetsim.transport.scripted import Answer, ScriptedChannel
from fleetsim.transport.sdk.exchange import Call, Exchange
from tests.core.conversation import S, make_device, make_settings, ok, s3_error
from tests.engine.virtual_time import VirtualFleet

MS = 1_000_000
SLOW_DOWN = Failure("s3.SlowDown", Phase.WAIT, "Please reduce your request rate.")


@dataclass
class Sdk:
    """An SDK that fails in a given way before each answer; 100 ms per exchange.

    Attributes:
        failures: Of the hidden attempts of each upload.
        last: How the last attempt ends, ``None`` = status 200.
        operation: S3 operation of the exchanges.
    """

    failures: tuple[Failure, ...] = ()
    last: Failure | None = None
    operation: str = "PutObject"

    def start(self, fleet: VirtualFleet) -> SdkDriver:
        """Put a device on it."""
        driver = SdkDriver(make_device(make_settings()), fleet)
        driver.channel = ScriptedChannel(
            driver, self._script(fleet, driver), fleet.later
        )
        fleet.book.add(driver)
        driver.start_due(0)
        return driver

    def _script(self, fleet: VirtualFleet, driver: SdkDriver):  # type: ignore[no-untyped-def]  # a closure of a test
        def script(command: Connect | Send) -> tuple[Answer, int]:
            if isinstance(command, Connect):
                return Connected(None), 0
            call = Call(driver, fleet.now_ns)
            self._exchange(fleet, call, 0, None)
            answer: Answer = RequestFailed(self.last) if self.last else _stored()
            return answer, 100 * MS * (len(self.failures) + 1)

        return script

    def _exchange(
        self, fleet: VirtualFleet, call: Call, number: int, before: Exchange | None
    ) -> None:
        exchange = Exchange(call, self.operation)
        call.began(exchange, before)
        exchange.dialling()
        exchange.opened()
        exchange.wrote(0)

        def end() -> None:
            if number < len(self.failures):
                exchange.ended(None, None, {})
                exchange.failure = self.failures[number]
                call.finished(exchange)
                self._exchange(fleet, call, number + 1, exchange)
            else:
                exchange.ended(ok(etag='"e"'), None, {})
                call.finished(exchange)
                call.handshakes = 1
                driver_of(call).on_settled(call)

        fleet.later(100 * MS, end)


def driver_of(call: Call) -> SdkDriver:
    """Who listens to a call."""
    listener = call._listener
    assert isinstance(listener, SdkDriver)
    return listener


def _stored() -> ResponseReceived:
    return ResponseReceived(ok(etag='"e"'), is_open=False)


def test_every_hidden_attempt_is_a_record() -> None:
    """Two repetitions are attempts 1 and 2 with their failures; the third succeeds."""
    fleet = VirtualFleet()
    driver = Sdk((SLOW_DOWN, Failure(Kind.HTTP_RESET, Phase.WAIT))).start(fleet)
    fleet.run_until(15 * S)
    assert [(r.attempt, r.kind, r.phase) for r in fleet.records] == [
        (1, "s3.SlowDown", "wait"),
        (2, "http.reset", "wait"),
        (3, "", ""),
    ]
    assert {r.planned_ns for r in fleet.records} == {10 * S}
    assert {r.key for r in fleet.records} == {fleet.records[0].key}
    assert [r.started_ns - 10 * S for r in fleet.records] == [0, 100 * MS, 200 * MS]
    assert [r.ended_ns - r.started_ns for r in fleet.records] == [100 * MS] * 3
    assert [r.wait_ns for r in fleet.records[:2]] == [100 * MS] * 2
    assert driver.handshakes == 1
    assert not driver.has_failed
    assert fleet.limiter.taken == 0


def test_hidden_attempts_are_one_try() -> None:
    """Three failed exchanges of one call are no three tries: the device is connected."""
    fleet = VirtualFleet()
    driver = Sdk((SLOW_DOWN,) * 4).start(fleet)
    fleet.run_until(15 * S)
    assert fleet.book.failed_attempts == 4
    assert driver.contact.state is ContactState.CONNECTED
    assert driver.contact.failed_tries == 0
    assert fleet.book.failing_now == 0


def test_the_device_numbers_on_from_the_sdk() -> None:
    """When the SDK gives up, the device's own next attempt does not begin at 1 again."""
    fleet = VirtualFleet()
    Sdk((SLOW_DOWN,), last=Failure(Kind.HTTP_RESET, Phase.WAIT)).start(fleet)
    fleet.run_until(16 * S)
    assert [(r.attempt, r.kind) for r in fleet.records] == [
        (1, "s3.SlowDown"),
        (2, "http.reset"),
        (3, "s3.SlowDown"),
        (4, "http.reset"),
    ]
    assert {r.planned_ns for r in fleet.records} == {10 * S}


def test_the_next_file_begins_at_one() -> None:
    """Hidden attempts belong to their operation."""
    fleet = VirtualFleet()
    Sdk((SLOW_DOWN,)).start(fleet)
    fleet.run_until(25 * S)
    assert [r.attempt for r in fleet.records] == [1, 2, 1, 2]


def test_an_alert_has_its_name() -> None:
    """As in any other record."""
    fleet = VirtualFleet()
    Sdk((alert("unknown_ca"),)).start(fleet)
    fleet.run_until(15 * S)
    assert fleet.records[0].alert == "unknown_ca"
    assert fleet.records[0].phase == "tls"


def test_a_repetition_without_a_reason_is_unclassified() -> None:
    """Whatever the SDK repeats must have a name; this is the bug metric."""
    fleet = VirtualFleet()
    sdk = Sdk((SLOW_DOWN,))
    sdk.failures = (None,)  # type: ignore[assignment]  # what must not happen
    sdk.start(fleet)
    fleet.run_until(15 * S)
    assert [r.kind for r in fleet.records] == [Kind.UNCLASSIFIED, ""]


def test_a_repeated_part_does_not_restart_the_upload() -> None:
    """The row of the part lasts from its begin to its end, the upload's from the start."""
    fleet = VirtualFleet()
    Sdk((SLOW_DOWN,), operation="UploadPart").start(fleet)
    fleet.run_until(15 * S)
    part, upload = fleet.records
    assert (part.attempt, part.started_ns, part.ended_ns) == (
        1,
        10 * S,
        10 * S + 100 * MS,
    )
    assert (upload.attempt, upload.started_ns) == (2, 10 * S)
    assert upload.ended_ns == 10 * S + 200 * MS


def test_a_repetition_of_nothing_is_a_bug() -> None:
    """The SDK repeats only what the device has under way."""
    fleet = VirtualFleet()
    driver = SdkDriver(make_device(), fleet)
    call = Call(driver, fleet.now_ns)
    with pytest.raises(RuntimeError, match="nothing"):
        driver.on_repeated(Exchange(call, "PutObject"))


async def test_what_aiohttp_leaves_behind_is_no_bug() -> None:
    """A complaint of the loop about a forgotten write is known; others are not."""
    loop = asyncio.get_running_loop()
    devices = SdkDevices(Network(loop=loop, spawn=loop.create_task, now_ns=lambda: 0))
    assert devices.is_echo(aiohttp.ClientConnectionResetError("closing transport"))
    assert devices.is_echo(ConnectionResetError())
    assert not devices.is_echo(KeyError("x"))
    assert not devices.is_echo(None)


async def test_clients_are_made_before_the_run_and_closed_after_it() -> None:
    """Every device has its own."""
    loop = asyncio.get_running_loop()
    devices = SdkDevices(Network(loop=loop, spawn=loop.create_task, now_ns=lambda: 0))
    fleet = VirtualFleet()
    drivers = [devices.add(make_device(), fleet, SdkSettings(), None) for _ in range(2)]
    await devices.prepare()
    clients = set(devices._shared._clients)
    assert len(clients) == len(drivers) == 2
    assert len({id(client.s3) for client in clients}) == 2
    await devices.aclose()
    assert not devices._shared._clients


def test_a_response_that_is_an_error_is_judged_by_the_device() -> None:
    """The last exchange of a call ends as any response of firmware does."""
    fleet = VirtualFleet()
    driver = SdkDriver(make_device(), fleet)

    def script(command: Connect | Send) -> tuple[Answer, int]:
        if isinstance(command, Connect):
            return Connected(None), 0
        refused: Response = s3_error(403, "AccessDenied")
        return ResponseReceived(refused, is_open=False), 10 * MS

    driver.channel = ScriptedChannel(driver, script, fleet.later)
    driver.channel.measures = Measures()
    fleet.book.add(driver)
    driver.start_due(0)
    fleet.run_until(12 * S)
    assert [(r.kind, r.status) for r in fleet.records] == [("s3.AccessDenied", 403)]
