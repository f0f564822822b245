"""Rehearsal: what happens beside the fleet while it runs.

Three things share the run's clock: the timeline, the thresholds that end a run as soon as
they do not hold, and the proof that a device in trouble is stranded. What can be prepared
is prepared before the load begins: keys that the timeline will need, files it names.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetsim.core.device_settings import NS_PER_S, RunClock
from fleetsim.core.settings import Endpoint
from fleetsim.engine.fleet import CohortBinding
from fleetsim.pki.authority import Authority
from fleetsim.pki.keys import PrivateKey
from fleetsim.recording.json_file import write_json
from fleetsim.recording.names import FIGURES
from fleetsim.recording.run_folder import RunFolder
from fleetsim.runner.actions import Actions, Desks, endpoint_url
from fleetsim.runner.credential_actions import CredentialDesk
from fleetsim.runner.front_actions import FrontDesk
from fleetsim.runner.front_control import LabFronts
from fleetsim.runner.identity_actions import IdentityDesk, prepare_pools
from fleetsim.runner.live_figures import LiveFigures
from fleetsim.runner.ota_actions import OtaDesk, read_files
from fleetsim.runner.pki_registry import PkiRegistry, calendar, prepare_keys
from fleetsim.runner.running import RunningFleet
from fleetsim.runner.sites import Target, front_endpoint
from fleetsim.runner.stranding import FrontPlace, Surroundings
from fleetsim.runner.timeline import (
    ActionFailedError,
    Facts,
    Timeline,
)
from fleetsim.scenario.condition import Condition, live_condition
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline import TimelinePlan

Noted = Callable[[TimelinePlan, str, Facts], None]
"""Told about every step of the timeline: entry, step, facts; also when (``*_ns``)."""

ABORT: Final = "abort"
"""Action of the line that says why a run was ended early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a rehearsal needs that takes time to make.

    Attributes:
        keys: Keys of authorities and servers, by timeline entry.
        pools: Keys of devices, by timeline entry and cohort.
        files: Bundle files by path.
    """

    keys: Mapping[int, PrivateKey]
    pools: Mapping[tuple[int, int], tuple[PrivateKey, ...]]
    files: Mapping[str, bytes]


def prepare(plan: Plan, base_folder: Path) -> Prepared:
    """Prepare a rehearsal.

    Raises:
        InputError: Files that cannot be read, keys that cannot be made.
    """
    return Prepared(
        files=read_files(plan, base_folder),
        keys=prepare_keys(plan.timeline),
        pools=prepare_pools(plan),
    )


class FleetClock:
    """Run time of a fleet, and a way to wait for it.

    Args:
        now_ns: Run time.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns

    async def sleep_until(self, due_ns: int) -> None:
        """Return at ``due_ns``; at once when that is past."""
        # A timer may fire a little early: then what is left is slept once more.
        while (left_ns := due_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - it is a clock
            await asyncio.sleep(left_ns / NS_PER_S)


class Rehearsal:
    """Everything beside the fleet, from run time 0 to the end of the run.

    Args:
        plan: The whole plan.
        prepared: What was prepared.
        target: Where the fleet uploads to.
        bindings: By cohort index.
        authorities: Device authority of each PKI folder that cohorts name.
        folder: The run folder.
        keys_folder: Private folder for certificates and keys.
        noted: Told about every step.
    """

    def __init__(
        self,
        plan: Plan,
        prepared: Prepared,
        target: Target,
        bindings: Sequence[CohortBinding],
        *,
        authorities: Mapping[str, Authority],
        folder: RunFolder,
        keys_folder: Path,
        noted: Noted,
    ) -> None:
        self._plan = plan
        self._prepared = prepared
        self._target = target
        self._bindings = bindings
        self._authorities = authorities
        self._folder = folder
        self._keys_folder = keys_folder
        self._noted = noted
        self._begun = asyncio.Event()
        self._origin_ns = 0
        self._epoch_unix_s = 0.0
        self._timeline: Timeline | None = None

    # ------------------------------------------------------------ calendar

    def wall_clock(self, origin_monotonic_ns: int) -> RunClock:
        """The devices' clock; called by the fleet at run time 0."""
        plan = self._plan
        if plan.calendar_epoch_unix_s is None:
            epoch_ns = time.time_ns() - time.monotonic_ns() + origin_monotonic_ns
        else:
            epoch_ns = plan.calendar_epoch_unix_s * NS_PER_S
        self._origin_ns = origin_monotonic_ns
        self._epoch_unix_s = epoch_ns / NS_PER_S
        self._begun.set()
        return RunClock(epoch_ns, plan.time_scale)

    def _server_unix_s(self, now_ns: int) -> int:
        """The servers' clock at a run time."""
        elapsed_s = now_ns / NS_PER_S * self._plan.time_scale
        return int(self._epoch_unix_s + elapsed_s)

    # ------------------------------------------------------------ life

    async def run(self, fleet: RunningFleet) -> None:
        """Accompany a fleet until the timeline is over and nothing is left to watch.

        Cancel it when the fleet has ended, then :meth:`close`.

        Raises:
            RecordingError: The timeline could not be written.
            TargetError: The lab's calendar could not be started.
            Exception: A bug in an action; nothing is swallowed.
        """
        await self._begun.wait()
        lab = self._target.lab
        if lab is not None and self._plan.calendar_epoch_unix_s is not None:
            await lab.request("start_clock", origin_monotonic_ns=self._origin_ns)
        desks = self._desks(fleet)
        self._ota = desks.ota
        self._figures = LiveFigures(
            fleet.figures, desks.ota, lambda: desks.identities.revoked
        )
        indexes = {each.device_id: each.index for each in self._plan.devices}
        fleet.surround(
            lambda: surroundings_of(desks),
            identity=lambda device: desks.identities.identity(indexes[device]),
            server_unix_s=self._server_unix_s,
        )
        clock = FleetClock(fleet.now_ns)
        self._timeline = Timeline(
            self._plan.timeline,
            carry_out=Actions(desks).carry_out,
            figures=lambda: self._figures,
            clock=clock,
            journal=self._journal,
            look_every_ns=self._plan.look_every_ns,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._timeline.run())
                group.create_task(self._watch(fleet, clock))
        except ExceptionGroup as errors:
            raise first_error(errors) from errors

    def close(self, fleet: RunningFleet) -> None:
        """Settle the timeline and write the last live figures.

        Raises:
            RecordingError: They could not be written.
        """
        if self._timeline is None:
            return
        self._timeline.close()
        write_json(
            self._folder.path / FIGURES,
            {
                "figures": dict(self._figures),
                "cohorts": {
                    cohort.name: self._cohort_figures(fleet, cohort.index)
                    for cohort in self._plan.cohorts
                },
            },
        )

    def _cohort_figures(self, fleet: RunningFleet, cohort: int) -> dict[str, float]:
        plan = self._plan.cohorts[cohort]
        states = fleet.states().get(plan.name, {})
        total = max(1, plan.count)
        return {
            **{state: float(count) for state, count in states.items()},
            **{f"{state}_share": count / total for state, count in states.items()},
            "bundle_share": self._ota.bundle_share(cohort),
            "config_share": self._ota.config_share(cohort),
            "firmware_share": self._ota.firmware_share(cohort),
        }

    def _journal(
        self,
        entry: TimelinePlan,
        step: str,
        planned_ns: int,
        actual_ns: int,
        facts: Facts,
    ) -> None:
        self._folder.note(
            entry.key,
            planned_ns=planned_ns,
            actual_ns=actual_ns,
            entry=entry.index,
            name=entry.name,
            step=step,
            **facts,
        )
        self._noted(
            entry, step, {**facts, "planned_ns": planned_ns, "actual_ns": actual_ns}
        )

    # ------------------------------------------------------------ thresholds

    async def _watch(self, fleet: RunningFleet, clock: FleetClock) -> None:
        """End the run when a threshold that asks for it does not hold.

        From the end of the warm-up on: before, no figure has settled.
        """
        watched = [
            (threshold.expression, condition)
            for threshold in self._plan.thresholds
            if threshold.abort_on_fail
            and (condition := live_condition(threshold)) is not None
        ]
        if not watched:
            return
        await clock.sleep_until(self._plan.warm_up_ns)
        while (broken := self._broken(watched)) is None:
            await clock.sleep_until(clock.now_ns() + self._plan.look_every_ns)
        expression, value = broken
        now_ns = clock.now_ns()
        self._folder.note(
            ABORT,
            planned_ns=now_ns,
            actual_ns=now_ns,
            step="end",
            outcome="failed",
            expression=expression,
            value=value,
            reason=f"'{expression}' does not hold: the value is {value:g}",
        )
        fleet.abort()

    def _broken(
        self, watched: Sequence[tuple[str, Condition]]
    ) -> tuple[str, float] | None:
        for expression, condition in watched:
            if not condition.holds(self._figures):
                return expression, self._figures[condition.figure]
        return None

    # ------------------------------------------------------------ desks

    def _desks(self, fleet: RunningFleet) -> Desks:
        plan, target = self._plan, self._target
        now = calendar(self._epoch_unix_s, plan.time_scale, fleet.now_ns)
        registry = PkiRegistry(target.kit, now, self._prepared.keys)
        fronts: FrontDesk | None = None
        credentials: CredentialDesk | None = None
        if target.lab is not None and target.kit is not None:
            fronts = FrontDesk(
                LabFronts(target.lab),
                {
                    front.name: front.tls
                    for front in target.kit.settings.fronts
                    if front.tls is not None
                },
                self._keys_folder,
            )
            credentials = CredentialDesk(
                plan,
                fleet=fleet,
                lab=target.lab,
                credentials=target.kit.credentials,
            )
        return Desks(
            plan=plan,
            target=target,
            fleet=fleet,
            registry=registry,
            ota=OtaDesk(
                plan,
                control=target.control,
                fleet=fleet,
                settings=[binding.settings for binding in self._bindings],
                front_endpoint=self._front_endpoint,
                registry=registry,
                files=self._prepared.files,
            ),
            identities=IdentityDesk(
                plan,
                fleet=fleet,
                bindings=self._bindings,
                authorities=self._authorities,
                registry=registry,
                fronts=fronts,
                pools=self._prepared.pools,
                now=now,
            ),
            fronts=fronts,
            credentials=credentials,
            variables={
                "FLEETSIM_RUN_FOLDER": str(self._folder.path.resolve()),
                "FLEETSIM_ENDPOINT": endpoint_url(target.sites[0].endpoint),
            },
            secrets=tuple(
                secret
                for site in target.sites
                for secret in (
                    site.credentials.secret_key,
                    site.credentials.session_token,
                )
                if secret
            ),
        )

    def _front_endpoint(self, name: str, cohort: int) -> Endpoint:
        spec, address = self._plan.lab, self._target.address
        if spec is None or address is None or name not in address.fronts:
            raise ActionFailedError(f"there is no front {name}")
        style = self._plan.cohorts[cohort].profile.style
        return front_endpoint(spec, name, address.fronts[name][1], style)


def surroundings_of(desks: Desks) -> Surroundings:
    """What the proof that a device is stranded must know, as it is now."""
    spec, address = desks.plan.lab, desks.target.address
    fronts: tuple[FrontPlace, ...] = ()
    if spec is not None and address is not None and desks.fronts is not None:
        settings = desks.fronts.settings
        fronts = tuple(
            FrontPlace(each.name, address.fronts[each.name][1], settings.get(each.name))
            for each in spec.fronts
        )
    return Surroundings(
        fronts=fronts,
        known=tuple(each.certificate for each in desks.registry.authorities),
        accepted_keys=None if desks.credentials is None else desks.credentials.accepted,
    )


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group of groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
