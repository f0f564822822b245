"""Scenario text to Scenario, or every problem at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError, Problem
from fleetsim.profiles import catalog
from fleetsim.scenario.parse import parse_scenario

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"
CANARY = "hunter2-canary-hunter2"
BROKEN = f"""\
version: 2
nam: x
lab:
  fronts:
    - {{name: main, security: low, tls: {{}}}}
    - {{name: second, certificate: {{}}}}
duration: 30s
warm_up: 40s
cohorts:
  - name: a
    count: 0
    cipher_table: winc-nonec
    credentials: {{secret_key: {CANARY}}}
    heartbeat: -3s
    start_up: {{phase: herd, over: 3s}}
    workload:
      file_size: {{uniform: [64k, 1]}}
      conection: keep_alive
      phase: heard
    overrides: {{retry: {{first: 2s, max: 1s}}}}
  - name: a
    profile: canedg2
    front: mian
    count: 10
  - nonsense
thresholds:
  - unaccounted = 0
  - upload.count{{cohort="c"}} > 0
"""
FOUND = [
    (1, "version", "reads version 1"),
    (1, "name", "is missing"),
    (2, "nam", "did you mean 'name'?"),
    (5, "lab.fronts[0].tls", "plain HTTP"),
    (6, "lab.fronts[1].certificate", "unknown key"),
    (8, "warm_up", "leaves nothing of the duration of 30s"),
    (11, "cohorts[0].count", "must be at least 1, not 0"),
    (12, "cohorts[0].cipher_table", "did you mean 'winc-nonecc'?"),
    (13, "cohorts[0].credentials", "no secrets in clear text"),
    (14, "cohorts[0].heartbeat", "cannot be negative"),
    (15, "cohorts[0].start_up.over", "a herd starts all at once"),
    (17, "cohorts[0].workload.file_size", "'64k' is ambiguous"),
    (18, "cohorts[0].workload.conection", "did you mean 'connection'?"),
    (19, "cohorts[0].workload.phase", "did you mean 'herd'?"),
    (20, "cohorts[0].overrides.retry", "the first wait of 2s is longer"),
    (21, "cohorts[1].name", "another cohort is named 'a' already"),
    (22, "cohorts[1].profile", "did you mean 'canedge2'?"),
    (23, "cohorts[1].front", "did you mean 'main'?"),
    (25, "cohorts[2]", "expected a mapping"),
    (27, "thresholds[0]", "unknown operator '='"),
]


def problems_of(text: str, *overrides: str) -> tuple[Problem, ...]:
    """What is wrong with a scenario."""
    with pytest.raises(InputError) as caught:
        parse_scenario(text, "f.yaml", lambda n: catalog.load(n).profile, overrides)
    return caught.value.problems


def test_every_problem_comes_at_once_in_the_order_of_the_file() -> None:
    """Fields that are wrong and fields that do not fit, each with line and place."""
    problems = problems_of(BROKEN)
    expected = [f"f.yaml:{line}: {place}" for line, place, _ in FOUND]
    assert [problem.where for problem in problems] == expected
    for problem, (_, _, words) in zip(problems, FOUND, strict=True):
        assert words in problem.what
    assert CANARY not in "\n".join(map(str, problems))


def test_what_follows_from_a_broken_field_is_not_reported() -> None:
    """A cohort that cannot be read is no reason to call its threshold wrong."""
    text = "name: x\nlab: 3\ncohorts: [{name: a, count: 1}]\n"
    assert [str(p) for p in problems_of(text)] == [
        "f.yaml:2: lab: expected a mapping, not 3"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        "cohorts: 3",
        "cohorts: [3]",
        "cohorts: [{name: 3, count: 1}]",
        "lab: {fronts: [3]}",
        "lab: {fronts: [{tls: {versions: [x, y]}}]}",
        "lab: {fronts: [{tls: {certificate: {names: ['a b', 3]}}}]}",
        "thresholds: [3, 4]",
        "thresholds: 3",
        "drain: x",
        "name: 3",
        "limits: {in_flight: x}",
    ],
)
def test_a_broken_field_never_hides_what_does_not_fit(broken: str) -> None:
    """The rest is judged without it: warm_up against duration is found every time."""
    data = {"name": "x", "lab": {}, "cohorts": [{"name": "a", "count": 1}]}
    data |= {"warm_up": "30s", **yaml.safe_load(broken)}
    places = [problem.where for problem in problems_of(yaml.safe_dump(data))]
    assert any(place.endswith(": warm_up") for place in places)
    assert any(broken.partition(":")[0] in place for place in places)


def test_what_can_be_neither_read_nor_cut_is_still_reported() -> None:
    """An unknown source of trouble leaves the field errors standing."""
    text = "name: x\nlab: {}\ntarget: {buckett: fleet}\ncohorts: []\n"
    places = [problem.where for problem in problems_of(text)]
    assert "f.yaml:3: target.buckett" in places
    assert "f.yaml:4: cohorts" in places


def test_problems_of_overrides_name_the_option() -> None:
    """A line of the file would mislead: the value is not there."""
    text = "name: x\nlab: {}\ncohorts: [{name: a, count: 1}]\n"
    found = problems_of(text, "cohorts.a.count=0", f"cohorts.a.credentials={CANARY}")
    assert [p.where for p in found] == [
        "--set cohorts.a.count: cohorts[0].count",
        "--set cohorts.a.credentials: cohorts[0].credentials",
    ]
    assert CANARY not in str(found)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "f.yaml:1"),
        ("[]", "f.yaml:1"),
        ("just text", "f.yaml:1"),
        ("a: [1", "f.yaml:1"),
        ("name: x\nname: y", "f.yaml:2"),
    ],
)
def test_what_is_no_mapping_is_refused(text: str, where: str) -> None:
    """Empty files, lists and broken YAML are one problem with a line."""
    assert [problem.where for problem in problems_of(text)] == [where]


def test_keys_of_the_author_are_left_alone() -> None:
    """Anchors live below keys that start with x-."""
    text = (
        "x-base: &base {count: 3, unknown-to-us: 1}\nname: x\nlab: {}\n"
        "cohorts: [{name: a, count: 3}]\n"
    )
    scenario = parse_scenario(text, "f.yaml", lambda n: catalog.load(n).profile)
    assert scenario.cohorts[0].count == 3


def test_problems_of_a_profile_file_are_passed_on() -> None:
    """A broken profile is reported where the cohort names it, with its own line."""

    def load(_name: str) -> DeviceProfile:
        raise InputError([Problem("p.yaml:3: tls", "is missing")])

    text = "name: x\nlab: {}\ncohorts: [{name: a, count: 1, profile: ./p.yaml}]\n"
    with pytest.raises(InputError) as caught:
        parse_scenario(text, "f.yaml", load)
    assert (
        str(caught.value) == "f.yaml:3: cohorts[0].profile: p.yaml:3: tls: is missing"
    )


def test_the_quickstart_is_right_and_round_trips(
    load_profile: Callable[[str], DeviceProfile],
) -> None:
    """parse(dump(parse(text))) = parse(text)."""
    scenario = parse_scenario(
        QUICKSTART.read_text(encoding="utf-8"), "quickstart.yaml", load_profile
    )
    assert sum(cohort.count for cohort in scenario.cohorts) == 500
    text = yaml.safe_dump(scenario.to_data())
    assert parse_scenario(text, "again.yaml", load_profile) == scenario


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1s", "64KiB", "main", "herd", "canedge2", "high", "lab"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "count", "tls", "file", "uniform", "phase"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)
KEYS = [
    *["name", "seed", "version", "duration", "warm_up", "drain", "lab", "target"],
    *["limits", "thresholds", "cohorts.0", "cohorts.0.name", "cohorts.1", "lab.fronts"],
    *["cohorts.0.trust", "cohorts.0.credentials", "cohorts.0.overrides.tls"],
    *["cohorts.0.workload.file_size", "cohorts.0.profile", "lab.fronts.0.tls"],
    *["cohorts.0.security", "cohorts.0.front", "cohorts.0.start_up", "target.endpoint"],
]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=4))
def test_mutated_scenarios_never_raise_anything_but_input_error(
    changes: dict[str, Any],
) -> None:
    """Any value in any place is accepted or refused with a place, never a crash."""
    text = "name: x\nlab: {fronts: [{name: main}]}\ncohorts: [{name: a, count: 1}]\n"
    overrides = [
        f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()}"
        for key, value in changes.items()
    ]
    try:
        parse_scenario(text, "f.yaml", lambda n: catalog.load(n).profile, overrides)
    except InputError as exc:
        problems = exc.problems
    else:
        return
    assert problems
    assert all(problem.where and problem.what for problem in problems)


@given(st.text(max_size=60))
def test_random_text_never_raises_anything_but_input_error(text: str) -> None:
    """A stranger's file is a scenario or a list of problems."""
    with pytest.raises(InputError):
        parse_scenario(text, "f.yaml", lambda n: catalog.load(n).profile)


BROKEN_TIMELINE = """\
name: x
duration: 60s
target: {endpoint: https://s3.example.org, bucket: fleet, ca_file: x.pem}
expect: fail
cohorts:
  - {name: a, count: 90}
timeline:
  - {name: new_root, at: 5s, when: "stranded > 0", issue_ca: {}}
  - {after: new_rot, swap_server_certificate: {certificate: srv}}
  - {after: loop, name: loop, push_bundle: {}}
  - {at: 3s, push_bundle: {certificates: [new_root], to: {cohorts: [A], share: 0}}}
  - {at: 400s, fault: {kind: delay, duration: 3s, bytes_per_s: 3}}
  - {at: 4s, push_bundle: {certificats: []}}
  - {date: 2027-13-01, assert: {condition: "stranded = 0"}}
  - {at: 1s, run_command: {argv: [nginx], replaces: swap_server_certificat}}
  - {at: 1s, revoke_devices: }
  - {name: nothing, at: 1s}
"""
FOUND_IN_TIMELINE = [
    (4, "expect", "without thresholds nothing can fail"),
    (8, "timeline[0].when", "exactly one of at, date, after, when"),
    (9, "timeline[1].after", "did you mean 'new_root'?"),
    (9, "timeline[1].swap_server_certificate", "needs control of the server"),
    (9, "timeline[1].swap_server_certificate.certificate", "no certificate 'srv'"),
    (10, "timeline[2].after", "waits for itself"),
    (10, "timeline[2].push_bundle", "say what is in the bundle"),
    (11, "timeline[3].push_bundle.to.cohorts[0]", "expected a name"),
    (11, "timeline[3].push_bundle.to.share", "must be above 0"),
    (11, "timeline[3].push_bundle.certificates[0]", "come after new_root"),
    (12, "timeline[4].at", "due 6m40s into a run that ends after 1m15s"),
    (12, "timeline[4].fault.delay", "kind delay needs delay"),
    (12, "timeline[4].fault.bytes_per_s", "no use"),
    (13, "timeline[5].push_bundle.certificats", "did you mean 'certificates'?"),
    (14, "timeline[6].date", "there is no '2027-13-01'"),
    (14, "timeline[6].assert.condition", "unknown operator '='"),
    (15, "timeline[7].at", "leave the time out"),
    (15, "timeline[7].run_command", "only with --allow-commands"),
    (15, "timeline[7].run_command.replaces", "did you mean 'swap_server_certificate'"),
    (16, "timeline[8].revoke_devices.to", "is missing"),
    (17, "timeline[9]", "exactly one thing"),
]


def test_every_problem_of_a_timeline_comes_at_once() -> None:
    """Unreadable entries do not hide what is wrong with the others."""
    with pytest.raises(InputError) as caught:
        parse_scenario(
            BROKEN_TIMELINE,
            "f.yaml",
            lambda name: catalog.load(name).profile,
            allow_commands=False,
        )
    found = caught.value.problems
    expected = [
        (f"f.yaml:{line}: {place}", what) for line, place, what in FOUND_IN_TIMELINE
    ]
    assert [problem.where for problem in found] == [where for where, _ in expected]
    for problem, (_, what) in zip(found, expected, strict=True):
        assert what in problem.what


def test_a_name_may_be_in_what_cannot_be_read() -> None:
    """Then nobody is told that it does not exist."""
    text = (
        "name: x\nlab: {}\ncohorts: [{name: a, count: 1}]\ntimeline:\n"
        "  - {name: [b], at: 1, issue_ca: {}}\n"
        "  - {after: b, swap_server_certificate: {certificate: c}}\n"
        "  - {name: c, at: 1, issue_server_certificate: {lifetime: {}, cb: root}}\n"
    )
    places = [problem.where for problem in problems_of(text)]
    assert places == [
        "f.yaml:5: timeline[0].name",
        "f.yaml:7: timeline[2].issue_server_certificate.lifetime",
        "f.yaml:7: timeline[2].issue_server_certificate.cb",
    ]


ENTRY_KEYS = [
    *["name", "at", "date", "after", "when", "delay", "issue_ca", "push_bundle"],
    *["push_bundle.certificates", "push_bundle.waves", "push_bundle.to", "assert"],
    *["run_command.argv", "run_command.replaces", "fault", "swap_ciphers", "lose_rtc"],
]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 1), st.sampled_from(ENTRY_KEYS)), values, max_size=4
    )
)
def test_mutated_timelines_never_raise_anything_but_input_error(
    changes: dict[tuple[int, str], Any],
) -> None:
    """Likewise for what is done while the fleet uploads."""
    text = (
        "name: x\nlab: {}\ncohorts: [{name: a, count: 1}]\ntimeline: "
        "[{name: b, at: 1, issue_ca: {}}, {after: b, push_bundle: {certificates: [b]}}]"
    )
    overrides = [
        f"timeline.{number}.{key}="
        f"{yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()}"
        for (number, key), value in changes.items()
    ]
    try:
        parse_scenario(text, "f.yaml", lambda n: catalog.load(n).profile, overrides)
    except InputError as exc:
        problems = exc.problems
    else:
        return
    assert all(problem.where and problem.what for problem in problems)
