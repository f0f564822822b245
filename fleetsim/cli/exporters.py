"""Exporters of metrics that options of ``fleetsim run`` ask for."""

import os
from collections.abc import Callable
from typing import Annotated

import typer

from fleetsim.exceptions import InputError, Problem
from fleetsim.report.live.address import parse_address
from fleetsim.report.live.view import LiveView

PrometheusOption = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        metavar="[HOST:]PORT",
        help="Serve metrics for Prometheus while it runs, on this machine only unless a "
        "host is given; 0 = any free port.",
        envvar="FLEETSIM_PROMETHEUS",
    ),
]
OtlpOption = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="URL",
        help="Push metrics to an OpenTelemetry collector once a second, for example "
        "http://127.0.0.1:4318; OTEL_EXPORTER_OTLP_* are read, too. Needs the extra "
        "'otel'.",
        envvar="FLEETSIM_OTLP",
    ),
]


def exporters(
    prometheus: str | None, otlp: str | None, say: Callable[[str], None]
) -> list[LiveView]:
    """Make the exporters; their libraries are imported only where they are used.

    Args:
        prometheus: Value of ``--prometheus``.
        otlp: Value of ``--otlp``.
        say: Shows a line to people.

    Raises:
        InputError: Both cannot be used as they are; all problems.
    """
    views: list[LiveView] = []
    problems: list[Problem] = []
    if prometheus is not None:
        from fleetsim.report.metrics.prometheus import OPTION, PrometheusView  # noqa: PLC0415 - only where used

        try:
            views.append(PrometheusView(parse_address(prometheus, OPTION), say))
        except InputError as error:
            problems += error.problems
    if otlp is not None or any(name.startswith("OTEL_") for name in os.environ):
        from fleetsim.report.metrics.otlp import OtlpView, otlp_target  # noqa: PLC0415 - only where used

        try:
            target = otlp_target(otlp, os.environ)
            if target is not None:
                views.append(OtlpView(target, say))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return views
