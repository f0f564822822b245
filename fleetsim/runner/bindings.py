"""Bindings: the cohorts of a plan, resolved to endpoints, keys, trust and identities."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetsim.core.device_settings import DeviceSettings, RunClock
from fleetsim.core.payload import PayloadBlock
from fleetsim.core.settings import Credentials, Endpoint, Security
from fleetsim.core.sigv4 import Signer
from fleetsim.core.trust_bundle import (
    EMPTY_BUNDLE,
    BundleOutcome,
    Refusal,
    load_bundle,
)
from fleetsim.engine.fleet import CohortBinding
from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import Authority
from fleetsim.pki.bundle import encode_bundle
from fleetsim.pki.certificates import Validity
from fleetsim.pki.identities import DeviceIdentity, issue_devices
from fleetsim.pki.keys import KeyType
from fleetsim.runner.lab_setup import CLOCK_SLACK, LabKit
from fleetsim.scenario.plan import CohortPlan, DevicePlan, Plan
from fleetsim.scenario.specs import EmptyTrust, FileTrust, LabTrust
from fleetsim.scenario.timeline_schema import PushConfig
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_context import check_group

DEVICE_LIFETIME: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a cohort uploads to, known only once the target is up.

    Attributes:
        endpoint: S3 endpoint for its devices.
        credentials: Keys they sign with.
    """

    endpoint: Endpoint
    credentials: Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBundle:
    """A trust bundle that the devices of a cohort did not load whole.

    Attributes:
        cohort: Cohort name.
        refusals: What was refused and why.
    """

    cohort: str
    refusals: tuple[Refusal, ...]


def bind(
    plan: Plan,
    sites: Sequence[Site],
    *,
    kit: LabKit | None,
    authorities: Mapping[str, Authority],
    base_folder: Path,
    now: datetime,
    issued: Mapping[str, Mapping[str, DeviceIdentity]] | None = None,
) -> tuple[list[CohortBinding], list[RefusedBundle]]:
    """Resolve every cohort.

    Args:
        plan: The plan, or a shard of it.
        sites: By cohort index.
        kit: The lab, when the plan has one.
        authorities: Device authority of each PKI folder that cohorts name.
        base_folder: Folder that relative paths of the scenario refer to.
        now: Present time, aware: run time 0.
        issued: Identities that devices already have, by PKI folder and device id.

    Returns:
        Bindings by cohort index, and the bundles that the devices refused at the
        start. A refused bundle is the device's business: it goes on as its profile
        says, usually without trust.

    Raises:
        InputError: A bundle file cannot be read, a key type cannot be made.
    """
    _check_groups(plan)
    clock = RunClock(int(now.timestamp() * 1e9))
    payload = PayloadBlock(seed=plan.seed)
    bindings, refused = [], []
    for cohort in plan.cohorts:
        site = sites[cohort.index]
        settings = DeviceSettings(
            cohort=cohort.name,
            profile=cohort.profile,
            cipher_table=cohort.cipher_table,
            security=cohort.security,
            workload=cohort.workload,
            endpoint=site.endpoint,
            credentials=site.credentials,
            signer=Signer(site.credentials, site.endpoint),
            clock=clock,
            payload=payload,
            load_end_ns=plan.duration_ns,
        )
        loaded = starting_bundle(cohort, kit, base_folder)
        if loaded.refusals:
            refused.append(RefusedBundle(cohort=cohort.name, refusals=loaded.refusals))
        bindings.append(
            CohortBinding(
                settings=settings,
                bundle=loaded.bundle,
                sdk=cohort.sdk,
                identity=_identities(
                    cohort,
                    (
                        device
                        for device in plan.devices
                        if device.cohort == cohort.index
                    ),
                    kit=kit,
                    authorities=authorities,
                    now=now,
                    issued=(issued or {}).get(cohort.client_pki, {}),
                ),
            )
        )
    return bindings, refused


def _check_groups(plan: Plan) -> None:
    """Refuse cipher groups that this machine's OpenSSL cannot offer."""
    may_become_tls = any(isinstance(e.action, PushConfig) for e in plan.timeline)
    problems = [
        Problem(f"cohort {cohort.name}: {group.name}", str(problem))
        for cohort in plan.cohorts
        if cohort.security is not Security.LOW or may_become_tls
        for group in cohort.cipher_table.groups
        for problem in check_group(group, cohort.profile.tls)
    ]
    if problems:
        raise InputError(problems)


def starting_bundle(
    cohort: CohortPlan, kit: LabKit | None, base_folder: Path
) -> BundleOutcome:
    """Load the bundle of a cohort as its devices do: from the bytes of a file.

    Raises:
        InputError: The file cannot be read, or there is no lab to trust.
    """
    match cohort.trust:
        case EmptyTrust():
            data = b""
        case FileTrust():
            data = _read(
                base_folder / cohort.trust.path, cohort.profile.bundle.max_bytes
            )
        case LabTrust():
            if kit is None:
                raise InputError(
                    Problem(f"cohort {cohort.name}: trust", "there is no lab to trust")
                )
            data = encode_bundle([kit.anchor(cohort.trust.anchor, cohort.front)])
        case _:
            assert_never(cohort.trust)
    return load_bundle(data, cohort.profile.bundle, EMPTY_BUNDLE)


def _read(path: Path, max_bytes: int) -> bytes:
    """Read a file, of an oversized one just enough for the device to refuse it."""
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as exc:
        raise InputError(Problem(str(path), exc.strerror or str(exc))) from exc


def _identities(
    cohort: CohortPlan,
    devices: Iterable[DevicePlan],
    *,
    kit: LabKit | None,
    authorities: Mapping[str, Authority],
    now: datetime,
    issued: Mapping[str, DeviceIdentity],
) -> Callable[[DevicePlan], ClientIdentity | None]:
    if cohort.security is not Security.HIGH:
        return lambda _device: None
    authority = authorities.get(cohort.client_pki)
    if authority is None and kit is not None:
        authority = kit.device_authority
    if authority is None:
        raise InputError(
            Problem(
                f"cohort {cohort.name}: client_certificates.pki",
                "security high against a real target needs a PKI folder",
            )
        )
    mine = [device.device_id for device in devices]
    found = [issued[each] for each in mine if each in issued]
    missing = [each for each in mine if each not in issued]
    if missing:
        found += issue_devices(
            authority,
            missing,
            validity=Validity(now - CLOCK_SLACK, now + DEVICE_LIFETIME),
            key_type=KeyType(cohort.client_key),
            unique_keys=cohort.unique_keys,
        )
    identities: dict[str, ClientIdentity] = {}
    for made in found:
        if not isinstance(made.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise TypeError("a device key is RSA or EC")
        identities[made.device_id] = ClientIdentity(
            made.certificate, made.chain, made.key
        )
    return lambda device: identities[device.device_id]
