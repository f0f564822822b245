"""Draws: the seeded random source of one device, small enough for 100,000 of them.

``random.Random`` keeps 2.5 KiB of state per instance; a device needs 8 bytes. The
generator is SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
Generators", OOPSLA 2014): equidistributed over 2**64 and good enough for jitter and
file sizes. Same seed, same sequence, on every platform.
"""

import math
from typing import Protocol

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


def mix(value: int) -> int:
    """Scramble 64 bits: the SplitMix64 finaliser. Returns 0..2**64-1."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def derive_seed(*parts: int) -> int:
    """Combine integers into one 64-bit seed; order matters."""
    seed = 0
    for part in parts:
        seed = mix((seed + _GAMMA + (part & _MASK)) & _MASK)
    return seed


class Draws:
    """A sequence of uniform numbers from a 64-bit seed."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def bits(self) -> int:
        """Draw 64 uniform bits, 0..2**64-1."""
        self._state = (self._state + _GAMMA) & _MASK
        return mix(self._state)

    def uniform(self) -> float:
        """Draw a float in [0, 1) with 53 random bits."""
        return (self.bits() >> 11) * 2.0**-53

    def normal(self) -> float:
        """Draw from the standard normal distribution (Box-Muller, one of the pair)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        return radius * math.cos(2.0 * math.pi * self.uniform())


class Distribution(Protocol):
    """Something numbers can be drawn from: file sizes in bytes, durations in seconds."""

    @property
    def fixed(self) -> float | None:
        """The value of every sample, ``None`` when samples differ."""
        ...

    def sample(self, draws: Draws) -> float:
        """Draw one value in the distribution's own unit."""
        ...
