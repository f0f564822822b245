"""Sites: the target of a run, brought up or looked up, and its control plane."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import assert_never

from fleetsim.core.settings import Credentials, Endpoint, RequestStyle, Security
from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.process import LabProcess
from fleetsim.lab.settings import FrontProgram, LabAddress
from fleetsim.runner.bindings import Site
from fleetsim.runner.lab_setup import CONTROL_FRONT, LabKit, build_lab
from fleetsim.runner.real_fronts import front_problems, with_front
from fleetsim.runner.relayed_path import RelayedPath, open_relays, wants_relay
from fleetsim.scenario.plan import CohortPlan, Plan
from fleetsim.scenario.specs import (
    EnvCredentials,
    LabCredentials,
    NamedEnvCredentials,
    ProfileCredentials,
)
from fleetsim.scenario.target_schema import LabSpec, TargetSpec
from fleetsim.target.aws_config import (
    credentials_from_variables,
    resolve_credentials,
    resolve_endpoint,
)
from fleetsim.target.control import ClientFiles, Control


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target that is up.

    Attributes:
        sites: By cohort index.
        control: Control plane of the bucket.
        kit: The lab's certificates, ``None`` with a real endpoint.
        lab: The lab's process, ``None`` with a real endpoint.
        address: Where its fronts listen, ``None`` likewise.
        path: Relays for faults on the way to a real endpoint, ``None`` = no faults.
    """

    sites: Sequence[Site]
    control: Control
    kit: LabKit | None
    lab: LabProcess | None
    address: LabAddress | None = None
    path: RelayedPath | None = None


@asynccontextmanager
async def open_target(
    plan: Plan,
    *,
    work_folder: Path,
    base_folder: Path,
    now: datetime,
    lab_cpu: int | None,
    create_bucket: bool,
    front_program: FrontProgram = FrontProgram.BUILTIN,
    client: ClientFiles | None = None,
) -> AsyncIterator[Target]:
    """Bring the target up, make sure it can be used, and take it down at the end.

    Args:
        plan: The plan.
        work_folder: Private folder for the lab's keys.
        base_folder: Folder that relative paths of the scenario refer to.
        now: Present time of the calendar, aware: run time 0.
        lab_cpu: Core for the lab's process; ``None`` = any.
        create_bucket: Make a missing bucket.
        front_program: What ends TLS at the fronts of the lab.
        client: Certificate that the control plane shows a real endpoint.

    Raises:
        InputError: Credentials, certificates or settings cannot be used.
        TargetError: The target cannot be used.
    """
    problems = tuple(front_problems(plan, front_program))
    if problems:
        raise InputError(problems)
    if plan.lab is not None:
        kit = build_lab(
            plan.lab,
            work_folder,
            now,
            base_folder=base_folder,
            calendar_scale=None
            if plan.calendar_epoch_unix_s is None
            else plan.time_scale,
        )
        lab = LabProcess()
        settings = with_front(kit.settings, front_program, work_folder)
        address = await lab.start(settings, cpu=lab_cpu)
        try:
            sites = [
                _lab_site(plan.lab, cohort, kit, address.fronts)
                for cohort in plan.cohorts
            ]
            control_endpoint = Endpoint(
                scheme="http",
                host=address.fronts[CONTROL_FRONT][0],
                port=address.fronts[CONTROL_FRONT][1],
                bucket=plan.lab.bucket,
                region=plan.lab.region,
            )
            async with Control(control_endpoint, kit.control_credentials) as control:
                await control.check_bucket(create=True)
                yield Target(
                    sites=sites, control=control, kit=kit, lab=lab, address=address
                )
        finally:
            await lab.stop()
    elif plan.target is not None:
        sites = real_sites(plan.target, plan.cohorts)
        ca_file = ca_file_of(plan.target, base_folder)
        first = sites[0]
        async with Control(
            first.endpoint,
            first.credentials,
            ca_file,
            client=client,
            look_up=partial(_credentials, plan.cohorts[0], resolve_credentials),
        ) as control:
            await control.check_bucket(create=create_bucket)
            async with AsyncExitStack() as stack:
                path = None
                if wants_relay(plan):
                    endpoints = [site.endpoint for site in sites]
                    path = await stack.enter_async_context(open_relays(endpoints))
                yield Target(
                    sites=sites, control=control, kit=None, lab=None, path=path
                )
    else:
        raise InputError(Problem("scenario", "neither a lab nor a target"))


def _lab_site(
    spec: LabSpec,
    cohort: CohortPlan,
    kit: LabKit,
    fronts: dict[str, tuple[str, int]],
) -> Site:
    return Site(
        endpoint=front_endpoint(
            spec, cohort.front, fronts[cohort.front][1], cohort.profile.style
        ),
        credentials=_credentials(cohort, lambda: kit.credentials),
    )


def front_endpoint(
    spec: LabSpec, name: str, port: int, style: RequestStyle
) -> Endpoint:
    """Endpoint of a front of the lab, for devices of a request style."""
    front = next(front for front in spec.fronts if front.name == name)
    return Endpoint(
        scheme="http" if front.security is Security.LOW else "https",
        host=front.host,
        port=port,
        bucket=spec.bucket,
        region=spec.region,
        style=style,
    )


def ca_file_of(spec: TargetSpec, base_folder: Path) -> Path | None:
    """PEM file the control plane trusts; ``None`` = ``AWS_CA_BUNDLE``, the system's."""
    return None if spec.ca_file is None else base_folder / spec.ca_file


def real_sites(spec: TargetSpec, cohorts: Sequence[CohortPlan]) -> list[Site]:
    """Look up endpoint and credentials of every cohort.

    Args:
        spec: The target.
        cohorts: The cohorts, by index.

    Raises:
        InputError: Every problem at once.
    """
    problems: list[Problem] = []
    sites: list[Site] = []
    for cohort in cohorts:
        try:
            endpoint = resolve_endpoint(
                spec.bucket,
                url=spec.endpoint,
                region=spec.region,
                style=spec.style or cohort.profile.style,
            )
            sites.append(
                Site(
                    endpoint=replace(endpoint, style=cohort.profile.style),
                    credentials=_credentials(cohort, resolve_credentials),
                )
            )
        except InputError as error:
            problems.extend(
                problem for problem in error.problems if problem not in problems
            )
    if problems:
        raise InputError(problems)
    return sites


def _credentials(cohort: CohortPlan, default: Callable[[], Credentials]) -> Credentials:
    match cohort.credentials:
        case LabCredentials():
            return default()
        case EnvCredentials():
            return resolve_credentials()
        case ProfileCredentials():
            return resolve_credentials(cohort.credentials.name)
        case NamedEnvCredentials():
            return credentials_from_variables(
                cohort.credentials.access_key_env,
                cohort.credentials.secret_key_env,
                cohort.credentials.session_token_env,
            )
        case _:
            assert_never(cohort.credentials)
