"""OTLP: the metrics of a run, pushed to an OpenTelemetry collector once a second.

The exporter is OpenTelemetry's own, so that every ``OTEL_EXPORTER_OTLP_*`` variable
(headers, timeout, compression, certificates, protocol) means what its specification
says; it is handed counts that exist already, instead of one event per upload. Values are
cumulative since the start of the run: a collector that is away for a while misses
nothing but resolution. Exports run on a thread of their own, one at a time; a slow
collector is skipped, never waited for.

Needs the extra ``otel``: ``pip install 'fleetsim[otel]'``.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from fleetsim import __version__
from fleetsim.exceptions import InputError, Problem
from fleetsim.report.live.frame import LiveFrame, RunFacts
from fleetsim.report.live.view import LiveView
from fleetsim.report.metrics.catalogue import METRICS, Metric, MetricKind
from fleetsim.report.metrics.readings import Distribution, Meter, Reading

OPTION: Final = "--otlp"
PROTOCOLS: Final = ("http/protobuf", "grpc")
ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
LAST_EXPORT_S: Final = 5.0
"""Longest wait for the collector at the end of a run."""

_SERVICE: Final = "fleetsim"
_SIGNAL_PATH: Final = "/v1/metrics"
_LOGGER: Final = "opentelemetry"
_MISSING: Final = (
    "OpenTelemetry is not installed: pip install 'fleetsim[otel]', or leave the option"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpTarget:
    """Where metrics are pushed to.

    Attributes:
        endpoint: Full URL of the signal; ``None`` = the exporter reads it from its own
            variables.
        protocol: One of :data:`PROTOCOLS`.
        shown: For people.
    """

    endpoint: str | None
    protocol: str
    shown: str


def otlp_target(
    option: str | None, environment: Mapping[str, str]
) -> OtlpTarget | None:
    """Decide whether and where to push.

    Args:
        option: Value of ``--otlp``, a base URL such as ``http://127.0.0.1:4318``;
            ``None`` = not given.
        environment: ``OTEL_EXPORTER_OTLP_ENDPOINT`` and its like for metrics are enough
            to switch pushing on; ``OTEL_SDK_DISABLED=true`` and
            ``OTEL_METRICS_EXPORTER=none`` keep it off where the option is not given.

    Returns:
        The target, ``None`` = nobody asked for it.

    Raises:
        InputError: No such protocol, or no URL that could be used.
    """
    protocol = (
        environment.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL")
        or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or PROTOCOLS[0]
    )
    named = next((environment[name] for name in ENDPOINTS if environment.get(name)), "")
    is_off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or environment.get("OTEL_METRICS_EXPORTER", "").lower() == "none"
    )
    if option is None and (not named or is_off):
        return None
    problems = []
    if protocol not in PROTOCOLS:
        what = f"{protocol[:40]!r} is not spoken here; use {' or '.join(PROTOCOLS)}"
        problems.append(Problem("OTEL_EXPORTER_OTLP_PROTOCOL", what))
    place = named if option is None else option
    where = OPTION if option is not None else ENDPOINTS[1]
    url = _split(place)
    if url is None or url.scheme not in {"http", "https"} or not url.hostname:
        what = "expected a URL such as http://127.0.0.1:4318"
        problems.append(Problem(where, what))
    elif url.username or url.password:
        what = "credentials belong into OTEL_EXPORTER_OTLP_HEADERS, not into a URL"
        problems.append(Problem(where, what))
    if problems or url is None:
        raise InputError(problems)
    shown = f"{url.scheme}://{url.netloc}"
    if option is None:
        return OtlpTarget(endpoint=None, protocol=protocol, shown=shown)
    is_base = protocol == PROTOCOLS[0] and url.path in {"", "/"}
    endpoint = shown + _SIGNAL_PATH if is_base else option
    return OtlpTarget(endpoint=endpoint, protocol=protocol, shown=shown)


def _split(text: str) -> Any:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return url


class OtlpView(LiveView):
    """Pushes the metrics of a run.

    Args:
        target: Where to.
        say: Told when the collector stops or starts answering, and the count at the end.

    Raises:
        InputError: OpenTelemetry is not installed.
    """

    def __init__(self, target: OtlpTarget, say: Callable[[str], None]) -> None:
        try:
            self._export_types = import_module("opentelemetry.sdk.metrics.export")
            self._resources = import_module("opentelemetry.sdk.resources")
            self._scope = import_module(
                "opentelemetry.sdk.util.instrumentation"
            ).InstrumentationScope(_SERVICE, __version__)
            transport = "http" if target.protocol == PROTOCOLS[0] else "grpc"
            exporter = import_module(
                f"opentelemetry.exporter.otlp.proto.{transport}.metric_exporter"
            ).OTLPMetricExporter
        except ImportError as error:
            raise InputError(Problem(OPTION, _MISSING)) from error
        self._target = target
        self._say = say
        self._exporter = exporter(
            **({} if target.endpoint is None else {"endpoint": target.endpoint})
        )
        self._reasons = _LastWords()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="otlp")
        self._meter: Meter | None = None
        self._resource: Any = None
        self._begin_unix_ns = 0
        self._under_way: Future[bool] | None = None
        self._last: tuple[Reading, ...] = ()
        self._final: tuple[Reading, ...] = ()
        self._delivered = 0
        self._tried = 0
        self._is_failing = False

    async def __aenter__(self) -> Self:
        """Say where the metrics will go."""
        logger = logging.getLogger(_LOGGER)
        logger.addHandler(self._reasons)
        logger.propagate = False
        self._say(f"metrics over OTLP ({self._target.protocol}): {self._target.shown}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Push the last figures, for at most :data:`LAST_EXPORT_S`, and say how it went."""
        if self._last:
            pushes = [] if self._under_way is None else [self._under_way]
            self._under_way = self._submit((*self._last, *self._final))
            pushes.append(self._under_way)
            for is_delivered in await asyncio.to_thread(_results, pushes):
                self._take(is_delivered)
            self._say(
                f"metrics over OTLP: {self._delivered} of {self._tried} exports delivered"
            )
        self._exporter.shutdown(timeout_millis=0)
        await asyncio.to_thread(self._settle)
        logger = logging.getLogger(_LOGGER)
        logger.removeHandler(self._reasons)
        logger.propagate = True

    def begin(self, facts: RunFacts, stop: Callable[[], None]) -> None:  # noqa: ARG002 - a collector stops nothing
        """The fleet is about to start."""
        self._meter = Meter(facts)
        self._begin_unix_ns = time.time_ns()
        self._resource = self._resources.Resource.create(
            {
                "service.name": _SERVICE,
                "service.version": __version__,
                "service.instance.id": facts.folder.name,
                "fleetsim.scenario": facts.scenario,
            }
        )

    def show(self, frame: LiveFrame) -> None:
        """Push a frame, unless the one before is still under way."""
        if self._meter is None:
            return
        self._last = self._meter.read(frame)
        if self._under_way is not None:
            if not self._under_way.done():
                return
            self._take(self._under_way.result())
        self._under_way = self._submit(self._last)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Keep what is known only now for the last push."""
        if self._meter is not None:
            self._final = self._meter.conclude(summary)

    def _settle(self) -> None:
        """Give the thread a moment to end: its last words shall meet a listener."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._under_way is not None:
            wait([self._under_way], timeout=1.0)

    def _submit(self, readings: Sequence[Reading]) -> Future[bool]:
        self._tried += 1
        return self._thread.submit(self._export, readings, time.time_ns())

    def _export(self, readings: Sequence[Reading], now_unix_ns: int) -> bool:
        """Runs on the thread."""
        types = self._export_types
        result = self._exporter.export(self._data(readings, now_unix_ns))
        return bool(result == types.MetricExportResult.SUCCESS)

    def _take(self, is_delivered: bool) -> None:
        """Take note of an export; say so when it turns."""
        self._delivered += is_delivered
        if is_delivered == self._is_failing:
            self._is_failing = not is_delivered
            reason = f": {self._reasons.text}" if self._reasons.text else ""
            self._say(
                f"metrics over OTLP: {self._target.shown} answers again"
                if is_delivered
                else f"metrics over OTLP: {self._target.shown} took none{reason}"
            )

    def _data(self, readings: Sequence[Reading], now_unix_ns: int) -> Any:
        types = self._export_types
        by_metric: dict[str, list[Any]] = {}
        for each in readings:
            point = self._point(each, now_unix_ns)
            by_metric.setdefault(each.metric.name, []).append(point)
        metrics = [
            types.Metric(
                name=metric.name,
                description=metric.help,
                unit=metric.unit,
                data=self._series(metric, by_metric[metric.name]),
            )
            for metric in METRICS
            if metric.name in by_metric
        ]
        scope = types.ScopeMetrics(scope=self._scope, metrics=metrics, schema_url="")
        resource = types.ResourceMetrics(
            resource=self._resource, scope_metrics=[scope], schema_url=""
        )
        return types.MetricsData(resource_metrics=[resource])

    def _series(self, metric: Metric, points: list[Any]) -> Any:
        types = self._export_types
        cumulative = types.AggregationTemporality.CUMULATIVE
        match metric.kind:
            case MetricKind.COUNTER:
                return types.Sum(
                    data_points=points,
                    aggregation_temporality=cumulative,
                    is_monotonic=True,
                )
            case MetricKind.GAUGE:
                return types.Gauge(data_points=points)
            case MetricKind.HISTOGRAM:
                return types.Histogram(
                    data_points=points, aggregation_temporality=cumulative
                )

    def _point(self, reading: Reading, now_unix_ns: int) -> Any:
        types, seen = self._export_types, reading.value
        attributes = {
            name: value
            for name, value in zip(
                reading.metric.attributes, reading.attributes, strict=True
            )
            if value
        }
        times = {
            "attributes": attributes,
            "start_time_unix_nano": self._begin_unix_ns,
            "time_unix_nano": now_unix_ns,
        }
        if isinstance(seen, Distribution):
            return types.HistogramDataPoint(
                **times,
                count=seen.count,
                sum=seen.sum_s,
                bucket_counts=seen.counts,
                explicit_bounds=reading.metric.bounds_s,
                min=seen.minimum_s,
                max=seen.maximum_s,
            )
        return types.NumberDataPoint(**times, value=seen)


def _results(pushes: Sequence[Future[bool]]) -> list[bool]:
    """Wait for exports, all together for at most :data:`LAST_EXPORT_S`."""
    done = wait(pushes, timeout=LAST_EXPORT_S).done
    return [push in done and push.result() for push in pushes]


class _LastWords(logging.Handler):
    """Keeps why the exporter failed; its own logging would end up in the live view."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the words."""
        self.text = " ".join(record.getMessage().split())[:200]
