"""DevicePki: PKI folders of somebody's own that devices take their certificates from.

A device that has a certificate in the folder uses that one, revoked or not: whoever
keeps revocation lists on a server can see what they do. Any other device gets one
issued for the run, which leaves no trace in the folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import Authority
from fleetsim.pki.folder import load_folder
from fleetsim.pki.identities import DeviceIdentity
from fleetsim.pki.index import Kind
from fleetsim.pki.inventory import load_devices
from fleetsim.scenario.plan import Plan


@dataclass(frozen=True, slots=True)
class DevicePki:
    """A PKI folder as the devices of a plan see it.

    Attributes:
        authority: Issues what is missing.
        issued: Current identities of devices of the plan, by device id.
    """

    authority: Authority
    issued: Mapping[str, DeviceIdentity]


def load_device_pkis(
    plan: Plan, base_folder: Path, now: datetime
) -> dict[str, DevicePki]:
    """Read every PKI folder that cohorts name.

    Args:
        plan: The plan.
        base_folder: Folder that relative paths of the scenario refer to.
        now: Present time, aware: authorities must be valid then.

    Returns:
        By the name the scenario gives.

    Raises:
        InputError: With the problems of all folders.
    """
    found: dict[str, DevicePki] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(cohort.client_pki for cohort in plan.cohorts):
        if not name:
            continue
        cohorts = {each.index for each in plan.cohorts if each.client_pki == name}
        ids = {each.device_id for each in plan.devices if each.cohort in cohorts}
        try:
            folder = load_folder(base_folder / name, issuing_at=now)
            known = [each.name for each in folder.index.of_kind(Kind.DEVICE)]
            devices = load_devices(
                folder, tuple(dict.fromkeys(one for one in known if one in ids))
            )
        except InputError as error:
            problems.extend(error.problems)
            continue
        found[name] = DevicePki(
            folder.device_authority, {each.device_id: each for each in devices}
        )
    if problems:
        raise InputError(problems)
    return found
