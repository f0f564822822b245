"""Pushing: puts one object for many devices, as the maker's tools do.

The object is judged before anything is sent, by the rules of the devices it is for: a
bundle that a device would refuse, a configuration it could not read or a firmware
without a version reaches nobody unless that is insisted on.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final, assert_never

from fleetsim.core import device_config
from fleetsim.core.object_key import is_device_id
from fleetsim.core.over_the_air import firmware_version
from fleetsim.core.settings import BundleRules, DeviceProfile
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, load_bundle
from fleetsim.exceptions import InputError, Problem, TargetError
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.target.control import CONNECTIONS, Control

MAX_OBJECT_BYTES: Final = 64 << 20

_CONFIG_NAME: Final = re.compile(r"config-\d{2}\.\d{2}\.json")


@unique
class ObjectKind(StrEnum):
    """What a device looks for under its own id (CANedge documentation, "OTA")."""

    BUNDLE = "bundle"  # certs_server.p7b
    CONFIG = "config"  # config-MM.mm.json
    FIRMWARE = "firmware"  # firmware.bin


@dataclass(frozen=True, slots=True, kw_only=True)
class PushObject:
    """An object for devices.

    Attributes:
        name: Name below the device id, such as ``certs_server.p7b``.
        kind: What it is.
        data: Its content.
    """

    name: str
    kind: ObjectKind
    data: bytes

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, hex."""
        return hashlib.sha256(self.data).hexdigest()

    def keys(self, devices: Iterable[str]) -> Iterator[str]:
        """Its object key for each device."""
        return (f"{device}/{self.name}" for device in devices)


def kind_of(name: str, where: str) -> ObjectKind:
    """Tell what an object of this name is.

    Args:
        name: Without the device id.
        where: For the problem.

    Raises:
        InputError: Devices look for nothing of that name.
    """
    if name == "certs_server.p7b":
        return ObjectKind.BUNDLE
    if name == "firmware.bin":
        return ObjectKind.FIRMWARE
    if _CONFIG_NAME.fullmatch(name):
        return ObjectKind.CONFIG
    what = (
        f"devices look for certs_server.p7b, config-MM.mm.json and firmware.bin, not "
        f"{name[:100]!r}; --as gives it another name"
    )
    raise InputError(Problem(where, what))


def faults_of(
    pushed: PushObject, rules: Sequence[BundleRules], where: str
) -> tuple[Problem, ...]:
    """Why devices would not take an object; empty = they would.

    Args:
        pushed: The object.
        rules: Bundle rules of the devices it is for.
        where: Name of the file, for the problems.
    """
    match pushed.kind:
        case ObjectKind.BUNDLE:
            found: dict[Problem, None] = {}
            for each in rules:
                for refusal in load_bundle(pushed.data, each, EMPTY_BUNDLE).refusals:
                    what = f"{refusal.certificate}: {refusal.rule}: {refusal.detail}"
                    found[Problem(where, what)] = None
            return tuple(found)
        case ObjectKind.CONFIG:
            try:
                device_config.parse(pushed.data, where)
            except InputError as error:
                return error.problems
            return ()
        case ObjectKind.FIRMWARE:
            if firmware_version(pushed.data) is None:
                return (Problem(where, "holds no firmware header with a version"),)
            return ()
        case _:
            assert_never(pushed.kind)


def plan_for(
    target: Mapping[str, Any],
    profile: str,
    load_profile: Callable[[str], DeviceProfile],
) -> Plan:
    """Plan nothing but a target: for devices that no scenario describes.

    Args:
        target: The ``target`` table of a scenario; values of ``None`` are left out.
        profile: Name of the devices' profile.
        load_profile: Gives the profile of a name.

    Raises:
        InputError: All problems of the target, or the profile cannot be loaded.
    """
    written = {name: value for name, value in target.items() if value is not None}
    data = {
        "version": 1,
        "name": "push",
        "duration": "1s",
        "target": written,
        "cohorts": [
            {"name": "devices", "count": 1, "profile": profile, "trust": "empty"}
        ],
    }
    try:
        scenario = parse_scenario(json.dumps(data), "", load_profile)
    except InputError as error:
        raise InputError(
            Problem(_option(each.where), each.what) for each in error.problems
        ) from error
    return make_plan(scenario, load_profile)


def _option(where: str) -> str:
    """The option that filled a field of the scenario."""
    return f"--{where.rpartition('.')[2].rpartition(' ')[2].replace('_', '-')}"


def devices_of(
    plan: Plan | None, cohorts: Sequence[str], ids: Sequence[str]
) -> tuple[str, ...]:
    """Choose devices: those of a plan or of some of its cohorts, or by id.

    Args:
        plan: Of a scenario; ``None`` = there is none.
        cohorts: Names; empty = all.
        ids: Device ids; they alone when given without cohorts.

    Raises:
        InputError: Every name and id that is none, or nothing is chosen.
    """
    problems = [
        Problem("--device", f"{each[:100]!r} is no device id: eight hex digits, A-F")
        for each in ids
        if not is_device_id(each)
    ]
    known = {} if plan is None else {each.name: each.index for each in plan.cohorts}
    problems += [
        Problem(
            "--cohort", f"there is no cohort {each[:100]!r}{did_you_mean(each, known)}"
        )
        for each in cohorts
        if each not in known
    ]
    if problems:
        raise InputError(problems)
    chosen = dict.fromkeys(ids)
    if plan is not None and (cohorts or not ids):
        indexes = {known[each] for each in cohorts} or set(known.values())
        chosen |= dict.fromkeys(
            d.device_id for d in plan.devices if d.cohort in indexes
        )
    if not chosen:
        raise InputError(
            Problem("push", "name a scenario, or devices with --device ID")
        )
    return tuple(chosen)


async def push(control: Control, pushed: PushObject, devices: Sequence[str]) -> int:
    """Store an object for every device.

    Args:
        control: Control plane of the bucket.
        pushed: The object.
        devices: Device ids.

    Returns:
        For how many devices it was stored: all of them.

    Raises:
        TargetError: At the first one that could not be stored; says how many were.
    """
    keys = pushed.keys(devices)
    stored = 0

    async def put_keys() -> None:
        nonlocal stored
        for key in keys:
            await control.put(key, pushed.data)
            stored += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONNECTIONS, len(devices))):
                group.create_task(put_keys())
    except* TargetError as errors:
        first = errors.exceptions[0]
        if not isinstance(first, TargetError):
            raise
        what = f"{first.what}; stored for {stored:,} of {len(devices):,} devices"
        raise TargetError(first.where, what) from first
    return stored
