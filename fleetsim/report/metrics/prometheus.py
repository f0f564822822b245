"""Prometheus: ``/metrics`` of a running fleet, as text or as OpenMetrics.

Prometheus asks, we answer from the frame of the last second; a scrape reads no counter of
the hot path. The endpoint ends with the run: scrape every few seconds, and take verdicts
from ``summary.json``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from fleetsim.report.live.address import Address, listen
from fleetsim.report.live.frame import LiveFrame, RunFacts
from fleetsim.report.live.view import LiveView
from fleetsim.report.metrics.catalogue import METRICS, Metric, MetricKind, label
from fleetsim.report.metrics.readings import Distribution, Meter, Reading

OPTION: Final = "--prometheus"
PATH: Final = "/metrics"


class PrometheusView(LiveView):
    """Serves the metrics of the run over HTTP.

    Args:
        address: Where to listen; port 0 = any free one.
        say: Told where it listens, and what to mind.
    """

    def __init__(self, address: Address, say: Callable[[str], None]) -> None:
        self._address = address
        self._say = say
        self._meter: Meter | None = None
        self._frame: LiveFrame | None = None
        self._final: tuple[Reading, ...] = ()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            InputError: Nobody can listen there.
        """
        listener = listen(self._address, OPTION)
        host, port = listener.getsockname()[:2]
        app = web.Application()
        app.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        self._say(f"metrics for Prometheus: http://{Address(host, port)}{PATH}")
        if not self._address.is_loopback:
            self._say("warning: other machines can read these metrics")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def begin(self, facts: RunFacts, stop: Callable[[], None]) -> None:  # noqa: ARG002 - a scrape stops nothing
        """The fleet is about to start."""
        self._meter = Meter(facts)

    def show(self, frame: LiveFrame) -> None:
        """Keep the frame for who asks next."""
        self._frame = frame

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Keep what is known only now."""
        if self._meter is not None:
            self._final = self._meter.conclude(summary)

    async def _answer(self, request: web.Request) -> web.Response:
        readings: tuple[Reading, ...] = self._final
        if self._meter is not None and self._frame is not None:
            readings = (*self._meter.read(self._frame), *self._final)
        body, content_type = expose(readings, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def expose(readings: Sequence[Reading], accept: str) -> tuple[bytes, str]:
    """Write readings in the format that a client accepts.

    Args:
        readings: In any order.
        accept: Its ``Accept`` header, may be empty.

    Returns:
        Body and content type.
    """
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings(readings))
    return encode(registry), content_type


class _Readings(Collector):
    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Family]:
        """Give all families that have a value."""
        by_metric: dict[str, list[Reading]] = {}
        for reading in self._readings:
            by_metric.setdefault(reading.metric.name, []).append(reading)
        for metric in METRICS:
            if metric.name in by_metric:
                yield _family(metric, by_metric[metric.name])


def _family(metric: Metric, readings: Sequence[Reading]) -> Family:
    labels = [label(name) for name in metric.attributes]
    name, text = metric.prometheus_name, metric.help
    match metric.kind:
        case MetricKind.COUNTER:
            counter = CounterMetricFamily(name, text, labels=labels)
            for each in readings:
                counter.add_metric(each.attributes, _number(each))
            return counter
        case MetricKind.GAUGE:
            gauge = GaugeMetricFamily(name, text, labels=labels)
            for each in readings:
                gauge.add_metric(each.attributes, _number(each))
            return gauge
        case MetricKind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, text, labels=labels)
            for each in readings:
                seen = _distribution(each)
                buckets = list(_buckets(metric, seen))
                histogram.add_metric(each.attributes, buckets, seen.sum_s)
            return histogram


def _buckets(metric: Metric, seen: Distribution) -> Iterator[tuple[str, float]]:
    """Prometheus counts everything up to a bound."""
    bounds = [*(str(bound) for bound in metric.bounds_s), "+Inf"]
    yield from zip(bounds, accumulate(seen.counts), strict=True)


def _number(reading: Reading) -> float:
    if isinstance(reading.value, Distribution):
        raise TypeError(f"{reading.metric.name} is no histogram")
    return reading.value


def _distribution(reading: Reading) -> Distribution:
    if not isinstance(reading.value, Distribution):
        raise TypeError(f"{reading.metric.name} is a histogram")
    return reading.value
