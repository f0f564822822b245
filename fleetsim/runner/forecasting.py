"""Forecasting: what to forecast of a scenario, without running it.

The certificates of a lab are made as a run would make them, at the dates the timeline
has for them; keys never leave memory but for a private folder that is gone at the end.
An entry that waits for a condition is taken to come right after the one before it:
nobody knows before the run. Of each cohort this gives one question per TLS front, its
own first, then those that it is sent to by a configuration:

* bundles: what its devices start with, then every bundle that is pushed to them;
* chains: what the front starts with, then every certificate, cipher list and version
  it swaps to.

Whether the server takes the devices' own certificates is not looked at.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from fleetsim.core.settings import Security
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, load_bundle
from fleetsim.exceptions import InputError, Problem
from fleetsim.forecast.coverage import NamedChain
from fleetsim.forecast.forecast import BundleInput, Question
from fleetsim.pki.bundle import encode_bundle
from fleetsim.runner.bindings import starting_bundle
from fleetsim.runner.lab_setup import LabKit, build_lab
from fleetsim.runner.pki_registry import PkiRegistry
from fleetsim.scenario.plan import CohortPlan, Plan
from fleetsim.scenario.target_schema import FrontSpec, TlsSpec
from fleetsim.scenario.timeline import TimelinePlan
from fleetsim.scenario.timeline_schema import (
    BundleFault,
    ChainForm,
    CrossSign,
    IssueCa,
    IssueServerCertificate,
    PushBundle,
    PushConfig,
    Selector,
    SwapCiphers,
    SwapServerCertificate,
    SwapTlsVersions,
)
from fleetsim.transport.tls_server import ServerTls

_NS_PER_S: Final = 1_000_000_000
_MAX_BUNDLE_BYTES: Final = 1 << 20

ANY_SERVER: Final = ServerTls(certificates=(), cipher_list="ALL:!aNULL:@SECLEVEL=0")
"""A server that takes every suite and version a device may offer."""


@dataclass(slots=True)
class _Front:
    """How a front speaks TLS as the timeline goes on."""

    certificate: str
    form: ChainForm
    also_send: tuple[str, ...]
    tls: TlsSpec


def questions_of(
    plan: Plan, base_folder: Path, now: datetime, window: tuple[int, int]
) -> tuple[Question, ...]:
    """Work out what to forecast of a scenario.

    Args:
        plan: The whole plan.
        base_folder: Folder that relative paths of the scenario refer to.
        now: Run time 0, aware.
        window: First second and first second after it, unix time.

    Returns:
        One question per cohort and TLS front. Against a real target they have no
        chains: nobody here knows what the target will send.

    Raises:
        InputError: A file cannot be read, a certificate cannot be made.
    """
    if plan.lab is None:
        return tuple(
            _target_question(plan, cohort, base_folder, window)
            for cohort in plan.cohorts
            if cohort.security is not Security.LOW
        )
    with tempfile.TemporaryDirectory(prefix="fleetsim-") as folder:
        kit = build_lab(plan.lab, Path(folder), now, base_folder=base_folder)
    walk = _Walk(plan, kit, base_folder, now)
    walk.go()
    return tuple(
        walk.question(cohort, front, window)
        for cohort in plan.cohorts
        for front in walk.fronts_of(cohort)
    )


def _target_question(
    plan: Plan, cohort: CohortPlan, base_folder: Path, window: tuple[int, int]
) -> Question:
    host = plan.target.host if plan.target is not None else None
    outcome = starting_bundle(cohort, None, base_folder)
    return Question(
        title=f"cohort {cohort.name}",
        profile=cohort.profile,
        table=cohort.cipher_table,
        host=host or "",
        bundles=(BundleInput(name="at the start", outcome=outcome),),
        chains=(),
        base=ANY_SERVER,
        window=window,
    )


class _Walk:
    """Goes through the timeline and notes bundles and chains."""

    def __init__(
        self, plan: Plan, kit: LabKit, base_folder: Path, now: datetime
    ) -> None:
        self._plan = plan
        self._kit = kit
        self._base_folder = base_folder
        self._start = now
        self._now = now
        self._registry = PkiRegistry(kit, lambda: self._now)
        self._bundles: dict[int, list[BundleInput]] = {
            cohort.index: [
                BundleInput(
                    name="at the start",
                    outcome=starting_bundle(cohort, kit, base_folder),
                )
            ]
            for cohort in plan.cohorts
        }
        self._specs: Mapping[str, FrontSpec] = (
            {} if plan.lab is None else {each.name: each for each in plan.lab.fronts}
        )
        self._moves: dict[int, list[str]] = {each.index: [] for each in plan.cohorts}
        self._fronts: dict[str, _Front] = {}
        self._chains: dict[str, list[NamedChain]] = {}
        for name, spec in self._specs.items():
            tls = spec.effective_tls
            if tls is not None:
                self._fronts[name] = _Front(name, ChainForm.FULL, (), tls)
                self._chains[name] = [self._chain(name, "at the start")]

    def go(self) -> None:
        """Carry out what changes certificates, trust or TLS, in the order of time."""
        times = estimated_ns(self._plan.timeline)
        for entry in sorted(self._plan.timeline, key=lambda each: times[each.index]):
            run_s = times[entry.index] / _NS_PER_S
            self._now = self._start + timedelta(seconds=run_s * self._plan.time_scale)
            self._do(entry)

    def fronts_of(self, cohort: CohortPlan) -> tuple[str, ...]:
        """TLS fronts that the devices of a cohort will ever use."""
        names = dict.fromkeys((cohort.front, *self._moves[cohort.index]))
        return tuple(name for name in names if name in self._fronts)

    def question(
        self, cohort: CohortPlan, front: str, window: tuple[int, int]
    ) -> Question:
        """What was noted of a cohort and a front."""
        spec = self._specs[front]
        return Question(
            title=f"cohort {cohort.name}, front {front}",
            profile=cohort.profile,
            table=cohort.cipher_table,
            host=spec.host,
            bundles=tuple(self._bundles[cohort.index]),
            chains=tuple(self._chains[front]),
            base=ANY_SERVER,
            window=window,
        )

    def _do(self, entry: TimelinePlan) -> None:
        action = entry.action
        match action:
            case IssueCa():
                self._registry.issue_ca(entry, action)
            case CrossSign():
                self._registry.cross_sign(entry, action)
            case IssueServerCertificate():
                self._registry.issue_server(entry, action)
            case PushBundle():
                self._push(entry, action)
            case PushConfig() if action.front is not None:
                for cohort in self._addressed(action.to):
                    self._moves[cohort.index].append(action.front)
            case SwapServerCertificate():
                for name in self._named(action.front):
                    front = self._fronts[name]
                    front.certificate = action.certificate
                    front.form, front.also_send = action.chain, action.also_send
                    self._chains[name].append(self._chain(name, self._label(entry)))
            case SwapCiphers():
                self._retune(entry, action.front, {"ciphers": action.ciphers})
            case SwapTlsVersions():
                self._retune(entry, action.front, {"versions": action.versions})
            case _:
                pass  # it changes neither certificates nor trust nor TLS settings

    def _retune(
        self, entry: TimelinePlan, front: str | None, changes: dict[str, object]
    ) -> None:
        for name in self._named(front):
            state = self._fronts[name]
            state.tls = state.tls.model_copy(update=changes)
            self._chains[name].append(self._chain(name, self._label(entry)))

    def _push(self, entry: TimelinePlan, action: PushBundle) -> None:
        data = self._bundle_bytes(action)
        for cohort in self._addressed(action.to):
            known = self._bundles[cohort.index]
            outcome = load_bundle(data, cohort.profile.bundle, known[-1].outcome.bundle)
            known.append(BundleInput(name=self._label(entry), outcome=outcome))

    def _bundle_bytes(self, action: PushBundle) -> bytes:
        if action.file is not None:
            data = read_bundle(self._base_folder / action.file, _MAX_BUNDLE_BYTES)
        else:
            data = encode_bundle(
                [self._registry.certificate(name) for name in action.certificates]
            )
        match action.fault:
            case None:
                return data
            case BundleFault.TRUNCATED:
                return data[: len(data) // 2]
            case BundleFault.GARBAGE:
                return b"no certificate store\n"
            case BundleFault.EMPTY:
                return b""

    def _addressed(self, to: Selector) -> tuple[CohortPlan, ...]:
        return tuple(
            cohort
            for cohort in self._plan.cohorts
            if not to.cohorts or cohort.name in to.cohorts
        )

    def _named(self, front: str | None) -> tuple[str, ...]:
        return tuple(name for name in self._fronts if front in {None, name})

    def _chain(self, front: str, label: str) -> NamedChain:
        state = self._fronts[front]
        leaf = self._registry.presented(state.certificate, state.form, state.also_send)
        return NamedChain(
            name=label,
            certificates=(leaf.certificate, *leaf.chain),
            key=leaf.key,
            base=_server_of(state.tls),
        )

    def _label(self, entry: TimelinePlan) -> str:
        return f"{entry.label}, {self._now:%Y-%m-%dT%H:%M:%SZ}"


def estimated_ns(entries: Sequence[TimelinePlan]) -> dict[int, int]:
    """When each entry is due, as far as that is known before the run; by index."""
    found: dict[int, int] = {}
    latest = 0
    for entry in _in_order(entries):
        if entry.at_ns is not None:
            due = entry.at_ns
        elif entry.after is not None:
            due = found[entry.after] + entry.delay_ns
        else:
            due = latest + entry.delay_ns
        found[entry.index] = due
        latest = max(latest, due)
    return found


def _in_order(entries: Sequence[TimelinePlan]) -> list[TimelinePlan]:
    """Entries in the order of the scenario, but each after the one it waits for."""
    placed: dict[int, TimelinePlan] = {}
    waiting = list(entries)
    while waiting:
        ready = [e for e in waiting if e.after is None or e.after in placed]
        if not ready:
            raise InputError(Problem("timeline", "entries wait for each other"))
        placed[ready[0].index] = ready[0]
        waiting.remove(ready[0])
    return list(placed.values())


def read_bundle(path: Path, max_bytes: int) -> bytes:
    """Read a bundle file, of an oversized one just enough for a device to refuse it.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as exc:
        raise InputError(Problem(str(path), exc.strerror or str(exc))) from exc


def load_bundle_file(path: Path, question: Question) -> BundleInput:
    """Load a bundle file as a new device of a question would.

    Raises:
        InputError: It cannot be read.
    """
    rules = question.profile.bundle
    data = read_bundle(path, rules.max_bytes)
    return BundleInput(name=path.name, outcome=load_bundle(data, rules, EMPTY_BUNDLE))


def with_files(
    question: Question, bundles: Sequence[Path], chains: Sequence[NamedChain]
) -> Question:
    """Add bundle files and chains to a question.

    Raises:
        InputError: A bundle file cannot be read.
    """
    return replace(
        question,
        bundles=(
            *question.bundles,
            *(load_bundle_file(path, question) for path in bundles),
        ),
        chains=(*question.chains, *chains),
    )


def _server_of(tls: TlsSpec) -> ServerTls:
    versions = sorted(tls.versions)
    return replace(
        ANY_SERVER,
        min_version=versions[0],
        max_version=versions[-1],
        cipher_list=tls.ciphers,
        tls13_suites=tls.tls13_suites,
        dh_bits=tls.dh_bits,
    )


def run_start(plan: Plan, now: datetime) -> datetime:
    """Run time 0: the start of the calendar, or the present."""
    if plan.calendar_epoch_unix_s is None:
        return now
    return datetime.fromtimestamp(plan.calendar_epoch_unix_s, UTC)
