"""Selecting: which devices an action is for, and in which waves.

Every device has a rank that derives from the plan's seed and its index. A share takes
the devices of lowest rank, so that the devices of 10 % are among those of 20 %, and the
first wave of 10 % is exactly the share of 10 %.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from fleetsim.core.draws import derive_seed
from fleetsim.scenario.roster import CohortPlan, DevicePlan
from fleetsim.scenario.timeline_schema import Selector

if TYPE_CHECKING:
    from fleetsim.scenario.plan import Plan

_RANK: Final = 5
"""Stream of random numbers for ranks; the roster has 0 to 4."""


def select(plan: "Plan", selector: Selector) -> tuple[int, ...]:
    """Choose devices.

    Args:
        plan: A whole plan.
        selector: Cohorts and device ids both narrow the choice; a share is taken of
            what they leave. Names that do not exist select nothing.

    Returns:
        Indexes of devices, lowest rank first: a mix of all cohorts, the same for the
        same seed. See :func:`count_of` for how many a share is.

    Raises:
        ValueError: The plan is a shard, which does not know the whole fleet.
    """
    if plan.shard_count != 1:
        raise ValueError("devices are selected from the whole plan, not from a shard")
    chosen = [
        device.index for device in _matching(plan.cohorts, plan.devices, selector)
    ]
    chosen.sort(key=lambda index: (derive_seed(plan.seed, _RANK, index), index))
    if selector.share is not None:
        del chosen[count_of(selector.share, len(chosen)) :]
    return tuple(chosen)


def selected_count(
    cohorts: Sequence[CohortPlan], devices: Sequence[DevicePlan], selector: Selector
) -> int:
    """How many devices :func:`select` would choose.

    Args:
        cohorts: All cohorts of a whole plan.
        devices: All its devices.
        selector: Which of them.
    """
    if selector.devices:
        total = sum(1 for _ in _matching(cohorts, devices, selector))
    else:
        total = sum(c.count for c in cohorts if selects_cohort(selector, c.name))
    return total if selector.share is None else count_of(selector.share, total)


def selects_cohort(selector: Selector, name: str) -> bool:
    """Whether devices of a cohort may be among the selected."""
    return not selector.cohorts or name in selector.cohorts


def _matching(
    cohorts: Sequence[CohortPlan], devices: Sequence[DevicePlan], selector: Selector
) -> Iterator[DevicePlan]:
    chosen = {c.index for c in cohorts if selects_cohort(selector, c.name)}
    ids = frozenset(selector.devices)
    for device in devices:
        if device.cohort in chosen and (not ids or device.device_id in ids):
            yield device


def count_of(share: float, total: int) -> int:
    """How many of ``total`` devices a share is: rounded, at least one if above 0.

    Args:
        share: 0..1.
        total: >= 0.
    """
    return min(total, max(round(share * total), math.ceil(share)))


def waves_of(indexes: Sequence[int], share: float) -> tuple[tuple[int, ...], ...]:
    """Divide devices into waves, in their order; the last one takes what is left.

    Args:
        indexes: What :func:`select` chose.
        share: Share of them per wave, 0 < share <= 1.

    Returns:
        Waves that have each device exactly once, none of them empty.

    Raises:
        ValueError: The share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a wave has a share above 0 and at most 1, not {share}")
    size = count_of(share, len(indexes))
    if not size:
        return ()
    return tuple(
        tuple(indexes[start : start + size]) for start in range(0, len(indexes), size)
    )
