"""Survey: looks at every device for live views, without stalling the sockets.

Nothing here is told by the devices, so uploads cost nothing more when nobody watches.
A look costs about half a microsecond a device; large fleets are looked at less often
(:func:`every_s`), so that watching takes at most about one hundredth of a core.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from fleetsim.core.progress import MOST_NAMES, STATES, BundleSeen, Survey
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.engine.driver import Driver

SLICE: Final = 500
"""Devices looked at before the loop serves the sockets again."""

DEVICES_PER_S: Final = 20_000


def every_s(devices: int) -> int:
    """Seconds from one look to the next, >= 1."""
    return max(1, -(-devices // DEVICES_PER_S))


class Surveyor:
    """Looks at the devices of a shard.

    Args:
        drivers: Theirs, in the order of their indexes.
        first: Index of the first.
        stride: Distance of the indexes.
    """

    def __init__(self, drivers: Sequence[Driver], *, first: int, stride: int) -> None:
        self._drivers = drivers
        self._first = first
        self._stride = stride
        # By identity: hashing an enum's member costs more than the rest of the look.
        self._states = {id(state): code for code, state in enumerate(STATES)}
        self._groups = {"": 0}
        self._bundles = {BundleSeen(): 0}

    async def look(self) -> Survey:
        """Look at every device; a device may change while others are looked at."""
        size = len(self._drivers)
        states, groups, bundles = bytearray(size), bytearray(size), bytearray(size)
        # Keeps the bundles alive, so that an identity means one bundle throughout.
        known: dict[int, tuple[TrustBundle, int]] = {}
        codes, group_codes = self._states, self._groups
        for begin in range(0, size, SLICE):
            for place, driver in enumerate(
                self._drivers[begin : begin + SLICE], start=begin
            ):
                states[place] = codes[id(driver.contact.state)]
                group = driver.last_group
                if group:
                    if group not in group_codes:
                        self._name_group(group)
                    groups[place] = group_codes[group]
                bundle = driver.device.ota.bundle
                found = known.get(id(bundle))
                if found is None:
                    found = known[id(bundle)] = bundle, self._bundle_code(bundle)
                bundles[place] = found[1]
            await asyncio.sleep(0)
        return Survey(
            first=self._first,
            stride=self._stride,
            states=bytes(states),
            groups=bytes(groups),
            bundles=bytes(bundles),
            group_names=tuple(self._groups)[:MOST_NAMES],
            bundles_seen=tuple(self._bundles)[:MOST_NAMES],
        )

    def _name_group(self, name: str) -> None:
        self._groups[name] = min(len(self._groups), MOST_NAMES - 1)

    def _bundle_code(self, bundle: TrustBundle) -> int:
        if bundle.is_empty:
            return 0
        seen = BundleSeen(bundle.fingerprint[:12], len(bundle.certificates))
        return self._bundles.setdefault(seen, min(len(self._bundles), MOST_NAMES - 1))
