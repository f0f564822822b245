"""``fleetsim metrics``: the list and the dashboard."""

import json

from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.report.metrics.catalogue import METRICS
from fleetsim.report.metrics.dashboard import grafana_dashboard


def test_every_metric_is_listed() -> None:
    """One line each; as JSON with everything there is to know."""
    lines = CliRunner().invoke(app, ["metrics", "list"]).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [m.series_name for m in METRICS]
    data = json.loads(CliRunner().invoke(app, ["metrics", "list", "--json"]).stdout)
    assert [each["name"] for each in data] == [metric.name for metric in METRICS]


def test_the_dashboard_is_printed() -> None:
    """What is printed is what Grafana imports, and nothing else."""
    result = CliRunner().invoke(app, ["metrics", "dashboard"])
    assert json.loads(result.stdout) == grafana_dashboard()
