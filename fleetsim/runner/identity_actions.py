"""IdentityDesk: device certificates, given out, revoked and taken off the list again.

Order of a rotation, as AWS IoT and every careful operator do it: let the servers accept
the new issuer, give out the new certificates, and only later revoke the old ones. The
fronts judge client certificates by the CAs and the revocation lists of *every* issuer a
device certificate has come from, with a list for each CA of the chain, because OpenSSL,
nginx (``ssl_crl``) and HAProxy (``crl-file``) refuse a chain with a CA that has none.

How a certificate gets onto a device is not documented; here it is there at once, also on
a device that sleeps, as if it were part of the visit that the sleep is for.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetsim.engine.actions import Devices
from fleetsim.engine.fleet import CohortBinding
from fleetsim.pki.authority import Authority
from fleetsim.pki.certificates import Usage, Validity
from fleetsim.pki.crl import Reason, Revocation, build_crl
from fleetsim.pki.identities import DEFAULT_POOL_SIZE, issue_devices
from fleetsim.pki.keys import KeyType, PrivateKey, generate_keys
from fleetsim.runner.front_actions import FrontDesk, describe
from fleetsim.runner.lab_setup import CA_LIFETIME, CLOCK_SLACK
from fleetsim.runner.pki_registry import Now, PkiRegistry
from fleetsim.runner.timeline import ActionFailedError, Execution, Facts
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.selecting import select
from fleetsim.scenario.timeline_schema import (
    RevokeDevices,
    RotateDeviceCertificates,
    Unrevoke,
)
from fleetsim.transport.base import ClientIdentity

SLICE_NS: Final = 5_000_000
"""Time after which issuing lets the loop serve the sockets."""

DEFAULT_KEY: Final = "rsa-2048"
"""Key type of devices whose cohort had no certificates before."""

KeyPools = Mapping[tuple[int, int], Sequence[PrivateKey]]
"""Keys made beforehand, by index of the timeline entry and of the cohort."""


def prepare_pools(plan: Plan) -> dict[tuple[int, int], tuple[PrivateKey, ...]]:
    """Make the keys that rotations of the timeline will give to devices.

    Raises:
        InputError: A key type cannot be made.
    """
    pools: dict[tuple[int, int], tuple[PrivateKey, ...]] = {}
    for entry in plan.timeline:
        if not isinstance(entry.action, RotateDeviceCertificates):
            continue
        counts: dict[int, int] = {}
        for index in select(plan, entry.action.to):
            cohort = plan.devices[index].cohort
            counts[cohort] = counts.get(cohort, 0) + 1
        for cohort, count in counts.items():
            kind = KeyType(plan.cohorts[cohort].client_key or DEFAULT_KEY)
            is_pooled = not plan.cohorts[cohort].unique_keys
            keys = min(count, DEFAULT_POOL_SIZE) if is_pooled else count
            pools[entry.index, cohort] = tuple(generate_keys(kind, keys))
    return pools


@dataclass(frozen=True, slots=True)
class _Revoked:
    """A certificate on a revocation list."""

    device: int
    issuer: bytes
    entry: Revocation


class IdentityDesk:
    """Gives devices identities and keeps the revocation lists.

    Args:
        plan: The whole plan.
        fleet: The devices.
        bindings: By cohort index: their identities at the start.
        authorities: Device authority of each PKI folder that cohorts name.
        registry: Certificates by name.
        fronts: The lab's fronts; ``None`` = somebody else's server.
        pools: Keys made beforehand.
        now: The calendar's present.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        fleet: Devices,
        bindings: Sequence[CohortBinding],
        authorities: Mapping[str, Authority],
        registry: PkiRegistry,
        fronts: FrontDesk | None,
        pools: KeyPools,
        now: Now,
    ) -> None:
        self._plan = plan
        self._fleet = fleet
        self._bindings = bindings
        self._folders = authorities
        self._registry = registry
        self._fronts = fronts
        self._pools = pools
        self._now = now
        self._given: dict[int, ClientIdentity] = {}
        self._revoked: dict[int, _Revoked] = {}
        self._issuers: list[Authority] = (
            [] if fronts is None else [registry.authority("devices")]
        )
        self._crl_number = 1
        self._may_return = any(isinstance(e.action, Unrevoke) for e in plan.timeline)

    @property
    def revoked(self) -> int:
        """Certificates on the revocation lists."""
        return len(self._revoked)

    def identity(self, index: int) -> ClientIdentity | None:
        """Present identity of a device."""
        given = self._given.get(index)
        if given is not None:
            return given
        device = self._plan.devices[index]
        return self._bindings[device.cohort].identity(device)

    # ------------------------------------------------------------ actions

    async def rotate(
        self, execution: Execution, action: RotateDeviceCertificates
    ) -> Facts:
        """Renew, and revoke the old ones after the overlap."""
        chosen = select(self._plan, action.to)
        issuers = {
            cohort: self._issuer(action.ca, cohort)
            for cohort in sorted({self._plan.devices[i].cohort for i in chosen})
        }
        await self._accept(issuers.values())
        old = {
            index: identity.certificate
            for index in chosen
            if (identity := self.identity(index)) is not None
        }
        for cohort, issuer in issuers.items():
            await self._issue(execution, action, cohort, issuer, chosen)
        await self._fleet.all_given()
        facts: Facts = {
            "devices": len(chosen),
            "issuers": [
                describe(each.certificate) for each in set_of(issuers.values())
            ],
        }
        if action.revoke_old is None:
            return facts
        execution.note("given", **facts)
        revoke_ns = execution.clock.now_ns() + round(action.revoke_old * 1e9)
        await execution.clock.sleep_until(revoke_ns)
        self._put_on_list(old, Reason.SUPERSEDED)
        return facts | {"revoked": len(old)} | await self._load_lists()

    async def revoke(self, action: RevokeDevices) -> Facts:
        """Revoke present certificates and load the lists."""
        chosen = select(self._plan, action.to)
        certificates = {
            index: identity.certificate
            for index in chosen
            if (identity := self.identity(index)) is not None
        }
        # RFC 5280 5.3.1: only a hold may leave the list again.
        reason = Reason.CERTIFICATE_HOLD if self._may_return else Reason.KEY_COMPROMISE
        added = self._put_on_list(certificates, reason)
        return {"devices": len(chosen), "revoked": added} | await self._load_lists()

    async def unrevoke(self, action: Unrevoke) -> Facts:
        """Take every certificate of devices off the lists."""
        chosen = frozenset(select(self._plan, action.to))
        lifted = [s for s, each in self._revoked.items() if each.device in chosen]
        for serial in lifted:
            del self._revoked[serial]
        return {
            "devices": len(chosen),
            "unrevoked": len(lifted),
        } | await self._load_lists()

    async def expire_crl(self) -> Facts:
        """Load lists of the issuers of devices whose nextUpdate has passed."""
        return await self._load_lists(is_expired=True)

    # ------------------------------------------------------------ issuing

    async def _issue(
        self,
        execution: Execution,
        action: RotateDeviceCertificates,
        cohort: int,
        issuer: Authority,
        chosen: Sequence[int],
    ) -> None:
        indexes = [i for i in chosen if self._plan.devices[i].cohort == cohort]
        plan = self._plan.cohorts[cohort]
        now = self._now()
        made = issue_devices(
            issuer,
            [self._plan.devices[index].device_id for index in indexes],
            validity=Validity(
                now - CLOCK_SLACK,
                now.replace(microsecond=0) + timedelta(seconds=action.lifetime),
            ),
            key_type=KeyType(plan.client_key or DEFAULT_KEY),
            keys=self._pools.get((execution.entry.index, cohort), ()),
            usages=(
                Usage.CLIENT_AUTH if action.with_client_auth else Usage.SERVER_AUTH,
            ),
        )
        slice_end_ns = time.monotonic_ns() + SLICE_NS
        for index, device in zip(indexes, made, strict=True):
            if not isinstance(
                device.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
            ):
                raise TypeError("a device key is RSA or EC")
            identity = ClientIdentity(device.certificate, device.chain, device.key)
            self._given[index] = identity
            self._fleet.set_identity(index, identity)
            if time.monotonic_ns() >= slice_end_ns:
                await asyncio.sleep(0)
                slice_end_ns = time.monotonic_ns() + SLICE_NS

    def _issuer(self, name: str, cohort: int) -> Authority:
        folder = self._plan.cohorts[cohort].client_pki
        if name == "devices" and folder:
            return self._folders[folder]
        return self._registry.authority(name)

    async def _accept(self, issuers: Iterable[Authority]) -> None:
        """Let the fronts accept new issuers before anybody has a certificate of them."""
        known = [each.certificate for each in self._issuers]
        new = [each for each in set_of(issuers) if each.certificate not in known]
        if self._fronts is None or not new:
            return
        self._issuers += new
        await self._load_lists()

    # ------------------------------------------------------------ revocation

    def _put_on_list(
        self, certificates: Mapping[int, x509.Certificate], reason: Reason
    ) -> int:
        known = {each.certificate.subject.public_bytes() for each in self._issuers}
        foreign = [
            index
            for index, certificate in certificates.items()
            if certificate.issuer.public_bytes() not in known
        ]
        if foreign:
            device = self._plan.devices[foreign[0]].device_id
            raise ActionFailedError(
                f"{len(foreign)} certificates, first of {device}, come from a CA that "
                "the lab does not hold"
            )
        added = 0
        for index, certificate in certificates.items():
            if certificate.serial_number not in self._revoked:
                added += 1
                self._revoked[certificate.serial_number] = _Revoked(
                    index,
                    certificate.issuer.public_bytes(),
                    Revocation(certificate.serial_number, self._now(), reason),
                )
        return added

    async def _load_lists(self, *, is_expired: bool = False) -> Facts:
        """Sign every list anew and load them on the fronts."""
        if self._fronts is None:
            raise ActionFailedError("the revocation lists of this server are not ours")
        self._crl_number += 1
        now = self._now()
        current = Validity(now - CLOCK_SLACK, now + CA_LIFETIME)
        expired = Validity(now - 2 * CLOCK_SLACK, now - timedelta(seconds=1))
        crls = []
        for authority in self._signers():
            issuer = authority.certificate.subject.public_bytes()
            crls.append(
                build_crl(
                    authority,
                    [e.entry for e in self._revoked.values() if e.issuer == issuer],
                    number=self._crl_number,
                    validity=expired
                    if is_expired and self._issues_devices(authority)
                    else current,
                )
            )
        fronts = await self._fronts.judge_clients(
            [each.certificate for each in self._signers()], crls
        )
        if not fronts:
            raise ActionFailedError("no front asks for client certificates")
        return {
            "fronts": list(fronts),
            "crl_number": self._crl_number,
            "crl_revoked": len(self._revoked),
            "next_update": f"{(expired if is_expired else current).not_after:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _issues_devices(self, authority: Authority) -> bool:
        return any(e.certificate == authority.certificate for e in self._issuers)

    def _signers(self) -> tuple[Authority, ...]:
        """Every CA in the chains of devices, issuers first, each once."""
        found: list[Authority] = []
        for issuer in self._issuers:
            for certificate in self._chain(issuer):
                signer = self._registry.find(certificate)
                if signer is None:
                    raise ActionFailedError(
                        "no revocation list for "
                        f"{certificate.subject.rfc4514_string()}: its key is not here"
                    )
                found.append(signer)
        return set_of(found)

    def _chain(self, issuer: Authority) -> Iterator[x509.Certificate]:
        yield issuer.certificate
        yield from issuer.chain
        root = self._registry.issuer_of((issuer.certificate, *issuer.chain)[-1])
        if root is not None:
            yield root


def set_of(authorities: Iterable[Authority]) -> tuple[Authority, ...]:
    """Each authority once, in order."""
    found: list[Authority] = []
    for each in authorities:
        if all(each.certificate != other.certificate for other in found):
            found.append(each)
    return tuple(found)
