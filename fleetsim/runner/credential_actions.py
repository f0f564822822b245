"""CredentialDesk: the S3 keys of the fleet, replaced while it uploads.

The order is that of every rotation: the server accepts the new keys, the devices get
them, and only then the server stops accepting the old ones. The control plane has keys of
its own and notices nothing.
"""

from fleetsim.core.settings import Credentials
from fleetsim.engine.actions import Devices
from fleetsim.lab.process import LabProcess
from fleetsim.runner.lab_setup import new_credentials
from fleetsim.runner.timeline import Execution, Facts
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.selecting import select
from fleetsim.scenario.timeline_schema import RotateCredentials


class CredentialDesk:
    """Rotates the S3 keys of the fleet.

    Args:
        plan: The whole plan.
        fleet: The devices.
        lab: Whose credentials they are.
        credentials: The fleet's keys at the start.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        fleet: Devices,
        lab: LabProcess,
        credentials: Credentials,
    ) -> None:
        self._plan = plan
        self._fleet = fleet
        self._lab = lab
        self._current = credentials
        self._accepted = {credentials.access_key}

    @property
    def accepted(self) -> frozenset[str]:
        """Access key ids of the fleet that the server accepts now."""
        return frozenset(self._accepted)

    async def rotate(self, execution: Execution, action: RotateCredentials) -> Facts:
        """Accept new keys, hand them out, refuse the old ones after the overlap."""
        chosen = select(self._plan, action.to)
        new, old = new_credentials(), self._current
        await self._lab.request(
            "add_credentials", access_key=new.access_key, secret_key=new.secret_key
        )
        self._current = new
        self._accepted.add(new.access_key)
        changed = await self._fleet.set_credentials(chosen, new)
        facts: Facts = {
            "devices": len(chosen),
            "changed": changed,
            "new_access_key": new.access_key,
            "old_access_key": old.access_key,
        }
        execution.note("given", **facts)
        ends_ns = execution.clock.now_ns() + round(action.overlap * 1e9)
        await execution.clock.sleep_until(ends_ns)
        await self._lab.request("remove_credentials", access_key=old.access_key)
        self._accepted.discard(old.access_key)
        return facts
