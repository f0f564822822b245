"""Prometheus: what its own client library reads from our answers."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fleetsim.exceptions import InputError
from fleetsim.report.live.address import Address
from fleetsim.report.metrics.prometheus import PrometheusView, expose
from fleetsim.report.metrics.readings import Meter
from tests.report.metrics.frames import facts, frame

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
SUMMARY = {"verdict": "passed", "uploads": {"stored": 9, "unaccounted": 0}}

Parser = Callable[[str], Any]


def samples(body: bytes, parse: Parser) -> dict[tuple[str, frozenset[Any]], float]:
    """Name and labels to value, as the parser sees them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


def at(name: str, **labels: str) -> tuple[str, frozenset[Any]]:
    """Key of a sample."""
    return name, frozenset(labels.items())


@pytest.mark.parametrize(
    ("accept", "parse", "content_type"),
    [
        pytest.param("", parse_text, "text/plain", id="text"),
        pytest.param(
            OPENMETRICS, parse_openmetrics, "application/openmetrics-text", id="open"
        ),
    ],
)
def test_both_formats_say_the_same(
    accept: str, parse: Parser, content_type: str
) -> None:
    """Counters, gauges and cumulative buckets arrive as they are."""
    body, given_type = expose(Meter(facts()).read(frame()), accept)
    assert given_type.startswith(content_type)
    found = samples(body, parse)
    assert (
        found[
            at(
                "fleetsim_attempts_total",
                cohort="old",
                operation="upload",
                error_type="tcp.refused",
            )
        ]
        == 3
    )
    assert found[at("fleetsim_devices", cohort="new", state="connected")] == 2
    assert found[at("fleetsim_generator_cpu_ratio")] == 0.25
    name = "fleetsim_upload_response_time_seconds"
    buckets = {
        float(dict(labels)["le"]): value
        for (sample, labels), value in found.items()
        if sample == f"{name}_bucket" and dict(labels)["cohort"] == "old"
    }
    assert [
        buckets[bound] for bound in (0.0025, 0.005, 0.01, 300.0) if bound in buckets
    ]
    assert buckets[0.01] == 3
    assert buckets[300.0] == 3
    assert buckets[float("inf")] == 4
    assert found[at(f"{name}_count", cohort="old")] == 4
    assert found[at(f"{name}_sum", cohort="old")] == pytest.approx(400.015)


def test_names_of_others_are_escaped() -> None:
    """Quotes and line ends in a label of the scenario break nothing."""
    body, _ = expose(Meter(facts()).read(frame()), "")
    found = samples(body, parse_text)
    labels = {"index": "0", "entry": 'swap "main"\n(1)', "state": "done"}
    assert found[at("fleetsim_timeline_entry", **labels)] == 1


async def test_a_run_is_scraped() -> None:
    """The endpoint says where it is, follows the frames and ends with the view."""
    said: list[str] = []
    view = PrometheusView(Address("127.0.0.1", 0), said.append)
    async with view, ClientSession() as session:
        url = said[0].rpartition(" ")[2]
        assert url.startswith("http://127.0.0.1:")
        async with session.get(url) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        view.begin(facts(), lambda: None)
        view.show(frame())
        async with session.get(url, headers={"Accept": OPENMETRICS}) as answer:
            found = samples(await answer.read(), parse_openmetrics)
        assert found[at("fleetsim_run_time_seconds")] == 3
        view.show(frame(now_s=4.0))
        view.finish(SUMMARY)
        async with session.get(url) as answer:
            found = samples(await answer.read(), parse_text)
        assert found[at("fleetsim_run_time_seconds")] == 4
        assert found[at("fleetsim_run_verdict", verdict="passed")] == 1
        assert found[at("fleetsim_uploads_stored")] == 9
        async with session.get(url.replace("/metrics", "/other")) as answer:
            assert answer.status == 404
    assert len(said) == 1


async def test_a_busy_port_is_bad_input() -> None:
    """It is known before anything runs, with the option's name."""
    said: list[str] = []
    async with PrometheusView(Address("127.0.0.1", 0), said.append):
        port = int(said[0].rpartition(":")[2].removesuffix("/metrics"))
        with pytest.raises(InputError, match="--prometheus"):
            async with PrometheusView(Address("127.0.0.1", port), said.append):
                pass


async def test_who_lets_others_in_is_told() -> None:
    """An address of the network is warned about."""
    said: list[str] = []
    async with PrometheusView(Address("0.0.0.0", 0), said.append):  # noqa: S104 - the point
        pass
    assert "other machines" in said[1]
