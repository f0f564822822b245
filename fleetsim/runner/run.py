"""Run: one scenario from its plan to its verdict.

::

    limits ─► keys, files ─► target up ─► bindings ─► run folder ─► fleet ∥ rehearsal
                                                                          │
                            summary, verdict ◄── truth check ◄── records ◄─┘

Nothing is written before the target has proved usable. From the first record on the
folder tells the truth about the run, also when it is killed.
"""

import asyncio
import ipaddress
import os
import resource
import secrets
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from fleetsim.core.outcomes import AuditOutcome, CleanOutcome
from fleetsim.core.payload import PayloadBlock
from fleetsim.core.progress import Progress
from fleetsim.engine.fleet import CohortBinding, Ending, Timing
from fleetsim.exceptions import FleetsimError, InputError, Problem, TargetError
from fleetsim.lab.settings import FrontProgram
from fleetsim.recording.ledger import Ledger
from fleetsim.recording.outcomes import write_audit, write_devices, write_generator
from fleetsim.recording.recorder import Recorder, Snapshot
from fleetsim.recording.run_folder import RunFolder, RunOutcome, RunStart
from fleetsim.recording.states import StateRecorder
from fleetsim.recording.stored_keys import note_push
from fleetsim.report.finish import finish_run
from fleetsim.runner.bindings import RefusedBundle, bind
from fleetsim.runner.cleaning import clean_now, target_facts
from fleetsim.runner.control_identity import control_identity
from fleetsim.runner.device_pki import DevicePki, load_device_pkis
from fleetsim.runner.rehearsal import Prepared, Rehearsal, first_error, prepare
from fleetsim.runner.running import LocalFleet, RunningFleet
from fleetsim.runner.sites import Target, open_target
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline import TimelinePlan
from fleetsim.target.audit import audit

FILES_BESIDE_CONNECTIONS = 64
"""Descriptors of the process that are not device connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run a plan.

    Attributes:
        results: Folder of all runs.
        base_folder: Folder that relative paths of the scenario refer to.
        scenario: The resolved scenario, for the manifest; holds no secret.
        create_bucket: Make a missing bucket on a real target.
        check_truth: Compare the bucket with what the devices were told at the end.
        source_addresses: Local addresses to dial from; empty = any.
        pin: Generator on the first allowed core, lab on the last.
        front_program: What ends TLS at the fronts of the lab.
        clean: At the end, delete from the bucket what the run stored.
    """

    results: Path
    base_folder: Path
    scenario: Mapping[str, Any]
    create_bucket: bool = False
    check_truth: bool = True
    source_addresses: tuple[str, ...] = ()
    pin: bool = False
    front_program: FrontProgram = FrontProgram.BUILTIN
    clean: bool = False


class Watcher:
    """Somebody who watches a run; every method may be overridden.

    Attributes:
        wants_survey: Whether progress shall have a survey of the devices and the
            generator's health.
    """

    wants_survey: bool = False

    def prepared(self, folder: Path, interrupt: Callable[[], None]) -> None:
        """The fleet is about to start; ``interrupt`` does what Ctrl-C does."""

    def started(self, folder: Path, target: str) -> None:
        """The fleet is about to start."""

    def bundle_refused(self, refused: RefusedBundle) -> None:
        """The devices of a cohort did not load their trust bundle whole."""

    def ticked(self, progress: Progress, snapshot: Callable[[], Snapshot]) -> None:
        """Another second went by; ``snapshot`` gives the running totals."""

    def acted(self, entry: TimelinePlan, step: str, facts: Mapping[str, Any]) -> None:
        """The timeline took a step: see :mod:`fleetsim.runner.timeline`."""

    def ended(self, ending: Ending) -> None:
        """The fleet has ended; the truth check follows."""

    def cleaned(self, outcome: CleanOutcome) -> None:
        """What the run stored was deleted, as far as it could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a run consists of once its target is up.

    Attributes:
        plan: What to run.
        options: How.
        watcher: Told about the progress.
        target: Where the fleet uploads to.
        pkis: Each PKI folder that cohorts name.
        prepared: What the timeline will need.
        scratch: Private folder, gone after the run.
    """

    plan: Plan
    options: RunOptions
    watcher: Watcher
    target: Target
    pkis: Mapping[str, DevicePki]
    prepared: Prepared
    scratch: Path


async def run_plan(
    plan: Plan, options: RunOptions, watcher: Watcher
) -> tuple[Path, dict[str, Any]]:
    """Run a plan.

    Args:
        plan: What to run.
        options: How.
        watcher: Told about the progress.

    Returns:
        The run folder and the summary.

    Raises:
        InputError: Something named by the scenario or the options cannot be used.
        TargetError: The target cannot be used.
        RecordingError: The run folder cannot be written.
    """
    raise_file_limit(plan)
    check_source_addresses(options.source_addresses)
    lab_cpu = _pin() if options.pin else None
    with tempfile.TemporaryDirectory(prefix="fleetsim-") as scratch:
        prepared = prepare(plan, options.base_folder)
        now = _calendar_now(plan)
        pkis = load_device_pkis(plan, options.base_folder, now)
        async with open_target(
            plan,
            work_folder=Path(scratch),
            base_folder=options.base_folder,
            now=now,
            lab_cpu=lab_cpu,
            create_bucket=options.create_bucket,
            front_program=options.front_program,
            client=control_identity(
                plan,
                pkis,
                base_folder=options.base_folder,
                work_folder=Path(scratch),
                now=now,
            ),
        ) as target:
            return await _run_on(
                _Parts(
                    plan=plan,
                    options=options,
                    watcher=watcher,
                    target=target,
                    pkis=pkis,
                    prepared=prepared,
                    scratch=Path(scratch),
                )
            )


def _calendar_now(plan: Plan) -> datetime:
    """The present of the run: the calendar stands at its start until the load begins."""
    if plan.calendar_epoch_unix_s is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp(plan.calendar_epoch_unix_s, UTC)


async def _run_on(parts: _Parts) -> tuple[Path, dict[str, Any]]:
    plan, options, watcher = parts.plan, parts.options, parts.watcher
    target = parts.target
    bindings, refused = bind(
        plan,
        target.sites,
        kit=target.kit,
        authorities={name: pki.authority for name, pki in parts.pkis.items()},
        issued={name: pki.issued for name, pki in parts.pkis.items()},
        base_folder=options.base_folder,
        now=_calendar_now(plan),
    )
    started = datetime.now(UTC)
    folder = RunFolder.create(
        options.results, plan.name, started, lambda: secrets.token_hex(3)
    )
    folder.begin(
        RunStart(
            scenario_name=plan.name,
            scenario=options.scenario,
            plan_digest=plan.digest,
            seed=plan.seed,
            warm_up_ns=plan.warm_up_ns,
            duration_ns=plan.duration_ns,
            thresholds=tuple(each.expression for each in plan.thresholds),
            devices=len(plan.devices),
            target=target_facts(plan, target, options.base_folder),
        ),
        started,
    )
    try:
        for each in refused:
            watcher.bundle_refused(each)
            folder.note(
                "bundle_refused",
                planned_ns=0,
                actual_ns=0,
                cohort=each.cohort,
                refusals=[
                    f"{refusal.certificate}: {refusal.rule}: {refusal.detail}"
                    for refusal in each.refusals
                ],
            )
        target.control.on_put = partial(note_push, folder.path)
        watcher.started(folder.path, _place(target))
        ending = await _drive(parts, bindings, folder)
        watcher.ended(ending)
        outcome = AuditOutcome(checked=False, reason="switched off")
        if options.check_truth:
            outcome = await _check_truth(plan, target, folder.path, started)
        write_audit(folder.path, outcome)
        if options.clean:
            watcher.cleaned(await clean_now(plan, target.control, folder.path, started))
        folder.end(
            RunOutcome.COMPLETED
            if ending is Ending.COMPLETED
            else RunOutcome.INTERRUPTED,
            datetime.now(UTC),
        )
    except FleetsimError as error:
        folder.end(RunOutcome.ERROR, datetime.now(UTC), detail=str(error))
        raise
    return folder.path, finish_run(folder.path)


async def _drive(
    parts: _Parts, bindings: list[CohortBinding], folder: RunFolder
) -> Ending:
    """Run the fleet, what goes on beside it, and write what they leave behind."""
    plan, watcher = parts.plan, parts.watcher
    rehearsal = Rehearsal(
        plan,
        parts.prepared,
        parts.target,
        bindings,
        authorities={name: pki.authority for name, pki in parts.pkis.items()},
        folder=folder,
        keys_folder=parts.scratch,
        noted=watcher.acted,
    )
    fleet: LocalFleet | None = None

    def now_ns() -> int:
        return fleet.now_ns() if fleet is not None else 0

    with (
        Recorder(
            folder.path,
            now_ns,
            warm_up_ns=plan.warm_up_ns,
            started_unix_s=datetime.now(UTC).timestamp(),
        ) as recorder,
        StateRecorder(folder.path) as states,
    ):
        fleet = LocalFleet(
            plan.devices,
            bindings,
            timing=Timing(duration_ns=plan.duration_ns, drain_ns=plan.drain_ns),
            in_flight=plan.in_flight,
            sink=recorder,
            source_addresses=parts.options.source_addresses,
            on_tick=lambda progress: watcher.ticked(progress, recorder.snapshot),
            states=states,
            wall_clock=rehearsal.wall_clock,
            surveyed_shards=plan.shard_count if watcher.wants_survey else None,
        )
        ending = await _rehearse(
            fleet, rehearsal, lambda stop: watcher.prepared(folder.path, stop)
        )
        recorder.finish()
        states.finish()
        write_devices(folder.path, fleet.outcomes())
        write_generator(folder.path, fleet.health())
    return ending


async def _rehearse(
    fleet: RunningFleet,
    rehearsal: Rehearsal,
    prepared: Callable[[Callable[[], None]], None],
) -> Ending:
    """Run the fleet with the timeline beside it; a signal ends both.

    ``prepared`` is given the way to end them without one.
    """
    try:
        async with asyncio.TaskGroup() as group:
            beside = group.create_task(rehearsal.run(fleet))

            def interrupt() -> None:
                beside.cancel()
                fleet.interrupt()

            prepared(interrupt)
            with _signals(interrupt):
                ending = await fleet.run()
            beside.cancel()
    except ExceptionGroup as errors:
        raise first_error(errors) from errors
    rehearsal.close(fleet)
    return ending


async def _check_truth(
    plan: Plan, target: Target, folder: Path, started: datetime
) -> AuditOutcome:
    """Compare the bucket with the records; a target that is gone is no crash."""
    if plan.calendar_epoch_unix_s is not None:
        # Objects are dated by the calendar; the audit adds the skew it knows.
        skew = timedelta(seconds=target.control.clock_skew_s)
        started = datetime.fromtimestamp(plan.calendar_epoch_unix_s, UTC) - skew
    try:
        return await audit(
            target.control,
            await asyncio.to_thread(Ledger, folder),
            PayloadBlock(seed=plan.seed),
            started=started,
        )
    except TargetError as error:
        return AuditOutcome(checked=False, failed=True, reason=str(error))


def _place(target: Target) -> str:
    endpoint = target.sites[0].endpoint
    kind = "lab" if target.lab is not None else "endpoint"
    return f"{kind} {endpoint.scheme}://{endpoint.host}:{endpoint.port}"


def raise_file_limit(plan: Plan) -> None:
    """Raise the limit of open files to what the plan needs.

    Raises:
        InputError: The hard limit is too low; says what to do.
    """
    needed = plan.needs.file_descriptors + FILES_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise InputError(
            Problem(
                "open files",
                f"the run may need {needed}, the hard limit is {hard}: raise it "
                f"(ulimit -Hn {needed}) or lower limits.in_flight",
            )
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def check_source_addresses(addresses: Sequence[str]) -> None:
    """Make sure that connections can leave from these addresses.

    Raises:
        InputError: With every address that is none, or not of this machine.
    """
    problems: list[Problem] = []
    for address in addresses:
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind((str(ipaddress.ip_address(address)), 0))
        except (OSError, ValueError) as error:
            problems.append(Problem(f"--source-address {address[:100]}", str(error)))
    if problems:
        raise InputError(problems)


def _pin() -> int | None:
    """Pin this process to the first allowed core; return the last for the lab."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return None
    os.sched_setaffinity(0, {allowed[0]})
    return allowed[-1]


@contextmanager
def _signals(interrupt: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in handled}
    for number in handled:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            # The loop leaves SIGTERM deadly: the lab's keys would outlive the run.
            signal.signal(number, before[number])
