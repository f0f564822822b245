"""Catalogue: every metric a run hands out, once, under its OpenTelemetry name.

Names that the OpenTelemetry semantic conventions have are theirs
(``http.client.request.duration``, ``dns.lookup.duration``, attribute ``error.type``); all
others begin with ``fleetsim.``. Prometheus names follow from them by the rules of
"Prometheus and OpenMetrics Compatibility" (opentelemetry.io): dots become underscores, the
unit becomes a suffix, counters end in ``_total``.

No metric has a device as an attribute: a fleet of 10,000 would make 10,000 series of each.
Devices are in ``records.parquet``.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

# Advised by the semantic conventions for http.client.request.duration, in seconds, and
# three more for a response time that holds the wait of a backlog.
REQUEST_BOUNDS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    30.0, 60.0, 300.0,
)  # fmt: skip
CONNECTION_BOUNDS_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


@unique
class MetricKind(StrEnum):
    """What a value means."""

    COUNTER = "counter"  # only grows
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: OpenTelemetry name.
        kind: What its values mean.
        unit: UCUM: ``s``, ``By``, ``1`` for a ratio, ``{device}`` for a count of them.
        help: What it says and how it is measured.
        attributes: What its values are told apart by.
        bounds_s: Bounds of a histogram, seconds.
    """

    name: str
    kind: MetricKind
    unit: str
    help: str
    attributes: tuple[str, ...] = ()
    bounds_s: tuple[float, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """Name in Prometheus, without ``_total`` or ``_bucket``."""
        name = label(self.name)
        match self.unit:
            case "s":
                return f"{name}_seconds"
            case "By":
                return f"{name}_bytes"
            case "1":
                return f"{name}_ratio"
            case _:
                return name

    @property
    def series_name(self) -> str:
        """Name of its series as queries write it; of a histogram, the common part."""
        if self.kind is MetricKind.COUNTER:
            return f"{self.prometheus_name}_total"
        return self.prometheus_name


def label(name: str) -> str:
    """Prometheus name of a metric or an attribute."""
    return name.replace(".", "_")


def _histogram(
    name: str,
    text: str,
    bounds_s: tuple[float, ...],
    *more: str,
) -> Metric:
    return Metric(
        name=name,
        kind=MetricKind.HISTOGRAM,
        unit="s",
        help=text,
        attributes=("cohort", *more),
        bounds_s=bounds_s,
    )


def _counter(name: str, unit: str, text: str, *attributes: str) -> Metric:
    return Metric(
        name=name, kind=MetricKind.COUNTER, unit=unit, help=text, attributes=attributes
    )


def _gauge(name: str, unit: str, text: str, *attributes: str) -> Metric:
    return Metric(
        name=name, kind=MetricKind.GAUGE, unit=unit, help=text, attributes=attributes
    )


RESPONSE_TIME: Final = _histogram(
    "fleetsim.upload.response_time",
    "Uploads: from the moment the plan wanted them to their confirmation. Holds failed "
    "attempts, pauses before a retry and the wait behind a slow server.",
    REQUEST_BOUNDS_S,
)
REQUEST_DURATION: Final = _histogram(
    "http.client.request.duration",
    "Uploads: the successful attempt alone, from its start to the last byte of the "
    "response (service time); holds connecting where a connection had to be made.",
    REQUEST_BOUNDS_S,
    "http.request.method",
    "server.address",
    "server.port",
)
DNS_DURATION: Final = _histogram(
    "dns.lookup.duration",
    "Name resolution of successful attempts that needed one.",
    CONNECTION_BOUNDS_S,
    "dns.question.name",
)
CONNECT_DURATION: Final = _histogram(
    "fleetsim.connect.duration",
    "TCP connect of successful attempts that needed one.",
    CONNECTION_BOUNDS_S,
)
HANDSHAKE_DURATION: Final = _histogram(
    "fleetsim.tls_handshake.duration",
    "TLS handshake of successful attempts that needed one; its count is that of "
    "handshakes.",
    CONNECTION_BOUNDS_S,
)
SEND_DURATION: Final = _histogram(
    "fleetsim.upload.send.duration",
    "Uploads: from the first to the last byte of the request handed to the socket.",
    REQUEST_BOUNDS_S,
)
WAIT_DURATION: Final = _histogram(
    "fleetsim.upload.wait.duration",
    "Uploads: from the last byte of the request to the last byte of the response.",
    REQUEST_BOUNDS_S,
)
ATTEMPTS: Final = _counter(
    "fleetsim.attempts",
    "{attempt}",
    "Attempts at anything, successful ones without error.type; uploads are operation "
    "upload.",
    "cohort",
    "operation",
    "error.type",
)
NETWORK_IO: Final = _counter(
    "fleetsim.network.io",
    "By",
    "Bytes written to and read from sockets, TLS included.",
    "network.io.direction",
)
LATE_STARTS: Final = _counter(
    "fleetsim.generator.late_starts",
    "{attempt}",
    "Attempts that started 50 ms or more after they were due, by the generator's fault.",
)
DEVICES: Final = _gauge(
    "fleetsim.devices",
    "{device}",
    "Devices by contact state: connected, degraded, failing, stranded, recovered, "
    "asleep, unreached.",
    "cohort",
    "state",
)
DEVICES_POWERED: Final = _gauge(
    "fleetsim.devices.powered", "{device}", "Devices that were switched on."
)
DEVICES_GROUP: Final = _gauge(
    "fleetsim.devices.by_cipher_group",
    "{device}",
    "Devices by the cipher group of their last handshake.",
    "cohort",
    "cipher_group",
)
DEVICES_BUNDLE: Final = _gauge(
    "fleetsim.devices.by_bundle",
    "{device}",
    "Devices by the trust bundle they use: generation in the order of first use, first "
    "12 hex digits of its SHA-256.",
    "generation",
    "fingerprint",
)
IN_FLIGHT: Final = _gauge(
    "fleetsim.attempts.in_flight", "{attempt}", "Attempts under way."
)
BACKLOG: Final = _gauge("fleetsim.backlog", "{file}", "Files waiting on the cards.")
GENERATOR_CPU: Final = _gauge(
    "fleetsim.generator.cpu",
    "1",
    "CPU of the generator in the last second, of one core.",
)
GENERATOR_SATURATED: Final = _gauge(
    "fleetsim.generator.saturated",
    "{flag}",
    "1 = the generator, not the target, is the limit: times are suspect.",
)
LOOP_LAG: Final = _gauge(
    "fleetsim.generator.loop_lag.p99",
    "s",
    "99th percentile since the start of how late the event loop served a timer.",
)
START_LAG: Final = _gauge(
    "fleetsim.generator.start_lag.p99",
    "s",
    "99th percentile since the start of how late attempts started.",
)
RUN_INFO: Final = _gauge(
    "fleetsim.run.info",
    "{run}",
    "Always 1; says which run this is.",
    "scenario",
    "run",
    "seed",
    "stage",
)
RUN_TIME: Final = _gauge("fleetsim.run.time", "s", "Time since the load began.")
RUN_LEFT: Final = _gauge(
    "fleetsim.run.remaining_time",
    "s",
    "Until the load ends, in the drain until its deadline; at most.",
)
TIMELINE_ENTRY: Final = _gauge(
    "fleetsim.timeline.entry",
    "{entry}",
    "Entries of the timeline; 1 = in this state: waiting, running, done, failed, "
    "skipped.",
    "index",
    "entry",
    "state",
)
RUN_VERDICT: Final = _gauge(
    "fleetsim.run.verdict",
    "{run}",
    "1 once the run is judged: passed, failed, interrupted or invalid.",
    "verdict",
)
UPLOADS_STORED: Final = _gauge(
    "fleetsim.uploads.stored",
    "{upload}",
    "Confirmed uploads that the bucket holds whole; known after the run.",
)
UPLOADS_UNACCOUNTED: Final = _gauge(
    "fleetsim.uploads.unaccounted",
    "{upload}",
    "Confirmed uploads that the bucket does not hold whole, and objects that nobody "
    "sent; known after the run.",
)

METRICS: Final = (
    RESPONSE_TIME,
    REQUEST_DURATION,
    DNS_DURATION,
    CONNECT_DURATION,
    HANDSHAKE_DURATION,
    SEND_DURATION,
    WAIT_DURATION,
    ATTEMPTS,
    NETWORK_IO,
    LATE_STARTS,
    DEVICES,
    DEVICES_POWERED,
    DEVICES_GROUP,
    DEVICES_BUNDLE,
    IN_FLIGHT,
    BACKLOG,
    GENERATOR_CPU,
    GENERATOR_SATURATED,
    LOOP_LAG,
    START_LAG,
    RUN_INFO,
    RUN_TIME,
    RUN_LEFT,
    TIMELINE_ENTRY,
    RUN_VERDICT,
    UPLOADS_STORED,
    UPLOADS_UNACCOUNTED,
)
"""Every metric, in the order of the reference."""

BY_PHASE: Final = {
    "dns": DNS_DURATION,
    "tcp": CONNECT_DURATION,
    "tls": HANDSHAKE_DURATION,
    "send": SEND_DURATION,
    "wait": WAIT_DURATION,
    "total": REQUEST_DURATION,
    "response": RESPONSE_TIME,
}
"""Phase of :mod:`fleetsim.recording.latency` to its histogram."""
