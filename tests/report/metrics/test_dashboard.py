"""The Grafana dashboard asks only for what a run hands out."""

import json
import re

import pytest

from fleetsim.report.metrics.catalogue import METRICS, MetricKind, label
from fleetsim.report.metrics.dashboard import grafana_dashboard, queries

SERIES = {
    name
    for metric in METRICS
    for name in (
        [f"{metric.series_name}_{part}" for part in ("bucket", "count", "sum")]
        if metric.kind is MetricKind.HISTOGRAM
        else [metric.series_name]
    )
}
LABELS = {label(name) for metric in METRICS for name in metric.attributes}
LABELS |= {"le", "instance"}
_FUNCTIONS = {"sum", "by", "rate", "histogram_quantile", "unless", "offset"}


@pytest.mark.parametrize("expression", queries())
def test_queries_use_metrics_and_labels_that_exist(expression: str) -> None:
    """No panel stays empty because of a name nobody has."""
    bare = re.sub(r'"[^"]*"|\$__\w+|\[[^]]*\]', "", expression)
    words = set(re.findall(r"[a-z_][a-z_0-9]*", bare)) - _FUNCTIONS
    names = {word for word in words if word not in LABELS and not word[0].isdigit()}
    assert names <= SERIES | {"s"}, names - SERIES
    assert names & SERIES


def test_panels_fill_the_grid_without_overlap() -> None:
    """Every panel has a place of its own, 24 columns wide at most."""
    taken: set[tuple[int, int]] = set()
    panels = grafana_dashboard()["panels"]
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_it_is_json_with_a_source_to_choose() -> None:
    """Grafana asks which data source: none is written into the file."""
    text = json.dumps(grafana_dashboard())
    assert set(re.findall(r'"uid": "([^"]*)"', text)) == {
        "fleetsim-live",
        "${datasource}",
    }
