"""Actions: from an entry of the timeline to the desk that carries it out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from fleetsim.core.settings import Endpoint
from fleetsim.runner.commands import run_command
from fleetsim.runner.credential_actions import CredentialDesk
from fleetsim.runner.device_actions import act_on_devices
from fleetsim.runner.front_actions import FrontDesk, describe
from fleetsim.runner.identity_actions import IdentityDesk
from fleetsim.runner.ota_actions import OtaDesk
from fleetsim.runner.pki_registry import PkiRegistry
from fleetsim.runner.running import RunningFleet
from fleetsim.runner.sites import Target
from fleetsim.runner.timeline import ActionFailedError, Execution, Facts
from fleetsim.runner.trouble_actions import (
    dns_change,
    fault,
    reset_connections,
    server_outage,
    slow_server,
)
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.selecting import select
from fleetsim.scenario.timeline import TimelinePlan
from fleetsim.scenario.timeline_schema import (
    Action,
    Assert,
    CrossSign,
    DnsChange,
    ExpireCrl,
    Fault,
    IssueCa,
    IssueServerCertificate,
    LoseRtc,
    NetworkDown,
    NetworkUp,
    PowerCycleDevices,
    PushBundle,
    PushConfig,
    PushFirmware,
    ResetConnections,
    RevokeDevices,
    RotateCredentials,
    RotateDeviceCertificates,
    RunCommand,
    ServerOutage,
    SetClock,
    SkewClock,
    SleepDevices,
    SlowServer,
    SwapCiphers,
    SwapServerCertificate,
    SwapTlsVersions,
    Unrevoke,
    WaitFor,
    WakeDevices,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """Everything actions work with.

    Attributes:
        plan: The whole plan.
        target: Where the fleet uploads to.
        fleet: The devices.
        registry: Certificates by name.
        ota: Over-the-air objects.
        identities: Device certificates.
        fronts: TLS fronts of the lab; ``None`` = somebody else's server.
        credentials: The fleet's S3 keys; ``None`` likewise.
        variables: Environment of commands.
        secrets: Values that no output of a command may show.
    """

    plan: Plan
    target: Target
    fleet: RunningFleet
    registry: PkiRegistry
    ota: OtaDesk
    identities: IdentityDesk
    fronts: FrontDesk | None
    credentials: CredentialDesk | None
    variables: Mapping[str, str]
    secrets: tuple[str, ...]


class Actions:
    """Carries entries out.

    Args:
        desks: What they work with.
    """

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def carry_out(self, execution: Execution) -> Facts:
        """Carry one entry out, or the command that stands in for it.

        Raises:
            ActionFailedError, InputError, TargetError: It could not be done.
        """
        entry = execution.entry
        if entry.replaced_by is not None:
            stand_in = self._desks.plan.timeline[entry.replaced_by].action
            return await self._command(entry, stand_in)
        action = entry.action
        match action:
            case IssueCa() | CrossSign() | IssueServerCertificate():
                return self._issue(entry, action)
            case SwapServerCertificate() | SwapCiphers() | SwapTlsVersions():
                return await self._swap(action)
            case PushBundle() | PushConfig() | PushFirmware():
                return await self._push(execution, action)
            case (
                RotateDeviceCertificates()
                | RevokeDevices()
                | Unrevoke()
                | ExpireCrl()
                | RotateCredentials()
            ):
                return await self._identify(execution, action)
            case (
                ServerOutage()
                | SlowServer()
                | Fault()
                | ResetConnections()
                | DnsChange()
            ):
                return await self._trouble(execution, action)
            case (
                PowerCycleDevices()
                | SleepDevices()
                | WakeDevices()
                | SkewClock()
                | SetClock()
                | LoseRtc()
                | NetworkDown()
                | NetworkUp()
            ):
                chosen = select(self._desks.plan, action.to)
                return await act_on_devices(
                    execution, action, self._desks.fleet, chosen
                )
            case RunCommand():
                return await self._command(entry, action)
            case WaitFor() | Assert():
                return await _look(execution, action)
            case _:
                assert_never(action)

    async def _push(
        self, execution: Execution, action: PushBundle | PushConfig | PushFirmware
    ) -> Facts:
        ota = self._desks.ota
        match action:
            case PushBundle():
                return await ota.push_bundle(execution, action)
            case PushConfig():
                return await ota.push_config(execution, action)
            case PushFirmware():
                return await ota.push_firmware(execution, action)
            case _:
                assert_never(action)

    async def _identify(
        self,
        execution: Execution,
        action: RotateDeviceCertificates
        | RevokeDevices
        | Unrevoke
        | ExpireCrl
        | RotateCredentials,
    ) -> Facts:
        identities = self._desks.identities
        match action:
            case RotateDeviceCertificates():
                return await identities.rotate(execution, action)
            case RevokeDevices():
                return await identities.revoke(action)
            case Unrevoke():
                return await identities.unrevoke(action)
            case ExpireCrl():
                return await identities.expire_crl()
            case RotateCredentials():
                if self._desks.credentials is None:
                    raise _not_ours()
                return await self._desks.credentials.rotate(execution, action)
            case _:
                assert_never(action)

    def _issue(
        self, entry: TimelinePlan, action: IssueCa | CrossSign | IssueServerCertificate
    ) -> Facts:
        # Nothing here waits: entries that are due at the same time begin in the order
        # of the scenario, and a later one may name what this one makes.
        registry = self._desks.registry
        match action:
            case IssueCa():
                certificate = registry.issue_ca(entry, action).certificate
            case CrossSign():
                certificate = registry.cross_sign(entry, action).certificate
            case IssueServerCertificate():
                certificate = registry.issue_server(entry, action).certificate
            case _:
                assert_never(action)
        return {"certificate": describe(certificate)}

    async def _swap(
        self, action: SwapServerCertificate | SwapCiphers | SwapTlsVersions
    ) -> Facts:
        fronts = self._desks.fronts
        if fronts is None:
            raise _not_ours()
        match action:
            case SwapServerCertificate():
                leaf = self._desks.registry.presented(
                    action.certificate, action.chain, action.also_send
                )
                facts = await fronts.swap_certificate(action.front, leaf)
                return {"certificate": action.certificate} | facts
            case SwapCiphers():
                return await fronts.swap_ciphers(action.front, action.ciphers)
            case SwapTlsVersions():
                return await fronts.swap_versions(action.front, action.versions)
            case _:
                assert_never(action)

    async def _trouble(
        self,
        execution: Execution,
        action: ServerOutage | SlowServer | Fault | ResetConnections | DnsChange,
    ) -> Facts:
        path = self._desks.target.path
        if path is not None and isinstance(action, Fault):
            return await path.fault(execution, action, self._desks.fleet.resolver)
        if self._desks.fronts is None:
            raise _not_ours()
        control = self._desks.fronts.control
        match action:
            case ServerOutage():
                return await server_outage(execution, action, control)
            case SlowServer():
                return await slow_server(execution, action, control)
            case Fault():
                return await fault(execution, action, control)
            case ResetConnections():
                return await reset_connections(action, control)
            case DnsChange():
                return self._dns(action)
            case _:
                assert_never(action)

    def _dns(self, action: DnsChange) -> Facts:
        spec, address = self._desks.plan.lab, self._desks.target.address
        if spec is None or address is None:
            raise _not_ours()
        return dns_change(action, spec, address, self._desks.fleet.resolver)

    async def _command(self, entry: TimelinePlan, action: Action) -> Facts:
        if not isinstance(action, RunCommand):
            raise TypeError("only a command stands in for an action")
        facts = await run_command(
            action.argv,
            timeout_s=action.timeout,
            variables={**self._desks.variables, "FLEETSIM_ACTION": entry.key},
            secrets=self._desks.secrets,
        )
        if entry.replaced_by is not None:
            facts["replaced_by"] = "run_command"
        return facts


async def _look(execution: Execution, action: WaitFor | Assert) -> Facts:
    match action:
        case WaitFor():
            return await _wait_for(execution, action)
        case Assert():
            return _assert(execution, action)
        case _:
            assert_never(action)


async def _wait_for(execution: Execution, action: WaitFor) -> Facts:
    """Wait until a condition holds.

    Raises:
        ActionFailedError: It did not in time.
    """
    condition = action.condition
    begin_ns = execution.clock.now_ns()
    end_ns = begin_ns + round(action.timeout * 1e9)
    while not execution.holds(condition):
        if execution.clock.now_ns() >= end_ns:
            raise ActionFailedError(
                f"'{condition}' did not hold within {action.timeout:g} s: "
                f"{condition.figure} was {execution.figures()[condition.figure]:g}"
            )
        await execution.look_again(before_ns=end_ns)
    waited_s = (execution.clock.now_ns() - begin_ns) / 1e9
    return {"condition": str(condition), "waited_s": round(waited_s, 3)}


def _assert(execution: Execution, action: Assert) -> Facts:
    """Check a condition.

    Raises:
        ActionFailedError: It does not hold.
    """
    condition = action.condition
    value = execution.figures()[condition.figure]
    facts: Facts = {"condition": str(condition), "value": value}
    if not execution.holds(condition):
        why = f": {action.reason}" if action.reason else ""
        raise ActionFailedError(
            f"'{condition}' does not hold, {condition.figure} is {value:g}{why}", facts
        )
    return facts


def _not_ours() -> ActionFailedError:
    return ActionFailedError("the server is not the lab, and no command stands in")


def endpoint_url(endpoint: Endpoint) -> str:
    """URL of an endpoint, for the environment of commands."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{endpoint.scheme}://{host}:{endpoint.port}"
