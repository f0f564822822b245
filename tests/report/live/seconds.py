"""Seconds of a made-up run: what the engine would tell a feed."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleetsim.core.contact import ContactState
from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import GeneratorHealth
from fleetsim.core.progress import STATES, BundleSeen, Progress, Stage, Survey
from fleetsim.recording.recorder import Snapshot
from fleetsim.report.live.feed import Feed
from fleetsim.report.live.frame import LiveFrame
from tests.runner.plans import plan_of

MS = 1_000_000
S = 1_000_000_000

PLAN = plan_of(
    {"name": "old", "count": 3},
    {"name": "new", "count": 2},
    duration="60s",
    drain="10s",
    warm_up="0s",
    timeline=[
        {"name": "root", "at": "5s", "issue_ca": {}},
        {"name": "cert", "after": "root", "issue_server_certificate": {"ca": "root"}},
        {"when": "failing > 3", "assert": {"condition": "stranded == 0"}},
    ],
)
NAMES = [cohort.name for cohort in PLAN.cohorts]


def survey(
    states: str = "uuuuu", groups: Sequence[int] = (0,) * 5, bundles: Sequence[int] = ()
) -> Survey:
    """Every device: first letters of states, group numbers, bundle numbers."""
    codes = {state.value[0]: code for code, state in enumerate(STATES)}
    used = tuple(bundles) or (1,) * len(states)
    return Survey(
        first=0,
        stride=1,
        states=bytes(codes[letter] for letter in states),
        groups=bytes(groups),
        bundles=bytes(used),
        group_names=("", "group 1", "group 2", "group 3"),
        bundles_seen=(
            BundleSeen(),
            *(BundleSeen(f"{n:012d}", n) for n in range(1, max(used) + 1)),
        ),
    )


def progress(
    at_s: float, *, stage: Stage = Stage.LOAD, seen: Survey | None = None, **more: Any
) -> Progress:
    """The fleet at one time."""
    states = {state.value: 0 for state in ContactState}
    for code in b"" if seen is None else seen.states:
        states[STATES[code].value] += 1
    return Progress(
        stage=stage,
        now_ns=round(at_s * S),
        devices=5,
        powered=5,
        in_flight=1,
        backlog=2,
        failing=more.pop("failing", 0),
        states=states,
        survey=seen,
        **more,
    )


def snapshot(
    *,
    uploads: int = 0,
    failures: Mapping[str, int] | None = None,
    response_ms: Sequence[float] = (),
    sent: int = 0,
) -> Snapshot:
    """Running totals; everything belongs to the first cohort."""
    failed = dict(failures or {})
    times = Histogram.of(round(each * MS) for each in response_ms)
    counts = {(NAMES[0], "upload", ""): uploads} | {
        (NAMES[0], "upload", kind): count for kind, count in failed.items()
    }
    return Snapshot(
        attempts={"upload": sum(counts.values())},
        failures=failed,
        acknowledged=uploads,
        bytes_sent=sent,
        bytes_received=0,
        latency={"response": times, "tls": times},
        cohorts={NAMES[0]: {"response": times}},
        by_cohort=counts,
    )


def health(**changes: Any) -> GeneratorHealth:
    """A generator that keeps up, unless something is changed."""
    return GeneratorHealth(**{"saturated": False, "starts": 10, **changes})


def frames(*seconds: tuple[Progress, Snapshot]) -> list[LiveFrame]:
    """Frames of these seconds, from one feed."""
    feed = Feed(PLAN)
    return [feed.frame(*second) for second in seconds]
