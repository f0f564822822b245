"""Control plane: the bucket of a plan's target, opened without a run."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from fleetsim.core.settings import Endpoint
from fleetsim.exceptions import InputError, Problem
from fleetsim.runner.control_identity import control_identity
from fleetsim.runner.device_pki import load_device_pkis
from fleetsim.runner.sites import ca_file_of, real_sites
from fleetsim.scenario.plan import Plan
from fleetsim.target.control import Control


@asynccontextmanager
async def open_control(
    plan: Plan,
    *,
    base_folder: Path,
    endpoint: Endpoint | None = None,
    create_bucket: bool = False,
) -> AsyncIterator[Control]:
    """Open the control plane of a plan, as a run of it would.

    Args:
        plan: Its first cohort says whose credentials are used.
        base_folder: Folder that relative paths of the scenario refer to.
        endpoint: Where the bucket is; ``None`` = where the plan and the environment say.
        create_bucket: Make a missing bucket.

    Raises:
        InputError: There is no real target, or credentials or files cannot be used.
        TargetError: The target cannot be used.
    """
    if plan.target is None:
        what = "uses the embedded lab, whose bucket is gone when its run is over"
        raise InputError(Problem(plan.name, what))
    site = real_sites(plan.target, plan.cohorts[:1])[0]
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="fleetsim-") as scratch:
        client = control_identity(
            plan,
            load_device_pkis(plan, base_folder, now),
            base_folder=base_folder,
            work_folder=Path(scratch),
            now=now,
        )
        async with Control(
            endpoint or site.endpoint,
            site.credentials,
            ca_file_of(plan.target, base_folder),
            client=client,
        ) as control:
            await control.check_bucket(create=create_bucket)
            yield control
