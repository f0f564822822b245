"""Backoff: how long to wait before the next try after failures in a row."""

from typing import Final

from fleetsim.core.draws import Draws
from fleetsim.core.settings import RetryPolicy

# Growth past this many failures changes no wait a run could live to see; the bound
# keeps the power within what a float exponent takes.
_MOST_STEPS: Final = 1 << 30


def delay_s(policy: RetryPolicy, failures: int, draws: Draws) -> float:
    """Compute the wait after a failure: ``first_s * factor**(failures - 1)``.

    Args:
        policy: Growth, bound and jitter.
        failures: Failures in a row so far, 1 or more; any size.
        draws: Source of the jitter; one number is drawn, none without jitter.

    Returns:
        Seconds, 0..``max_s``; drawn from ``[wait * (1 - jitter_ratio), wait]``.
    """
    steps = min(max(failures - 1, 0), _MOST_STEPS)
    try:
        wait_s = min(policy.first_s * policy.factor**steps, policy.max_s)
    except OverflowError:
        wait_s = policy.max_s
    if policy.jitter_ratio > 0.0:
        wait_s *= 1.0 - policy.jitter_ratio * draws.uniform()
    return wait_s
