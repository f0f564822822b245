"""FileSchedule: when a device closes its log files, how large they are, when they go.

Closing time, size and upload delay are pure functions of the device's seed: a slow
server changes when things happen, never what is asked of it.
"""

from typing import Final

from fleetsim.core.device_settings import NS_PER_S
from fleetsim.core.draws import Distribution, Draws, derive_seed
from fleetsim.core.sd_card import SdCard
from fleetsim.core.settings import Workload

NEVER_NS: Final = 1 << 62

_SIZE, _DELAY, _JITTER = range(3)
"""Streams of random numbers, by purpose."""


class FileSchedule:
    """The closing times of one device, one at a time.

    Args:
        seed: 64-bit seed.
        phase_ns: Where in the period files close, 0 <= phase < period.

    Attributes:
        next_ns: Run time at which the next file closes; ``NEVER_NS`` = none will.
    """

    __slots__ = ("_index", "_phase_ns", "_seed", "next_ns")

    def __init__(self, seed: int, phase_ns: int) -> None:
        self._seed = seed
        self._phase_ns = phase_ns
        self._index = 0
        self.next_ns = NEVER_NS

    def start(self, work: Workload, now_ns: int, end_ns: int) -> None:
        """Find the first closing time after power-on.

        Args:
            work: Period and jitter.
            now_ns: Run time of the power-on.
            end_ns: No file closes at or after this time.
        """
        period_ns = int(work.period_s * NS_PER_S)
        if not period_ns:
            return
        self._index = max(0, now_ns - self._phase_ns) // period_ns
        self.next_ns = self._closing_ns(work, end_ns)
        while self.next_ns <= now_ns:
            self._index += 1
            self.next_ns = self._closing_ns(work, end_ns)

    def stop(self) -> None:
        """No further file closes."""
        self.next_ns = NEVER_NS

    def close_due(self, card: SdCard, work: Workload, now_ns: int, end_ns: int) -> None:
        """Put every file that has closed by now on the card."""
        while self.next_ns <= now_ns:
            closed_ns = self.next_ns
            size_bytes = int(self._drawn(work.file_size, _SIZE, closed_ns))
            card.close_file(max(0, size_bytes), closed_ns)
            self._index += 1
            self.next_ns = max(closed_ns, self._closing_ns(work, end_ns))

    def upload_ns(self, work: Workload, closed_ns: int) -> int:
        """Run time at which a file closed at ``closed_ns`` is due for upload."""
        delay_s = self._drawn(work.upload_delay, _DELAY, closed_ns)
        return closed_ns + max(0, int(delay_s * NS_PER_S))

    def next_upload_ns(self, work: Workload) -> int:
        """When the file that closes next is due; ``NEVER_NS`` = none will close."""
        if self.next_ns == NEVER_NS:
            return NEVER_NS
        return self.upload_ns(work, self.next_ns)

    def _closing_ns(self, work: Workload, end_ns: int) -> int:
        boundary_ns = self._phase_ns + int(self._index * work.period_s * NS_PER_S)
        jitter_s = self._drawn(work.jitter, _JITTER, self._index)
        closing_ns = boundary_ns + int(jitter_s * NS_PER_S)
        return closing_ns if closing_ns < end_ns else NEVER_NS

    def _drawn(self, law: Distribution, stream: int, number: int) -> float:
        """Draw the value that a stream of the device holds for a number."""
        fixed = law.fixed
        if fixed is not None:
            # Most laws of most scenarios: spares the seed and its generator.
            return fixed
        return law.sample(Draws(derive_seed(self._seed, stream, number)))
