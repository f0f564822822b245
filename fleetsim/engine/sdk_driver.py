"""SdkDriver: the driver of a device whose requests go through the SDK.

The SDK repeats requests behind the back of whoever calls it. Each hidden repetition
becomes a record like any other attempt: the failed exchange is written under its own
failure kind and the next attempt of the same operation begins. Together they are one
*try* (:mod:`fleetsim.core.contact`), as the rungs of a cipher ladder are.

Of a multipart upload, a part that had to be repeated is a record of its own from its
begin to its end; the attempt that goes on is the upload as a whole.
"""

import asyncio
from dataclasses import replace

from fleetsim.core.commands import Task
from fleetsim.core.device import Device
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.engine.driver import Driver, Services
from fleetsim.recording.record import Record
from fleetsim.transport.base import ClientIdentity, Measures
from fleetsim.transport.network import Network
from fleetsim.transport.sdk.channel import SdkChannel, SdkNetwork
from fleetsim.transport.sdk.exchange import Call, Exchange
from fleetsim.transport.sdk.failures import TROUBLE


class SdkDevices:
    """The devices of a process that upload through the SDK.

    Args:
        network: What all channels share.
    """

    def __init__(self, network: Network) -> None:
        self._shared = SdkNetwork(network)
        self._channels: list[SdkChannel] = []

    def add(
        self,
        device: Device,
        services: Services,
        settings: SdkSettings,
        identity: ClientIdentity | None,
    ) -> "SdkDriver":
        """Make the driver of a device."""
        driver = SdkDriver(device, services)
        driver.channel = channel = SdkChannel(
            self._shared,
            driver,
            sdk=settings,
            settings=lambda: device.settings,
            identity=identity,
        )
        self._channels.append(channel)
        return driver

    async def prepare(self) -> None:
        """Make the clients: it takes some milliseconds each, which a run would show."""
        for channel in self._channels:
            await channel.prepare()
            await asyncio.sleep(0)

    def is_echo(self, error: object) -> bool:
        """Whether what the loop complains of only repeats a failure told already.

        aiohttp writes a request in a task of its own and forgets it when the connection
        breaks first; whoever awaits the request has learned of it.
        """
        return isinstance(error, TROUBLE)

    async def aclose(self) -> None:
        """Close what is open once all devices have ended."""
        await self._shared.aclose()


class SdkDriver(Driver):
    """Runs one device; see :class:`~fleetsim.engine.driver.Driver`."""

    __slots__ = ("_hidden", "_operation_of")

    def __init__(self, device: Device, services: Services) -> None:
        super().__init__(device, services)
        self._hidden = 0
        self._operation_of: tuple[str, int] = ("", -1)

    def _begin(self, task: Task) -> Record:
        """Number the attempt on from those that the SDK made by itself."""
        record = super()._begin(task)
        operation_of = (task.operation.value, task.planned_ns)
        if operation_of != self._operation_of or task.attempt == 1:
            self._operation_of = operation_of
            self._hidden = 0
        record.attempt += self._hidden
        return record

    def on_repeated(self, exchange: Exchange) -> None:
        """Record an exchange that failed; the SDK is about to send its request again."""
        record = self._record
        if record is None:
            raise RuntimeError("a repetition of nothing")
        now_ns = self._services.now_ns()
        going_on = replace(record, attempt=record.attempt + 1)
        if exchange.is_in_parts:
            record.started_ns = record.due_ns = exchange.began_ns
        else:
            going_on.started_ns = going_on.due_ns = now_ns
        failure = exchange.failure or Failure(
            Kind.UNCLASSIFIED, Phase.WAIT, f"{exchange.operation} was repeated"
        )
        _fill(record, exchange, exchange.measures())
        record.ended_ns = exchange.ended_ns if exchange.ended_ns >= 0 else now_ns
        record.kind = failure.kind
        record.phase = failure.phase.value
        record.detail = failure.detail[:200]
        if failure.kind.startswith("tls.alert."):
            record.alert = failure.kind.removeprefix("tls.alert.")
        self._record = going_on
        self._hidden += 1
        self._services.record(record)
        self.device.is_climbing = True
        self._services.concluded(self, failure, -1)
        self.device.is_climbing = False
        self.has_failed = True

    def on_settled(self, call: Call) -> None:
        """Note which connection the last exchange of a call used."""
        self.handshakes += call.handshakes
        record, seen = self._record, call.connection
        if record is None or seen is None:
            return
        _note_connection(record, seen)
        if call.last is not None and call.last.response is not None:
            record.status = call.last.response.status
        if call.handshakes:
            self.last_group = record.group


def _fill(record: Record, exchange: Exchange, measures: Measures) -> None:
    _note_connection(record, exchange)
    record.dns_ns = measures.dns_ns
    record.tcp_ns = measures.tcp_ns
    record.tls_ns = measures.tls_ns
    record.send_ns = measures.send_ns
    record.wait_ns = measures.wait_ns
    record.bytes_sent = measures.bytes_sent
    record.bytes_received = measures.bytes_received
    if exchange.response is not None:
        record.status = exchange.response.status


def _note_connection(record: Record, exchange: Exchange) -> None:
    record.reused = exchange.is_reused
    record.tls_version = exchange.tls_version
    record.suite = exchange.suite
