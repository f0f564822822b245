"""Metrics of a real run: what is handed out is what the run's own summary says."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from fleetsim.report.live.address import Address
from fleetsim.report.metrics.prometheus import PrometheusView
from fleetsim.runner.live import run_live
from fleetsim.runner.run import RunOptions
from tests.integration.runs import cohort, plan_of, scenario

pytestmark = pytest.mark.slow


class Scraped(PrometheusView):
    """Is scraped over HTTP at every frame, and once more after the summary."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bodies: list[str] = []
        super().__init__(Address("127.0.0.1", 0), self.said.append)

    def show(self, frame: Any) -> None:
        """Let somebody ask for this frame."""
        super().show(frame)
        self._scrapes.append(asyncio.get_running_loop().create_task(self._scrape()))

    async def __aenter__(self) -> "Scraped":
        """Listen."""
        self._scrapes: list[asyncio.Task[None]] = []
        await super().__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Ask once more before it ends."""
        for scrape in self._scrapes:
            await scrape
        await self._scrape()
        await super().__aexit__(*error)

    async def _scrape(self) -> None:
        async with (
            ClientSession() as session,
            session.get(self.said[0].rpartition(" ")[2]) as answer,
        ):
            self.bodies.append(await answer.text())


def samples(body: str) -> dict[tuple[str, ...], float]:
    """Name and sorted label values to value."""
    return {
        (
            sample.name,
            *(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def test_a_run_is_handed_out(tmp_path: Path) -> None:
    """Counters never shrink while it runs, and end at what the summary says."""
    parsed, plan = plan_of(scenario(cohort("some"), cohort("others", count=2)))
    view = Scraped()
    options = RunOptions(
        results=tmp_path, base_folder=tmp_path, scenario=parsed.to_data()
    )
    _, summary = await run_live(plan, options, [view])
    looks = [samples(body) for body in view.bodies]
    assert len(looks) >= 3
    for before, after in itertools.pairwise(looks):
        for key, value in before.items():
            if key[0].endswith(("_total", "_bucket", "_count", "_sum")):
                assert after[key] >= value, key
    last = looks[-1]
    assert last["fleetsim_run_verdict", summary["verdict"]] == 1
    assert last["fleetsim_uploads_stored",] == summary["uploads"]["stored"]
    for name in ("some", "others"):
        uploaded = last["fleetsim_attempts_total", name, "", "upload"]
        assert 0 < uploaded <= summary["uploads"]["acknowledged"]
        assert last["fleetsim_upload_response_time_seconds_count", name] == uploaded
        assert last["fleetsim_devices", name, "connected"] > 0
