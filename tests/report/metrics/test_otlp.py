"""OTLP: what a collector reads from our bytes with OpenTelemetry's own protocol classes."""

import gzip
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2,
    metrics_service_pb2_grpc,
)

from fleetsim.exceptions import InputError
from fleetsim.report.metrics import otlp
from fleetsim.report.metrics.otlp import OtlpTarget, OtlpView, otlp_target
from tests.report.metrics.frames import facts, frame

SUMMARY = {"verdict": "passed", "uploads": {"stored": 9, "unaccounted": 0}}
CUMULATIVE = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE of opentelemetry/proto/metrics/v1


class Collector:
    """Keeps the requests it was sent."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.headers: Mapping[str, str] = {}
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        """Answer an export over HTTP."""
        if self.status != 200:
            return web.Response(status=self.status)
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.headers = request.headers
        self.requests.append(
            metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
        )
        answer = metrics_service_pb2.ExportMetricsServiceResponse()
        return web.Response(
            body=answer.SerializeToString(), content_type="application/x-protobuf"
        )

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - gRPC's name
        """Answer an export over gRPC."""
        self.requests.append(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics of the last request by name."""
        (resource,) = self.requests[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}


@asynccontextmanager
async def http_collector() -> AsyncIterator[tuple[Collector, str]]:
    """A collector and its base URL."""
    made, app = Collector(), web.Application()
    app.router.add_post("/v1/metrics", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def grpc_collector() -> Iterator[tuple[Collector, str]]:
    """The same over gRPC."""
    made, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    add = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server
    add(made, server)  # type: ignore[no-untyped-call]  # generated without types
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield made, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def attributes(point: Any) -> dict[str, str]:
    """Attributes of a data point."""
    return {each.key: each.value.string_value for each in point.attributes}


def target(option: str, **environment: str) -> OtlpTarget:
    """The target that an option means."""
    found = otlp_target(option, environment)
    assert found is not None
    return found


async def run(view: OtlpView, seconds: int = 1) -> None:
    """Let a view see a run."""
    async with view:
        view.begin(facts(), lambda: None)
        for second in range(seconds):
            view.show(frame(now_s=float(second)))
        view.finish(SUMMARY)


async def test_a_collector_reads_the_run() -> None:
    """Sums are cumulative and monotonic, histograms add up, attributes are in place."""
    said: list[str] = []
    async with http_collector() as (collector, url):
        await run(OtlpView(target(url), said.append))
    found = collector.metrics
    attempts = found["fleetsim.attempts"].sum
    assert attempts.is_monotonic
    assert attempts.aggregation_temporality == CUMULATIVE
    by_place = {
        tuple(sorted(attributes(point).items())): point
        for point in attempts.data_points
    }
    failed = by_place[
        ("cohort", "old"), ("error.type", "tcp.refused"), ("operation", "upload")
    ]
    assert failed.as_int == 3
    assert (("cohort", "new"), ("operation", "upload")) in by_place
    assert 0 < failed.start_time_unix_nano <= failed.time_unix_nano
    histogram = found["fleetsim.upload.response_time"]
    assert histogram.unit == "s"
    old = next(
        point
        for point in histogram.histogram.data_points
        if attributes(point)["cohort"] == "old"
    )
    assert old.count == sum(old.bucket_counts) == 4
    assert len(old.bucket_counts) == len(old.explicit_bounds) + 1
    assert old.sum == pytest.approx(400.015)
    assert found["fleetsim.devices"].gauge.data_points
    (verdict,) = found["fleetsim.run.verdict"].gauge.data_points
    assert attributes(verdict) == {"verdict": "passed"}
    (resource,) = collector.requests[-1].resource_metrics
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "fleetsim"
    assert named["service.instance.id"] == facts().folder.name
    assert said[-1] == "metrics over OTLP: 2 of 2 exports delivered"


async def test_its_own_variables_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoint, headers and compression from the environment, as the specification says."""
    async with http_collector() as (collector, url):
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        found = otlp_target(None, environment)
        assert found is not None
        said: list[str] = []
        await run(OtlpView(found, said.append))
    assert collector.headers["api-key"] == "s3cret"
    assert collector.headers["Content-Encoding"] == "gzip"
    assert "s3cret" not in " ".join(said)
    assert "fleetsim.attempts" in collector.metrics


async def test_grpc_is_spoken() -> None:
    """``OTEL_EXPORTER_OTLP_PROTOCOL=grpc`` sends the same."""
    with grpc_collector() as (collector, url):
        grpc_target = target(url, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        await run(OtlpView(grpc_target, lambda _: None))
    assert "fleetsim.attempts" in collector.metrics


async def test_a_collector_that_refuses_is_told_once() -> None:
    """The run goes on; people learn it once, with the reason, and the count at the end."""
    said: list[str] = []
    async with http_collector() as (collector, url):
        collector.status = 400
        await run(OtlpView(target(url), said.append))
    assert len(said) == 3
    assert said[1].startswith(f"metrics over OTLP: {url} took none: ")
    assert "400" in said[1]
    assert said[2] == "metrics over OTLP: 0 of 2 exports delivered"


async def test_a_dead_collector_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """Nobody listens: the end waits for a bounded time only."""
    monkeypatch.setattr(otlp, "LAST_EXPORT_S", 0.05)
    said: list[str] = []
    await run(OtlpView(target(f"http://127.0.0.1:{unused_tcp_port}"), said.append), 3)
    assert said[-1] == "metrics over OTLP: 0 of 2 exports delivered"


@pytest.mark.parametrize(
    ("option", "environment", "endpoint"),
    [
        pytest.param(None, {}, "off", id="nobody asked"),
        pytest.param("http://a:4318", {}, "http://a:4318/v1/metrics", id="a base URL"),
        pytest.param("https://a/x/y", {}, "https://a/x/y", id="a full URL"),
        pytest.param(
            "http://a:4317",
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://a:4317",
            id="gRPC has no path",
        ),
        pytest.param(
            None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}, None, id="environment"
        ),
        pytest.param(
            None,
            {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a:1/m"},
            None,
            id="for metrics only",
        ),
        pytest.param(
            None,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1",
                "OTEL_METRICS_EXPORTER": "none",
            },
            "off",
            id="metrics switched off",
        ),
        pytest.param(
            None,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_SDK_DISABLED": "True"},
            "off",
            id="all switched off",
        ),
        pytest.param(
            "http://b:1",
            {"OTEL_SDK_DISABLED": "true"},
            "http://b:1/v1/metrics",
            id="the option wins",
        ),
    ],
)
def test_who_switches_it_on(
    option: str | None, environment: dict[str, str], endpoint: str | None
) -> None:
    """The option, or the variables of the specification."""
    found = otlp_target(option, environment)
    assert ("off" if found is None else found.endpoint) == endpoint


@pytest.mark.parametrize(
    ("option", "environment", "words"),
    [
        pytest.param("collector:4318", {}, "expected a URL", id="no scheme"),
        pytest.param("http://[::1", {}, "expected a URL", id="broken"),
        pytest.param("http://a:port", {}, "expected a URL", id="no port"),
        pytest.param("http://u:secret@a:1", {}, "OTLP_HEADERS", id="credentials"),
        pytest.param(
            "http://a:1",
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "http/protobuf or grpc",
            id="protocol",
        ),
        pytest.param(
            None,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "a:1"},
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            id="variable",
        ),
    ],
)
def test_what_cannot_be_used(
    option: str | None, environment: dict[str, str], words: str
) -> None:
    """Known before anything runs; a secret is never repeated."""
    with pytest.raises(InputError, match=words) as caught:
        otlp_target(option, environment)
    assert "secret" not in str(caught.value)


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenTelemetry the option says what to install."""

    def no_such(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(otlp, "import_module", no_such)
    with pytest.raises(InputError, match=r"fleetsim\[otel\]"):
        OtlpView(target("http://a:1"), lambda _: None)
