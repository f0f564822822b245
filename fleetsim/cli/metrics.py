"""``fleetsim metrics``: what a run hands out to Prometheus and OpenTelemetry."""

import json
from typing import Annotated, Any

import typer

from fleetsim.cli.errors import Commands
from fleetsim.report.metrics.catalogue import METRICS, Metric
from fleetsim.report.metrics.dashboard import grafana_dashboard

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Metrics of a run: the list of them, and a Grafana dashboard.",
)


@app.command("list")
def list_command(
    *,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON instead of a list.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
) -> None:
    """List every metric with its names, unit, labels and meaning.

    Examples:
      fleetsim metrics list
      fleetsim metrics list --json
    """
    if as_json:
        data = [_data(metric) for metric in METRICS]
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    for metric in METRICS:
        typer.echo(f"{metric.series_name}\t{metric.kind}\t{metric.help}")


@app.command("dashboard")
def dashboard_command() -> None:
    """Print a Grafana dashboard over these metrics, to import as it is.

    Examples:
      fleetsim metrics dashboard > fleetsim-dashboard.json
    """
    typer.echo(json.dumps(grafana_dashboard(), indent=2, ensure_ascii=False))


def _data(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "prometheus": metric.series_name,
        "kind": metric.kind.value,
        "unit": metric.unit,
        "attributes": list(metric.attributes),
        "bounds_s": list(metric.bounds_s),
        "help": metric.help,
    }
