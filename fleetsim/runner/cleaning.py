"""Cleaning: delete what a run stored, at its end or later, from its folder."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fleetsim.core.outcomes import CleanOutcome
from fleetsim.core.settings import Endpoint, RequestStyle
from fleetsim.exceptions import InputError, Problem
from fleetsim.profiles import catalog
from fleetsim.recording.outcomes import write_clean
from fleetsim.recording.run_folder import RunOutcome, read_manifest
from fleetsim.recording.stored_keys import StoredKeys
from fleetsim.runner.control_plane import open_control
from fleetsim.runner.sites import Target
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario
from fleetsim.target.clean import Window, clean
from fleetsim.target.control import Control, StoredObject
from fleetsim.target.explain import place

_NS_PER_S: Final = 1_000_000_000
_GRACE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run whose objects are to be deleted, with its bucket open.

    Attributes:
        folder: Its folder.
        where: The bucket, for people: ``https://host:port/bucket``.
        control: Control plane of the bucket.
        stored: What the run wrote.
        window: When.
    """

    folder: Path
    where: str
    control: Control
    stored: StoredKeys
    window: Window

    async def clean(
        self,
        *,
        dry_run: bool = False,
        on_object: Callable[[StoredObject], None] = lambda _: None,
    ) -> CleanOutcome:
        """Delete what the run stored, or find out what that would be.

        Args:
            dry_run: Delete nothing, write nothing.
            on_object: Told about every object before it is deleted.

        Raises:
            RecordingError: ``clean.json`` cannot be written.
        """
        found = await clean(
            self.control,
            self.stored,
            self.window,
            dry_run=dry_run,
            on_object=on_object,
        )
        if not dry_run:
            write_clean(self.folder, found)
        return found


def target_facts(plan: Plan, target: Target, base_folder: Path) -> dict[str, Any]:
    """What the manifest keeps of a real target, so that its bucket is found again.

    Returns:
        Endpoint, region, style and bucket as resolved for the run, and the folder that
        paths of the scenario refer to; empty for a lab. No secret.
    """
    if plan.target is None:
        return {}
    endpoint = target.sites[0].endpoint
    return {
        "scheme": endpoint.scheme,
        "host": endpoint.host,
        "port": endpoint.port,
        "bucket": endpoint.bucket,
        "region": endpoint.region,
        "style": endpoint.style.value,
        "base_folder": str(base_folder.absolute()),
    }


async def clean_now(
    plan: Plan, control: Control, folder: Path, started: datetime
) -> CleanOutcome:
    """Delete what a run stored that has just ended; writes ``clean.json``.

    Args:
        plan: Its plan.
        control: Control plane of the bucket.
        folder: Run folder.
        started: Its start, aware.

    Raises:
        InputError: The records cannot be read.
        RecordingError: The outcome cannot be written.
    """
    # With a calendar the lab dates objects by it.
    has_calendar = plan.calendar_epoch_unix_s is not None
    window = None if has_calendar else Window(started, datetime.now(UTC))
    stored = await asyncio.to_thread(StoredKeys, folder)
    found = await clean(control, stored, window)
    write_clean(folder, found)
    return found


@asynccontextmanager
async def open_past_run(folder: Path) -> AsyncIterator[PastRun]:
    """Open the bucket of an earlier run, with the credentials its scenario names.

    Args:
        folder: Run folder, of a finished or a killed run.

    Raises:
        InputError: No run folder, a run that goes on, a lab, no credentials.
        TargetError: The target cannot be used.
    """
    manifest = read_manifest(folder)
    facts = manifest.get("target") or {}
    base_folder = Path(str(facts.get("base_folder", ".")))
    plan = _plan_of(folder, manifest, base_folder)
    if plan.target is None:
        what = "this run used the embedded lab, whose bucket ended with it"
        raise InputError(Problem(str(folder), what))
    endpoint = _endpoint_of(folder, facts) if facts else None
    stored = StoredKeys(folder)
    window = _window_of(folder, manifest, stored)
    async with open_control(
        plan, base_folder=base_folder, endpoint=endpoint
    ) as control:
        yield PastRun(
            folder=folder,
            where=place(control.endpoint),
            control=control,
            stored=stored,
            window=window,
        )


def _plan_of(folder: Path, manifest: dict[str, Any], base_folder: Path) -> Plan:
    try:
        scenario = Scenario.model_validate(manifest.get("scenario"))
    except ValidationError as exc:
        what = "its manifest holds no scenario that can be read"
        raise InputError(Problem(str(folder), what)) from exc
    return make_plan(scenario, lambda name: catalog.load(name, base_folder).profile)


def _endpoint_of(folder: Path, facts: dict[str, Any]) -> Endpoint:
    try:
        return Endpoint(
            scheme=str(facts["scheme"]),
            host=str(facts["host"]),
            port=int(facts["port"]),
            bucket=str(facts["bucket"]),
            region=str(facts["region"]),
            style=RequestStyle(facts["style"]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        what = f"its manifest names no target that can be read: {exc!r}"
        raise InputError(Problem(str(folder), what)) from exc


def _window_of(folder: Path, manifest: dict[str, Any], stored: StoredKeys) -> Window:
    try:
        started = datetime.fromisoformat(str(manifest["started"]))
        ended = manifest.get("ended")
        if ended:
            return Window(started, datetime.fromisoformat(str(ended)))
    except (KeyError, ValueError) as exc:
        what = f"its manifest does not say when it was: {exc!r}"
        raise InputError(Problem(str(folder), what)) from exc
    # Killed, or still going on: only the records know how far it came.
    last = started + timedelta(seconds=stored.last_ns / _NS_PER_S)
    if manifest.get("outcome") == RunOutcome.RUNNING:
        quiet = (datetime.now(UTC) - last).total_seconds()
        if quiet < _GRACE_S:
            what = (
                f"this run seems to go on: its last attempt was {quiet:.0f} s ago; "
                "end it first, or wait a minute if it was killed"
            )
            raise InputError(Problem(str(folder), what))
    return Window(started, last + timedelta(seconds=_GRACE_S))
