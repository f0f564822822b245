"""Dashboard: a Grafana dashboard over the metrics of the catalogue.

Made of the same names that are handed out, so that no panel can ask for a metric that
does not exist. Import the JSON in Grafana (Dashboards, New, Import) and choose the
Prometheus data source; several runs are told apart by ``instance``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleetsim.report.metrics import catalogue
from fleetsim.report.metrics.catalogue import Metric

SCHEMA_VERSION: Final = 39  # Grafana 10.4; later ones migrate it by themselves
UID: Final = "fleetsim-live"
_WIDTH: Final = 24
_STAT_HEIGHT: Final = 4
_CHART_HEIGHT: Final = 8
_SELECTED: Final = 'instance=~"$instance"'
_COHORTS: Final = f'{_SELECTED},cohort=~"$cohort"'
_SOURCE: Final[Mapping[str, str]] = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: Its title.
        kind: Grafana's name of it: ``stat``, ``timeseries``, ``state-timeline``.
        queries: Legend and PromQL.
        unit: Grafana's name of the unit.
        text: What it shows, for the tooltip.
        is_stacked: Whether areas are stacked.
    """

    title: str
    kind: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    text: str = ""
    is_stacked: bool = False


def _rate(metric: Metric, by: str = "", where: str = _COHORTS) -> str:
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric.series_name}{{{where}}}[$__rate_interval]))"


def _total(metric: Metric, by: str = "", where: str = _COHORTS) -> str:
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} ({metric.series_name}{{{where}}})"


def _share(metric: Metric, where: str) -> str:
    return f"{_total(metric, where=where)} / {_total(metric)}"


def _quantile(metric: Metric, quantile: float, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    name = f"{metric.series_name}_bucket{{{_COHORTS}}}"
    return (
        f"histogram_quantile({quantile}, "
        f"sum by ({labels}) (rate({name}[$__rate_interval])))"
    )


def _plain(metric: Metric) -> str:
    return f"{metric.series_name}{{{_SELECTED}}}"


def _handshakes() -> str:
    name = f"{catalogue.HANDSHAKE_DURATION.series_name}_count{{{_COHORTS}}}"
    return f"sum by (cohort) (rate({name}[$__rate_interval]))"


_UPLOADED: Final = f'{_COHORTS},operation="upload",error_type=""'
_FAILED: Final = f'{_COHORTS},error_type!=""'
_CONNECTED: Final = f'{_COHORTS},state=~"connected|recovered"'

STATS: Final = (
    Panel(
        title="Uploads",
        kind="stat",
        queries=(("", _rate(catalogue.ATTEMPTS, where=_UPLOADED)),),
        unit="ops",
        text="Uploads confirmed per second.",
    ),
    Panel(
        title="Failed attempts",
        kind="stat",
        queries=(("", _rate(catalogue.ATTEMPTS, where=_FAILED)),),
        unit="ops",
        text="Attempts at anything that failed, per second.",
    ),
    Panel(
        title="Response time p99",
        kind="stat",
        queries=(("", _quantile(catalogue.RESPONSE_TIME, 0.99)),),
        unit="s",
        text=catalogue.RESPONSE_TIME.help,
    ),
    Panel(
        title="In contact",
        kind="stat",
        queries=(
            (
                "",
                _share(catalogue.DEVICES, _CONNECTED),
            ),
        ),
        unit="percentunit",
        text="Share of devices that are connected or recovered.",
    ),
    Panel(
        title="Backlog",
        kind="stat",
        queries=(("", _plain(catalogue.BACKLOG)),),
        text=catalogue.BACKLOG.help,
    ),
    Panel(
        title="Generator",
        kind="stat",
        queries=(("", _plain(catalogue.GENERATOR_CPU)),),
        unit="percentunit",
        text=catalogue.GENERATOR_CPU.help,
    ),
    Panel(
        title="Generator saturated",
        kind="stat",
        queries=(("", _plain(catalogue.GENERATOR_SATURATED)),),
        text=catalogue.GENERATOR_SATURATED.help,
    ),
    Panel(
        title="Time left",
        kind="stat",
        queries=(("", _plain(catalogue.RUN_LEFT)),),
        unit="s",
        text=catalogue.RUN_LEFT.help,
    ),
)

CHARTS: Final = (
    Panel(
        title="Uploads per second",
        kind="timeseries",
        queries=(
            ("{{cohort}}", _rate(catalogue.ATTEMPTS, "cohort", _UPLOADED)),
            ("failed attempts", _rate(catalogue.ATTEMPTS, where=_FAILED)),
        ),
        unit="ops",
    ),
    Panel(
        title="Response time",
        kind="timeseries",
        queries=tuple(
            (f"p{quantile:g}", _quantile(catalogue.RESPONSE_TIME, quantile / 100))
            for quantile in (50, 90, 99)
        ),
        unit="s",
        text=catalogue.RESPONSE_TIME.help,
    ),
    Panel(
        title="Devices by state",
        kind="timeseries",
        queries=(("{{state}}", _total(catalogue.DEVICES, "state")),),
        text=catalogue.DEVICES.help,
        is_stacked=True,
    ),
    Panel(
        title="Failures by kind",
        kind="timeseries",
        queries=(("{{error_type}}", _rate(catalogue.ATTEMPTS, "error_type", _FAILED)),),
        unit="ops",
        text="`fleetsim help failure-kinds` explains every kind.",
        is_stacked=True,
    ),
    Panel(
        title="TLS handshakes",
        kind="timeseries",
        queries=(
            ("p50", _quantile(catalogue.HANDSHAKE_DURATION, 0.5)),
            ("p99", _quantile(catalogue.HANDSHAKE_DURATION, 0.99)),
        ),
        unit="s",
        text=catalogue.HANDSHAKE_DURATION.help,
    ),
    Panel(
        title="p99 of the phases",
        kind="timeseries",
        queries=tuple(
            (name, _quantile(catalogue.BY_PHASE[phase], 0.99))
            for name, phase in (
                ("DNS", "dns"),
                ("TCP", "tcp"),
                ("TLS", "tls"),
                ("send", "send"),
                ("wait", "wait"),
            )
        ),
        unit="s",
    ),
    Panel(
        title="Cipher groups",
        kind="timeseries",
        queries=(
            ("{{cipher_group}}", _total(catalogue.DEVICES_GROUP, "cipher_group")),
        ),
        text=catalogue.DEVICES_GROUP.help,
        is_stacked=True,
    ),
    Panel(
        title="Trust bundles",
        kind="timeseries",
        queries=(
            (
                "{{generation}}: {{fingerprint}}",
                _total(catalogue.DEVICES_BUNDLE, "generation, fingerprint", _SELECTED),
            ),
        ),
        text=catalogue.DEVICES_BUNDLE.help,
        is_stacked=True,
    ),
    Panel(
        title="Network",
        kind="timeseries",
        queries=(
            (
                "{{network_io_direction}}",
                _rate(catalogue.NETWORK_IO, "network_io_direction", _SELECTED),
            ),
        ),
        unit="Bps",
        text=catalogue.NETWORK_IO.help,
    ),
    Panel(
        title="Generator: lag",
        kind="timeseries",
        queries=(
            ("loop lag p99", _plain(catalogue.LOOP_LAG)),
            ("start lag p99", _plain(catalogue.START_LAG)),
        ),
        unit="s",
        text="Times of the run are suspect when these are large.",
    ),
    Panel(
        title="Response time p99 by cohort",
        kind="timeseries",
        queries=(("{{cohort}}", _quantile(catalogue.RESPONSE_TIME, 0.99, "cohort")),),
        unit="s",
    ),
    Panel(
        title="Handshakes per second",
        kind="timeseries",
        queries=(("{{cohort}}", _handshakes()),),
        unit="ops",
    ),
)


def grafana_dashboard() -> dict[str, Any]:
    """Give the dashboard as Grafana imports it."""
    panels = [*_placed(STATS, _WIDTH // len(STATS), _STAT_HEIGHT, 0)]
    panels += _placed(CHARTS, _WIDTH // 2, _CHART_HEIGHT, _STAT_HEIGHT)
    return {
        "uid": UID,
        "title": "fleetsim",
        "description": "A fleet of virtual data loggers uploads to S3.",
        "tags": ["fleetsim", "S3", "TLS"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "utc",
        "annotations": {"list": [_actions()]},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                },
                _variable("instance", catalogue.RUN_TIME),
                _variable("cohort", catalogue.DEVICES),
            ]
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def queries() -> tuple[str, ...]:
    """Every PromQL expression of the dashboard."""
    expressions = [
        expression for each in (*STATS, *CHARTS) for _, expression in each.queries
    ]
    return (*expressions, _actions()["expr"])


def _placed(
    panels: Sequence[Panel], width: int, height: int, top: int
) -> list[dict[str, Any]]:
    a_row = _WIDTH // width
    return [
        _panel(
            each,
            {
                "x": number % a_row * width,
                "y": top + number // a_row * height,
                "w": width,
                "h": height,
            },
        )
        for number, each in enumerate(panels)
    ]


def _panel(panel: Panel, place: Mapping[str, int]) -> dict[str, Any]:
    custom = {"fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}}
    return {
        "title": panel.title,
        "type": panel.kind,
        "description": panel.text,
        "datasource": dict(_SOURCE),
        "gridPos": dict(place),
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": custom if panel.is_stacked else {},
            },
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": dict(_SOURCE),
                "expr": expression,
                "legendFormat": legend or "__auto",
            }
            for number, (legend, expression) in enumerate(panel.queries)
        ],
    }


def _variable(name: str, metric: Metric) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": dict(_SOURCE),
        "query": f"label_values({metric.series_name}, {name})",
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }


def _actions() -> dict[str, Any]:
    """Marks on every chart where an action of the timeline was done."""
    done = f'{catalogue.TIMELINE_ENTRY.series_name}{{{_SELECTED},state="done"}}'
    return {
        "name": "Timeline",
        "enable": True,
        "datasource": dict(_SOURCE),
        "expr": f"{done} unless {done} offset 15s",
        "step": "5s",
        "titleFormat": "{{entry}}",
        "iconColor": "blue",
    }
