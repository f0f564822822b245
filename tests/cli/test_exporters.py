"""Exporters of ``fleetsim run``: only who is asked for, all problems before a run."""

import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.cli.exporters import exporters
from fleetsim.exceptions import InputError
from fleetsim.report.metrics.otlp import OtlpView
from fleetsim.report.metrics.prometheus import PrometheusView

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def _no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)


@pytest.mark.parametrize(
    ("prometheus", "otlp", "kinds"),
    [
        pytest.param(None, None, [], id="nobody"),
        pytest.param("0", None, [PrometheusView], id="Prometheus"),
        pytest.param(None, "http://127.0.0.1:4318", [OtlpView], id="OTLP"),
        pytest.param(
            "[::1]:0", "http://127.0.0.1:4318", [PrometheusView, OtlpView], id="both"
        ),
    ],
)
def test_who_is_asked_for(
    prometheus: str | None, otlp: str | None, kinds: list[type]
) -> None:
    """An option, an exporter."""
    made = exporters(prometheus, otlp, lambda _: None)
    assert [type(view) for view in made] == kinds


def test_the_environment_asks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OTLP endpoint in the environment is enough."""
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    assert [type(view) for view in exporters(None, None, lambda _: None)] == [OtlpView]


def test_all_problems_at_once() -> None:
    """Both options are judged before anything runs."""
    with pytest.raises(InputError) as caught:
        exporters("99999", "collector", lambda _: None)
    assert [problem.where for problem in caught.value.problems] == [
        "--prometheus",
        "--otlp",
    ]


def test_a_bad_address_ends_a_run_before_it_begins() -> None:
    """Exit code 2, nothing on standard output."""
    result = CliRunner().invoke(app, ["run", "quickstart", "--prometheus", "x"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("--prometheus: ")
