"""Metrics: what is compared, in which unit, and which direction is the better one.

Names are those of thresholds (``upload.response_time.p99``), so that what a scenario
demands and what ``--fail-on`` watches are called the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Literal

import numpy as np

from fleetsim.report.compare.blocks import UPPERS_S, Blocks
from fleetsim.report.compare.bootstrap import (
    BEYOND,
    FEWEST_BLOCKS,
    Numbers,
    percentiles,
    ratios,
)
from fleetsim.report.compare.devices import DeviceFigures

PERCENTS: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}


@unique
class Unit(StrEnum):
    """Units of metrics."""

    SECONDS = "s"
    RATIO = "ratio"
    PER_S = "per_s"
    BYTES = "bytes"
    BYTES_PER_S = "bytes_per_s"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run's side of a metric.

    Attributes:
        value: The figure of the run as it was; not a number = there is none.
        units: Blocks or devices it comes from.
        enough: Whether that is enough to judge it.
        resampled: Gives the figure of each resample from how often units were drawn.
    """

    value: float
    units: int
    enough: bool
    resampled: Callable[[Numbers], Numbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Something to compare.

    Attributes:
        name: Name, with statistic.
        unit: Unit of its value.
        better: Which direction is the better one.
        of: Whether it is resampled by block of time or by device.
        measure: Gives a run's side of it.
    """

    name: str
    unit: Unit
    better: Literal["lower", "higher"]
    of: Literal["blocks", "devices"]
    measure: Callable[[Blocks, DeviceFigures], Measured]


def metrics() -> tuple[Metric, ...]:
    """Everything that is compared, in the order of the report."""
    return (*_times(), *_ratios(), *_rates(), *_device_metrics())


def controls() -> tuple[Metric, ...]:
    """Figures that no target has a part in: they tell whether a machine was disturbed."""
    return tuple(_percentiles("generator.start_lag"))


def metric_names() -> tuple[str, ...]:
    """Names of all metrics."""
    return tuple(metric.name for metric in metrics())


_TIMED: Final = (
    "upload.response_time",
    "upload.service_time",
    "heartbeat.response_time",
    "ota.response_time",
    "tcp",
    "tls",
    "send",
    "wait",
)
_DEEP: Final = frozenset({"upload.response_time", "upload.service_time", "tls"})
_RATIOS: Final = (
    ("upload.failed_ratio", "upload.failed", "upload.attempts", Unit.RATIO),
    ("heartbeat.failed_ratio", "heartbeat.failed", "heartbeat.attempts", Unit.RATIO),
    ("ota.failed_ratio", "ota.failed", "ota.attempts", Unit.RATIO),
    ("handshake.failed_ratio", "handshake.failed", "handshake.attempts", Unit.RATIO),
    ("upload.attempts_each", "upload.attempts", "upload.operations", Unit.COUNT),
    ("handshakes_per_upload", "handshake.attempts", "upload.ok", Unit.COUNT),
    ("wire_bytes_per_upload", "wire_bytes", "upload.ok", Unit.BYTES),
)
_RATES: Final = (
    ("uploads_per_s", "upload.ok", Unit.PER_S),
    ("goodput", "upload.body_bytes", Unit.BYTES_PER_S),
)
_DEVICE_SUMS: Final = ("stranded", "failing", "files.lost", "files.backlog")


def _times() -> Iterator[Metric]:
    for name in _TIMED:
        for metric in _percentiles(name):
            if name in _DEEP or not metric.name.endswith("p99.9"):
                yield metric


def _percentiles(name: str) -> Iterator[Metric]:
    for statistic, percent in PERCENTS.items():
        yield Metric(
            name=f"{name}.{statistic}",
            unit=Unit.SECONDS,
            better="lower",
            of="blocks",
            measure=_time_measure(name, percent),
        )


def _time_measure(
    name: str, percent: float
) -> Callable[[Blocks, DeviceFigures], Measured]:
    def measure(blocks: Blocks, _: DeviceFigures) -> Measured:
        counts = blocks.times.get(name, np.zeros((blocks.cut.count, len(UPPERS_S))))
        used = np.flatnonzero(counts.sum(axis=0))
        counts, uppers = counts[:, used], UPPERS_S[used]
        total = counts.sum()
        if not total:
            return _nothing(blocks.cut.count)
        whole = np.ones((1, len(counts)))
        return Measured(
            value=float(percentiles(whole, counts, uppers, percent)[0]),
            units=len(counts),
            enough=len(counts) >= FEWEST_BLOCKS
            and bool(total * (1 - percent / 100) >= BEYOND),
            resampled=lambda drawn: percentiles(drawn, counts, uppers, percent),
        )

    return measure


def _ratios() -> Iterator[Metric]:
    for name, above, below, unit in _RATIOS:
        yield Metric(
            name=name,
            unit=unit,
            better="lower",
            of="blocks",
            measure=_ratio_measure(above, below),
        )


def _ratio_measure(
    above: str, below: str
) -> Callable[[Blocks, DeviceFigures], Measured]:
    def measure(blocks: Blocks, _: DeviceFigures) -> Measured:
        over, under = blocks.sum_of(above), blocks.sum_of(below)
        if not under.sum():
            return _nothing(blocks.cut.count)
        return Measured(
            value=float(over.sum() / under.sum()),
            units=len(over),
            enough=len(over) >= FEWEST_BLOCKS,
            resampled=lambda drawn: ratios(drawn, over, under),
        )

    return measure


def _rates() -> Iterator[Metric]:
    for name, counted, unit in _RATES:
        yield Metric(
            name=name,
            unit=unit,
            better="higher",
            of="blocks",
            measure=_rate_measure(counted),
        )


def _rate_measure(counted: str) -> Callable[[Blocks, DeviceFigures], Measured]:
    def measure(blocks: Blocks, _: DeviceFigures) -> Measured:
        if not blocks.cut.count:
            return _nothing(0)
        seconds = np.full(blocks.cut.count, blocks.cut.seconds)
        over = blocks.sum_of(counted)
        return Measured(
            value=float(over.sum() / seconds.sum()),
            units=len(over),
            enough=len(over) >= FEWEST_BLOCKS,
            resampled=lambda drawn: ratios(drawn, over, seconds),
        )

    return measure


def _device_metrics() -> Iterator[Metric]:
    for name in _DEVICE_SUMS:
        yield Metric(
            name=name,
            unit=Unit.COUNT,
            better="lower",
            of="devices",
            measure=_device_measure(name),
        )
    for statistic in ("p50", "p90"):
        yield Metric(
            name=f"freshness.{statistic}",
            unit=Unit.SECONDS,
            better="lower",
            of="devices",
            measure=_freshness_measure(PERCENTS[statistic]),
        )


def _device_measure(name: str) -> Callable[[Blocks, DeviceFigures], Measured]:
    def measure(_: Blocks, devices: DeviceFigures) -> Measured:
        values = devices.sums.get(name)
        if values is None:
            return _nothing(0)
        return Measured(
            value=float(values.sum()),
            units=len(values),
            enough=len(values) >= FEWEST_BLOCKS,
            resampled=lambda drawn: drawn @ values,
        )

    return measure


def _freshness_measure(percent: float) -> Callable[[Blocks, DeviceFigures], Measured]:
    def measure(_: Blocks, devices: DeviceFigures) -> Measured:
        order = np.argsort(devices.ages_s, kind="stable")
        ages = devices.ages_s[order]
        if not len(ages):
            return _nothing(0)

        def resampled(drawn: Numbers) -> Numbers:
            # one bucket a device: the weights themselves are the histogram
            seen = np.cumsum(drawn[:, order], axis=1)
            rank = np.maximum(1, np.ceil(np.round(percent * seen[:, -1] / 100, 6)))
            found: Numbers = ages[np.argmax(seen >= rank[:, np.newaxis], axis=1)]
            return found

        return Measured(
            value=float(resampled(np.ones((1, len(ages))))[0]),
            units=len(ages),
            enough=len(ages) >= FEWEST_BLOCKS
            and len(ages) * (1 - percent / 100) >= BEYOND,
            resampled=resampled,
        )

    return measure


def _nothing(units: int) -> Measured:
    return Measured(
        value=float("nan"),
        units=units,
        enough=False,
        resampled=lambda drawn: np.full(len(drawn), np.nan),
    )
