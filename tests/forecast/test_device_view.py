"""A device as a proof looks at it."""

import pytest

from fleetsim.core.settings import (
    AdvanceOn,
    ClockRules,
    ClockSync,
    FallbackPolicy,
    GroupMemory,
)
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.device_view import view_of
from tests.core.conversation import EPOCH_S, S, make_device, make_settings
from tests.forecast.fleet import ROOT, device
from tests.transport.pumps import identity_of

MINE = device()


@pytest.mark.parametrize(
    ("fallback", "position", "groups"),
    [
        (FallbackPolicy(), 2, (1, 2, 3)),
        (FallbackPolicy(memory=GroupMemory.FOREVER), 1, (2, 3)),
        (FallbackPolicy(memory=GroupMemory.CONNECTION), 2, (1, 2, 3)),
        (FallbackPolicy(advance_on=AdvanceOn.NEVER), 0, (1,)),
    ],
    ids=["power cycle", "forever", "connection", "never"],
)
def test_a_device_is_seen_with_the_groups_it_can_still_offer(
    fallback: FallbackPolicy, position: int, groups: tuple[int, ...]
) -> None:
    """A power cycle brings the first group back, unless the device never forgets."""
    bundle = TrustBundle.of((ROOT.certificate,))
    made = make_device(make_settings(fallback=fallback), bundle=bundle, skew_s=7)
    made.position = position
    seen = view_of(made, identity_of(MINE), 5 * S)
    assert [group.name for group in seen.side.groups] == [f"group {n}" for n in groups]
    assert (seen.side.bundle, seen.side.host) == (bundle, "lab.test")
    assert seen.side.unix_s == EPOCH_S + 5 + 7
    assert seen.side.identity == identity_of(MINE)
    assert (seen.is_tls, seen.sets_clock) == (True, False)
    assert seen.access_key == "AKIDEXAMPLE"


def test_a_device_on_http_that_sets_its_clock_is_seen_so() -> None:
    """The scheme of its endpoint, the clock rule of its profile."""
    clock = ClockRules(sync=ClockSync.WHEN_CONNECTED)
    made = make_device(make_settings(scheme="http", clock=clock))
    seen = view_of(made, None, 0)
    assert (seen.is_tls, seen.sets_clock) == (False, True)
