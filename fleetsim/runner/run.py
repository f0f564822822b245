"""Run: one scenario from its plan to its verdict.

::

    limits ─► keys, files ─► target up ─► bindings ─► run folder ─► fleet ∥ rehearsal
                                                                          │
                            summary, verdict ◄── truth check ◄── records ◄─┘

Nothing is written before the target has proved usable. From the first record on the
folder tells the truth about the run, also when it is killed.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from fleetsim.core.outcomes import AuditOutcome, CleanOutcome
from fleetsim.core.payload import PayloadBlock
from fleetsim.core.progress import Progress
from fleetsim.engine.fleet import CohortBinding, Ending
from fleetsim.exceptions import FleetsimError, TargetError
from fleetsim.lab.settings import FrontProgram
from fleetsim.recording.ledger import Ledger
from fleetsim.recording.observed import write_observed
from fleetsim.recording.outcomes import write_audit
from fleetsim.recording.recorder import Snapshot
from fleetsim.recording.run_folder import RunFolder, RunOutcome, RunStart
from fleetsim.recording.shards import LostDevices
from fleetsim.recording.stored_keys import note_push
from fleetsim.report.finish import finish_run
from fleetsim.runner.bindings import RefusedBundle, bind
from fleetsim.runner.cleaning import clean_now, target_facts
from fleetsim.runner.control_identity import control_identity
from fleetsim.runner.device_pki import DevicePki, load_device_pkis
from fleetsim.runner.driving import Drive, drive
from fleetsim.runner.limits import Cores, check_machine, pin
from fleetsim.runner.observing import Window, start_observing
from fleetsim.runner.rehearsal import Prepared, Rehearsal, prepare
from fleetsim.runner.sites import Target, open_target
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline import TimelinePlan
from fleetsim.target.audit import audit


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
        processes: Number of processes that run the devices, 1..number of devices.
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
    processes: int = 1
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

    def shard_lost(self, name: str, lost: LostDevices) -> None:
        """A process of the fleet died; the others go on."""

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
        cores: Who runs on which core.
    """

    plan: Plan
    options: RunOptions
    watcher: Watcher
    target: Target
    pkis: Mapping[str, DevicePki]
    prepared: Prepared
    scratch: Path
    cores: Cores


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
    check_machine(plan, options.processes, options.source_addresses)
    cores = Cores()
    if options.pin:
        cores = pin(has_lab=plan.lab is not None, processes=options.processes)
    with tempfile.TemporaryDirectory(prefix="fleetsim-") as scratch:
        prepared = prepare(plan, options.base_folder)
        now = _calendar_now(plan)
        pkis = load_device_pkis(plan, options.base_folder, now)
        async with open_target(
            plan,
            work_folder=Path(scratch),
            base_folder=options.base_folder,
            now=now,
            lab_cpu=cores.lab,
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
                    cores=cores,
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
    observer = await start_observing(
        plan,
        target,
        base_folder=options.base_folder,
        front_program=options.front_program,
        source_addresses=options.source_addresses,
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
            shards=tuple(
                f"{index}/{options.processes}" for index in range(options.processes)
            ),
            target=target_facts(plan, target, options.base_folder),
            front_program=options.front_program.value if plan.lab is not None else "",
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
        ending, lost = await _drive(parts, bindings, folder)
        watcher.ended(ending)
        if observer is not None:
            window = Window(started=started, ended=datetime.now(UTC))
            write_observed(folder.path, await observer.finish(window))
        outcome = AuditOutcome(checked=False, reason="switched off")
        if options.check_truth:
            outcome = await _check_truth(plan, target, folder.path, started, lost)
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
) -> tuple[Ending, frozenset[str]]:
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
    return await drive(
        Drive(
            plan=plan,
            bindings=bindings,
            rehearsal=rehearsal,
            folder=folder,
            processes=parts.options.processes,
            cores=parts.cores.shards,
            source_addresses=parts.options.source_addresses,
            is_surveyed=watcher.wants_survey,
            on_tick=watcher.ticked,
            on_prepared=lambda stop: watcher.prepared(folder.path, stop),
            on_lost=watcher.shard_lost,
        )
    )


async def _check_truth(
    plan: Plan,
    target: Target,
    folder: Path,
    started: datetime,
    lost: frozenset[str],
) -> AuditOutcome:
    """Compare the bucket with the records; a target that is gone is no crash."""
    if plan.calendar_epoch_unix_s is not None:
        # Objects are dated by the calendar; the audit adds the skew it knows.
        skew = timedelta(seconds=target.control.clock_skew_s)
        started = datetime.fromtimestamp(plan.calendar_epoch_unix_s, UTC) - skew
    try:
        await target.control.renew()
        return await audit(
            target.control,
            await asyncio.to_thread(Ledger, folder),
            PayloadBlock(seed=plan.seed),
            started=started,
            unsure=lost,
        )
    except TargetError as error:
        return AuditOutcome(checked=False, failed=True, reason=str(error))


def _place(target: Target) -> str:
    endpoint = target.sites[0].endpoint
    kind = "lab" if target.lab is not None else "endpoint"
    return f"{kind} {endpoint.scheme}://{endpoint.host}:{endpoint.port}"
