"""What a scenario's certificates will do is known before it runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.exceptions import InputError
from fleetsim.forecast.forecast import Forecast, Question, make_forecast
from fleetsim.runner.forecasting import (
    estimated_ns,
    questions_of,
    run_start,
    with_files,
)
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline_schema import ChainForm
from tests.forecast.fleet import ROOT
from tests.runner.plans import TARGET, plan_of

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
START = int(NOW.timestamp())
YEAR = (START, START + 365 * 86_400)
S = 1_000_000_000

ROTATION: list[dict[str, Any]] = [
    {"name": "new_root", "at": "5s", "issue_ca": {}},
    {"name": "new_ca", "after": "new_root", "issue_ca": {"under": "new_root"}},
    {
        "name": "leaf",
        "after": "new_ca",
        "issue_server_certificate": {"ca": "new_ca", "lifetime": "30d"},
    },
    {
        "name": "push",
        "after": "new_root",
        "push_bundle": {"certificates": ["root", "new_root"]},
    },
    {
        "name": "swap",
        "when": "bundle_share >= 1",
        "delay": "3s",
        "swap_server_certificate": {"certificate": "leaf"},
    },
]


def questions(plan: Plan, base: Path = Path()) -> tuple[Question, ...]:
    """Questions of a plan that starts at noon."""
    return questions_of(plan, base, NOW, YEAR)


def answered(plan: Plan) -> Forecast:
    """Forecast of a plan with one cohort."""
    (question,) = questions(plan)
    return make_forecast(question)


def test_a_rotation_is_followed() -> None:
    """The first bundle and chain, then what is pushed and swapped, in order of time."""
    forecast = answered(plan_of(timeline=ROTATION))
    question = forecast.question
    assert [each.name for each in question.bundles] == [
        "at the start",
        "push_bundle push, 2026-11-22T12:00:05Z",
    ]
    assert [each.name for each in question.chains] == [
        "at the start",
        "swap_server_certificate swap, 2026-11-22T12:00:08Z",
    ]
    ok = {(each.bundle, each.chain): each.ok_periods() for each in forecast.coverages}
    old, both = (each.name for each in question.bundles)
    _, new = (each.name for each in question.chains)
    assert ok[old, new] == ()
    ((begins, ends),) = ok[both, new]
    assert begins == START
    assert ends - START in {30 * 86_400 + 5, 30 * 86_400 + 6}
    assert forecast.switches[0].safe == ()
    assert forecast.switches[1].safe == ((begins, ends),)


def test_lifetimes_count_in_the_time_of_the_calendar() -> None:
    """An entry at second 5 of a run a day per second is five days later."""
    plan = plan_of(
        calendar={"start": "2027-03-02", "time_scale": 86_400}, timeline=ROTATION
    )
    start = run_start(plan, NOW)
    assert start == datetime(2027, 3, 2, tzinfo=UTC)
    (question,) = questions_of(plan, Path(), start, YEAR)
    leaf = question.chains[1].certificates[0]
    assert leaf.not_valid_after_utc == start + timedelta(days=35)
    assert run_start(plan_of(), NOW) == NOW


def test_swaps_of_ciphers_and_versions_are_chains_of_their_own() -> None:
    """Same certificate, another way to speak TLS."""
    timeline = [
        {"at": "1s", "swap_ciphers": {"ciphers": "ECDHE-RSA-AES128-GCM-SHA256"}},
        {"at": "2s", "swap_tls_versions": {"versions": ["TLSv1.3"]}},
    ]
    forecast = answered(plan_of(timeline=timeline))
    groups = [
        [each.failure is None for each in coverage.spans[0].reach.groups]
        for coverage in forecast.coverages
    ]
    assert groups == [[True] * 3, [False, False, True], [False] * 3]


@pytest.mark.parametrize(
    ("form", "length"),
    [
        (ChainForm.FULL, 2),
        (ChainForm.LEAF_ONLY, 1),
        (ChainForm.WITH_ROOT, 3),
        (ChainForm.WRONG_ORDER, 3),
    ],
)
def test_a_chain_is_what_the_server_will_send(form: ChainForm, length: int) -> None:
    """Without the intermediate, with the root, in the wrong order."""
    swap = {"certificate": "main", "chain": form.value}
    timeline = [{"at": "1s", "swap_server_certificate": swap}]
    (question,) = questions(plan_of(timeline=timeline))
    assert len(question.chains[1].certificates) == length


@pytest.mark.parametrize(
    ("push", "certificates"),
    [
        ({"fault": "empty"}, 0),
        ({"fault": "garbage"}, 1),
        ({"certificates": ["root", "intermediate"], "fault": "truncated"}, 1),
        # The two have one Issuer: the profile takes neither and keeps what it has.
        ({"certificates": ["root", "intermediate"]}, 1),
        ({"certificates": ["intermediate"]}, 1),
    ],
    ids=["empty", "garbage", "truncated", "same issuer", "another one"],
)
def test_a_bundle_is_loaded_as_the_device_loads_it(
    push: dict[str, Any], certificates: int
) -> None:
    """Broken ones leave the old trust in place, an empty one clears it."""
    timeline = [{"at": "1s", "push_bundle": push}]
    (question,) = questions(plan_of(timeline=timeline))
    bundle = question.bundles[1].outcome.bundle
    assert len(bundle.certificates) == certificates


def test_a_push_to_one_cohort_is_not_for_the_other() -> None:
    """Each cohort has its own bundles and the chains of its own front."""
    fronts = [{"name": "a"}, {"name": "b", "security": "low"}, {"name": "c"}]
    plan = plan_of(
        {"front": "a"},
        {"front": "b", "security": "low"},
        {"front": "c"},
        lab={"fronts": fronts},
        timeline=[
            {
                "at": "1s",
                "push_bundle": {"to": {"cohorts": ["c2"]}, "certificates": ["root"]},
            },
            {"at": "2s", "swap_ciphers": {"front": "a", "ciphers": "AES128-SHA"}},
        ],
    )
    first, second = questions(plan)
    assert (first.title, second.title) == (
        "cohort c0, front a",
        "cohort c2, front c",
    )
    assert (len(first.bundles), len(first.chains)) == (1, 2)
    assert (len(second.bundles), len(second.chains)) == (2, 1)


def test_a_cohort_on_http_is_asked_about_the_front_it_will_move_to() -> None:
    """First trust, then TLS: the bundle is on the card before the configuration."""
    fronts = [{"name": "plain", "security": "low"}, {"name": "tls"}]
    timeline = [{"at": "1s", "push_config": {"front": "tls"}}]
    plan = plan_of(
        {"front": "plain", "security": "low"},
        lab={"fronts": fronts},
        timeline=timeline,
    )
    (question,) = questions(plan)
    assert question.title == "cohort c0, front tls"
    plan = plan_of({"front": "plain", "security": "low"}, lab={"fronts": fronts})
    assert questions(plan) == ()


def test_a_real_target_sends_what_only_its_operator_knows(tmp_path: Path) -> None:
    """Bundles are the cohort's, chains come from files; the host is the endpoint's."""
    pem = ROOT.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "root.pem").write_bytes(pem)
    plan = plan_of({"trust": {"file": "root.pem"}}, target=TARGET)
    (question,) = questions(plan, tmp_path)
    assert (question.host, question.chains) == ("s3.test", ())
    assert question.bundles[0].outcome.bundle.certificates == (ROOT.certificate,)
    more = with_files(question, [tmp_path / "root.pem"], [])
    assert [each.name for each in more.bundles] == ["at the start", "root.pem"]
    with pytest.raises(InputError, match="missing"):
        with_files(question, [tmp_path / "missing"], [])


def test_entries_are_taken_in_the_order_of_time() -> None:
    """`at` is known, `after` follows, a condition comes right after what is before."""
    plan = plan_of(
        timeline=[
            {"after": "b", "delay": "2s", "power_cycle": {}},
            {"name": "b", "at": "7s", "power_cycle": {}},
            {"when": "stranded > 0", "delay": "1s", "power_cycle": {}},
            {"at": "1s", "power_cycle": {}},
        ]
    )
    assert estimated_ns(plan.timeline) == {1: 7 * S, 0: 9 * S, 2: 10 * S, 3: 1 * S}


def test_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of the forecast lab are gone with its folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    questions(plan_of())
    assert list(tmp_path.iterdir()) == []
