"""OtaDesk: puts bundles, configurations and firmware where the devices fetch them.

Every object is a real PUT by the control plane, one per device, as the maker's tools do
it. Devices look for them on their own timer; what they made of them is proved by the
device.json that they store afterwards (:class:`~fleetsim.runner.live_figures.Shares`).

Waves: the chosen devices in their seeded order, a share of them at a time, ``every`` so
often. While ``pause_when`` holds no further wave goes out; once it no longer holds they
go on where they stopped. An object that cannot be stored fails the entry after its wave:
a rollout that only seems complete is worse than one that stops.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from fleetsim.core import device_config
from fleetsim.core.bundle_file import read_bundle_file
from fleetsim.core.device import Reported
from fleetsim.core.device_settings import DeviceSettings
from fleetsim.core.object_key import bundle_key, config_key, firmware_key
from fleetsim.core.over_the_air import own_config
from fleetsim.core.settings import Endpoint
from fleetsim.engine.actions import Devices
from fleetsim.exceptions import InputError, Problem, TargetError
from fleetsim.pki.bundle import encode_bundle
from fleetsim.runner.front_actions import describe
from fleetsim.runner.pki_registry import PkiRegistry
from fleetsim.runner.timeline import ActionFailedError, Execution, Facts
from fleetsim.scenario.condition import Condition
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.selecting import select, waves_of
from fleetsim.scenario.timeline_schema import (
    BundleFault,
    PushBundle,
    PushConfig,
    PushFirmware,
    Selector,
    Waves,
)
from fleetsim.target.control import CONNECTIONS, Control

GARBAGE: Final = b"this is no certificate store\n" * 20
_MAX_BUNDLE_BYTES: Final = 1 << 20
_FIRMWARE_BYTES: Final = 4096
_NS_PER_S: Final = 1_000_000_000

PutObject = Callable[[int], Awaitable[bool]]
"""Stores the object of one device; ``False`` = it needs none."""

ProofIn = Callable[[Reported], str]
"""Takes what would prove an object out of a device.json."""


class OtaDesk:
    """Pushes objects to devices.

    Args:
        plan: The whole plan.
        control: Control plane of the bucket.
        fleet: The devices.
        settings: Settings of the devices at the start, by cohort index.
        front_endpoint: Endpoint of a front for a cohort index.
        registry: Certificates by name.
        files: Content of the bundle files that the timeline names, by path.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        control: Control,
        fleet: Devices,
        settings: Sequence[DeviceSettings],
        front_endpoint: Callable[[str, int], Endpoint],
        registry: PkiRegistry,
        files: Mapping[str, bytes],
    ) -> None:
        self._plan = plan
        self._control = control
        self._fleet = fleet
        self._settings = settings
        self._front_endpoint = front_endpoint
        self._registry = registry
        self._files = files
        self._bundles = _Newest()
        self._configs = _Newest()
        self._firmware = _Newest()
        self._configured: dict[int, DeviceSettings] = {}

    # ------------------------------------------------------------ actions

    async def push_bundle(self, execution: Execution, action: PushBundle) -> Facts:
        """PUT ``<ID>/certs_server.p7b``."""
        data = self._bundle_bytes(action)
        proof = _fingerprint(data)
        facts: Facts = {
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest().upper(),
            "certificates": [
                describe(self._registry.certificate(name))
                for name in action.certificates
            ],
        }
        if action.fault is not None:
            facts["fault"] = action.fault.value

        async def put(index: int) -> bool:
            await self._control.put(bundle_key(self._id(index)), data)
            self._bundles.pushed(index, proof)
            return True

        return facts | await self._push(
            execution, action.to, action.waves, action.pause_when, put
        )

    async def push_config(self, execution: Execution, action: PushConfig) -> Facts:
        """PUT ``<ID>/config-MM.mm.json``, on top of earlier ones."""
        crcs: set[str] = set()

        async def put(index: int) -> bool:
            settings = self._changed(index, action)
            body = own_config(settings)
            crc32 = device_config.crc32(body)
            crcs.add(crc32)
            key = config_key(self._id(index), self._fw_ver(index))
            await self._control.put(key, body)
            self._configured[index] = settings
            self._configs.pushed(index, crc32)
            return True

        facts = await self._push(
            execution, action.to, action.waves, action.pause_when, put
        )
        facts["crc32"] = sorted(crcs)
        if action.front is not None:
            facts["front"] = action.front
        return facts

    async def push_firmware(self, execution: Execution, action: PushFirmware) -> Facts:
        """PUT ``<ID>/firmware.bin``, skipping devices that have it.

        As the maker's tool demands, a configuration for the new version is there
        first: the version is part of its name.
        """

        async def put(index: int) -> bool:
            old = self._fw_ver(index)
            self._firmware.pushed(index, action.version)
            if old == action.version:
                return False
            settings = self._settings_of(index)
            device_id = self._id(index)
            if old[:5] != action.version[:5]:
                await self._control.put(
                    config_key(device_id, action.version), own_config(settings)
                )
            await self._control.put(
                firmware_key(device_id),
                firmware(settings.profile.identity.type_code, action.version),
            )
            return True

        facts = await self._push(
            execution, action.to, action.waves, action.pause_when, put
        )
        return {"version": action.version} | facts

    # ------------------------------------------------------------ proofs

    def bundle_share(self, cohort: int | None = None) -> float:
        """Share of the fleet whose device.json lists exactly its newest bundle."""
        return self._share(self._bundles, lambda said: said.bundle.fingerprint, cohort)

    def config_share(self, cohort: int | None = None) -> float:
        """Share of the fleet whose device.json has its newest configuration."""
        return self._share(self._configs, lambda said: said.config_crc32, cohort)

    def firmware_share(self, cohort: int | None = None) -> float:
        """Share of the fleet whose device.json has its newest firmware."""
        return self._share(self._firmware, lambda said: said.fw_ver, cohort)

    def _share(self, newest: "_Newest", proof_in: ProofIn, cohort: int | None) -> float:
        devices = self._plan.devices
        count = 0
        for proof, pushed in newest.by_proof.items():
            indexes: Iterable[int] = pushed
            if cohort is not None:
                indexes = [i for i in pushed if devices[i].cohort == cohort]
            count += self._fleet.count_reported(_shows(proof, proof_in), indexes)
        total = len(devices) if cohort is None else self._plan.cohorts[cohort].count
        return count / max(1, total)

    # ------------------------------------------------------------ waves

    async def _push(
        self,
        execution: Execution,
        to: Selector,
        waves: Waves | None,
        pause_when: Condition | None,
        put: PutObject,
    ) -> Facts:
        chosen = select(self._plan, to)
        parts = waves_of(chosen, 1.0 if waves is None else waves.share)
        every_ns = 0 if waves is None else round(waves.every * _NS_PER_S)
        facts: Facts = {"devices": len(chosen), "waves": len(parts), "stored": 0}
        due_ns = execution.planned_ns
        for number, part in enumerate(parts, start=1):
            if number > 1:
                await execution.clock.sleep_until(due_ns)
                if pause_when is not None:
                    due_ns += await self._pause(execution, pause_when, number)
            stored, trouble = await self._put_all(part, put)
            facts["stored"] += stored
            facts["sent_waves"] = number
            execution.note(
                "wave",
                planned_ns=due_ns,
                wave=number,
                of=len(parts),
                devices=len(part),
                stored=stored,
            )
            if trouble:
                raise ActionFailedError(
                    f"{len(trouble)} of {len(part)} objects could not be stored; "
                    f"the first: {trouble[0]}",
                    facts,
                )
            due_ns += every_ns
        return facts

    async def _pause(
        self, execution: Execution, condition: Condition, number: int
    ) -> int:
        """Wait while a condition holds; returns the delay, ns."""
        if not execution.holds(condition):
            return 0
        begin_ns = execution.clock.now_ns()
        execution.note("paused", before_wave=number, condition=str(condition))
        while execution.holds(condition):
            await execution.look_again()
        execution.note("resumed", before_wave=number)
        return execution.clock.now_ns() - begin_ns

    async def _put_all(
        self, indexes: Sequence[int], put: PutObject
    ) -> tuple[int, list[str]]:
        """Store the objects of many devices, as many at once as there are connections."""
        waiting = iter(indexes)
        stored = 0
        trouble: list[str] = []

        async def work() -> None:
            nonlocal stored
            for index in waiting:
                try:
                    is_stored = await put(index)
                except TargetError as error:
                    trouble.append(f"{self._id(index)}: {error}")
                else:
                    stored += is_stored

        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONNECTIONS, len(indexes))):
                group.create_task(work())
        return stored, trouble

    # ------------------------------------------------------------ contents

    def _bundle_bytes(self, action: PushBundle) -> bytes:
        match action.fault:
            case BundleFault.EMPTY:
                return b""
            case BundleFault.GARBAGE:
                return GARBAGE
            case _:
                data = (
                    self._files[action.file]
                    if action.file is not None
                    else encode_bundle(
                        [
                            self._registry.certificate(name)
                            for name in action.certificates
                        ]
                    )
                )
        return data[: len(data) // 2] if action.fault is not None else data

    def _changed(self, index: int, action: PushConfig) -> DeviceSettings:
        settings = self._settings_of(index)
        work = settings.workload
        if action.heartbeat is not None:
            work = replace(work, heartbeat_s=action.heartbeat)
        if action.ota is not None:
            work = replace(work, ota_s=action.ota)
        endpoint = settings.endpoint
        if action.front is not None:
            cohort = self._plan.devices[index].cohort
            endpoint = self._front_endpoint(action.front, cohort)
        return replace(settings, workload=work, endpoint=endpoint)

    def _settings_of(self, index: int) -> DeviceSettings:
        """What the device was last told, whether or not it has noticed yet."""
        configured = self._configured.get(index)
        if configured is not None:
            return configured
        return self._settings[self._plan.devices[index].cohort]

    def _id(self, index: int) -> str:
        return self._plan.devices[index].device_id

    def _fw_ver(self, index: int) -> str:
        """Firmware by the last device.json, as the maker's tools look it up."""
        reported = self._fleet.reported(index)
        if reported is not None:
            return reported.fw_ver
        return self._settings_of(index).profile.identity.fw_ver


def _shows(proof: str, proof_in: ProofIn) -> Callable[[Reported], bool]:
    return lambda said: proof_in(said) == proof


class _Newest:
    """What was last pushed to whom, by what would prove it in a device.json.

    Attributes:
        by_proof: Devices by proof; those whose object nothing can prove are left out.
    """

    __slots__ = ("_proofs", "by_proof")

    def __init__(self) -> None:
        self.by_proof: dict[str, dict[int, None]] = {}
        self._proofs: dict[int, str] = {}

    def pushed(self, index: int, proof: str) -> None:
        """Note a push; an empty proof = no device.json can prove it."""
        before = self._proofs.pop(index, "")
        if before:
            self.by_proof[before].pop(index, None)
        if proof:
            self._proofs[index] = proof
            self.by_proof.setdefault(proof, {})[index] = None


def _fingerprint(data: bytes) -> str:
    """Fingerprint of a bundle that loads whole, as a device has it; empty = damaged."""
    content = read_bundle_file(data)
    if content.problems:
        return ""
    whole = hashlib.sha256()
    for der in content.certificates:
        whole.update(der)
    return whole.hexdigest()


def firmware(type_code: str, version: str) -> bytes:
    """Make a firmware file: device type in bytes 0 to 3, version in 4 to 6.

    The rest is blank: a virtual device runs none of it (``device.md`` section 4).
    """
    header = bytes.fromhex(type_code) + bytes(int(part) for part in version.split("."))
    return header.ljust(_FIRMWARE_BYTES, b"\0")


def read_files(plan: Plan, base_folder: Path) -> dict[str, bytes]:
    """Read the bundle files that the timeline names, before anything runs.

    Raises:
        InputError: With every file that cannot be read or is far too large.
    """
    problems: list[Problem] = []
    found: dict[str, bytes] = {}
    for entry in plan.timeline:
        if not isinstance(entry.action, PushBundle) or entry.action.file is None:
            continue
        path = base_folder / entry.action.file
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BUNDLE_BYTES + 1)
        except OSError as error:
            problems.append(Problem(str(path), error.strerror or str(error)))
            continue
        if len(data) > _MAX_BUNDLE_BYTES:
            problems.append(
                Problem(str(path), f"is larger than {_MAX_BUNDLE_BYTES} bytes")
            )
        found[entry.action.file] = data
    if problems:
        raise InputError(problems)
    return found
