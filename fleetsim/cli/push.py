"""``fleetsim push``: put an object where devices fetch it over the air."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from fleetsim.cli.options import ProfileName, Seed, Settings, load_scenario
from fleetsim.core.outcomes import StoredKey
from fleetsim.core.settings import DeviceProfile, RequestStyle
from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.files import read_file
from fleetsim.profiles import catalog
from fleetsim.runner.control_plane import open_control
from fleetsim.runner.pushing import (
    MAX_OBJECT_BYTES,
    PushObject,
    devices_of,
    faults_of,
    kind_of,
    plan_for,
    push,
)
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.target.explain import place


def push_command(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="certs_server.p7b, config-MM.mm.json or firmware.bin."),
    ],
    *,
    scenario: Annotated[
        str | None,
        typer.Option(
            metavar="SCENARIO", help="Its target and its devices; else --bucket."
        ),
    ] = None,
    settings: Settings = None,
    seed: Seed = None,
    cohort: Annotated[
        list[str] | None,
        typer.Option(help="Only devices of this cohort of the scenario; several."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="This device, eight hex digits; several."),
    ] = None,
    bucket: Annotated[
        str | None, typer.Option(help="Bucket, without a scenario.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="http(s)://host[:port]; left out = AWS_ENDPOINT_URL_S3, the AWS "
            "profile, AWS itself."
        ),
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Region; left out = AWS_REGION, the AWS profile.")
    ] = None,
    style: Annotated[
        RequestStyle | None, typer.Option(help="Where the bucket name goes.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="PEM file to trust; left out = AWS_CA_BUNDLE, the system's."),
    ] = None,
    profile: ProfileName = "canedge2",
    name: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help="Object name, if not the file's own."
        ),
    ] = None,
    create_bucket: Annotated[
        bool,
        typer.Option(
            "--create-bucket",
            help="Make a missing bucket.",
            envvar="FLEETSIM_CREATE_BUCKET",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also what the devices would refuse.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-n", help="Check the file and print the keys; send nothing."
        ),
    ] = False,
) -> None:
    """Put a trust bundle, configuration or firmware where devices fetch it.

    The file is judged by the rules of the devices first. Credentials come from the
    usual AWS places, or from where the scenario says.

    Examples:
      fleetsim push certs_server.p7b --scenario my-fleet.yaml --cohort vehicles
      fleetsim push new.p7b --as certs_server.p7b --bucket fleet --device 2F6B91A0
    """
    pushed = _object(file, name or file.name)
    plan, base_folder = _plan(
        ctx,
        scenario,
        overrides=settings or [],
        seed=seed,
        profile=profile,
        target={
            "bucket": bucket,
            "endpoint": endpoint,
            "region": region,
            "style": None if style is None else style.value,
            "ca_file": None if ca_file is None else str(ca_file.absolute()),
        },
    )
    devices = devices_of(
        None if scenario is None else plan,
        cohort or [],
        [each.upper() for each in device or []],
    )
    rules = [each.profile.bundle for each in plan.cohorts]
    faults = faults_of(pushed, rules, str(file))
    if faults and not force:
        raise InputError(faults)
    for fault in faults:
        typer.echo(str(fault), err=True)
    if dry_run:
        sys.stdout.writelines(f"{key}\n" for key in pushed.keys(devices))
        return
    stored = 0

    def note(_stored: StoredKey) -> None:
        nonlocal stored
        stored += 1

    try:
        where = uvloop.run(
            _push(
                plan,
                base_folder,
                pushed,
                devices,
                create_bucket=create_bucket,
                on_put=note,
            )
        )
    except KeyboardInterrupt:
        how_far = f"stored for {stored:,} of {len(devices):,} devices"
        typer.echo(f"interrupted: {how_far}", err=True)
        raise
    typer.echo(
        f"stored {len(pushed.data):,} bytes (SHA-256 {pushed.sha256}) for "
        f"{len(devices):,} device{'' if len(devices) == 1 else 's'}: {where}/<ID>/{pushed.name}"
    )


def _object(file: Path, name: str) -> PushObject:
    """Read what is to be pushed."""
    kind = kind_of(name, str(file))
    data = read_file(file, max_bytes=MAX_OBJECT_BYTES)
    return PushObject(name=name, kind=kind, data=data)


def _plan(
    ctx: typer.Context,
    scenario: str | None,
    *,
    overrides: list[str],
    seed: int | None,
    profile: str,
    target: dict[str, str | None],
) -> tuple[Plan, Path]:
    """Plan of the scenario, or of the target that the options name, and its folder."""
    given = [f"--{name.replace('_', '-')}" for name, each in target.items() if each]
    if scenario is None:
        if not target["bucket"]:
            raise InputError(Problem("push", "give --scenario or --bucket"))
        here = Path.cwd()
        return plan_for(target, profile, partial(_load_profile, here)), here
    if given:
        what = "the scenario names the target: change it with --set target.…"
        raise InputError(Problem(" ".join(given), what))
    path, parsed, load_profile = load_scenario(ctx, scenario, overrides)
    return make_plan(parsed, load_profile, seed), path.parent


def _load_profile(folder: Path, name: str) -> DeviceProfile:
    return catalog.load(name, folder).profile


async def _push(
    plan: Plan,
    base_folder: Path,
    pushed: PushObject,
    devices: Sequence[str],
    *,
    create_bucket: bool,
    on_put: Callable[[StoredKey], None],
) -> str:
    """Send it; returns the bucket, for people."""
    async with open_control(
        plan, base_folder=base_folder, create_bucket=create_bucket
    ) as control:
        control.on_put = on_put
        await push(control, pushed, devices)
        return place(control.endpoint)
