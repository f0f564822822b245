"""DeviceView: a device, and what stands at its endpoint, as a proof looks at them."""

from dataclasses import dataclass

from fleetsim.core.device import Device
from fleetsim.core.settings import AdvanceOn, ClockSync, GroupMemory
from fleetsim.forecast.handshakes import ClientSide
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_server import ServerTls


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What stands at an endpoint.

    Attributes:
        name: For people.
        tls: How it speaks TLS; ``None`` = plain HTTP.
    """

    name: str
    tls: ServerTls | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """A device as far as its way to the server goes.

    Attributes:
        side: Its TLS side.
        is_tls: Whether its endpoint is HTTPS.
        sets_clock: Whether others set its clock before it connects.
        access_key: S3 access key id it signs with.
    """

    side: ClientSide
    is_tls: bool = True
    sets_clock: bool = False
    access_key: str = ""


def view_of(device: Device, identity: ClientIdentity | None, now_ns: int) -> DeviceView:
    """See a simulated device as the prover does.

    Args:
        device: The device.
        identity: Client certificate it presents.
        now_ns: Run time.
    """
    settings = device.settings
    profile = settings.profile
    groups = settings.cipher_table.groups
    if profile.fallback.advance_on is AdvanceOn.NEVER:
        groups = groups[device.position : device.position + 1]
    elif profile.fallback.memory is GroupMemory.FOREVER:
        # There is no way down the ladder but a success.
        groups = groups[device.position :]
    return DeviceView(
        side=ClientSide(
            bundle=device.bundle,
            groups=groups,
            rules=profile.tls,
            host=settings.endpoint.host,
            unix_s=device.unix_s(now_ns),
            identity=identity,
        ),
        is_tls=settings.endpoint.is_tls,
        sets_clock=profile.clock.sync is ClockSync.WHEN_CONNECTED,
        access_key=settings.credentials.access_key,
    )
