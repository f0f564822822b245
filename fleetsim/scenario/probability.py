"""Probability: the distributions themselves, frozen values without any YAML in them.

A draw outside the bounds is *clamped*, not drawn again: one sample always costs the same
number of random numbers, so plans stay comparable when a bound moves. Means are exact,
the clamping included, because ``fleetsim check`` plans bandwidth with them.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from fleetsim.core.draws import Draws


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same value."""

    value: float

    @property
    def fixed(self) -> float | None:
        """The value of every sample."""
        return self.value

    @property
    def lowest(self) -> float:
        """Smallest value a sample can have."""
        return self.value

    @property
    def highest(self) -> float:
        """Largest value a sample can have."""
        return self.value

    def sample(self, draws: Draws) -> float:  # noqa: ARG002 - interface
        """Return the value; consumes no random number."""
        return self.value

    def mean(self) -> float:
        """Expected value of a sample."""
        return self.value

    def scaled(self, factor: float) -> "Fixed":
        """The same law in another unit: every sample times ``factor`` > 0."""
        return Fixed(self.value * factor)

    def to_data(self) -> object:
        """YAML form with plain numbers (seconds or bytes)."""
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Equally likely anywhere from ``low`` to ``high`` (low <= high)."""

    low: float
    high: float

    @property
    def fixed(self) -> float | None:
        """``None``: samples differ."""
        return None

    @property
    def lowest(self) -> float:
        """Smallest value a sample can have."""
        return self.low

    @property
    def highest(self) -> float:
        """Largest value a sample can have."""
        return self.high

    def sample(self, draws: Draws) -> float:
        """Draw one value; consumes one random number."""
        value = self.low + (self.high - self.low) * draws.uniform()
        return min(value, self.high)  # rounding may pass the end by one ulp

    def mean(self) -> float:
        """Expected value of a sample."""
        return self.low + (self.high - self.low) / 2

    def scaled(self, factor: float) -> "Uniform":
        """The same law in another unit: every sample times ``factor`` > 0."""
        return Uniform(self.low * factor, self.high * factor)

    def to_data(self) -> object:
        """YAML form with plain numbers (seconds or bytes)."""
        return {"uniform": [self.low, self.high]}


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal with mean ``mu`` and standard deviation ``sigma`` >= 0, clamped."""

    mu: float
    sigma: float
    minimum: float = -math.inf
    maximum: float = math.inf

    @property
    def fixed(self) -> float | None:
        """``None``: samples differ."""
        return None

    @property
    def lowest(self) -> float:
        """Smallest value a sample can have."""
        return self.minimum if self.sigma else _clamp(self.mu, self)

    @property
    def highest(self) -> float:
        """Largest value a sample can have."""
        return self.maximum if self.sigma else _clamp(self.mu, self)

    def sample(self, draws: Draws) -> float:
        """Draw one value; consumes two random numbers."""
        return _clamp(self.mu + self.sigma * draws.normal(), self)

    def mean(self) -> float:
        """Expected value of a sample, the clamping included."""
        if self.sigma == 0:
            return _clamp(self.mu, self)
        low = (self.minimum - self.mu) / self.sigma
        high = (self.maximum - self.mu) / self.sigma
        inside = self.mu * (_phi(high) - _phi(low))
        inside -= self.sigma * (_density(high) - _density(low))
        return (
            _times(self.minimum, _phi(low))
            + _times(self.maximum, 1.0 - _phi(high))
            + inside
        )

    def scaled(self, factor: float) -> "Normal":
        """The same law in another unit: every sample times ``factor`` > 0."""
        return Normal(
            self.mu * factor,
            self.sigma * factor,
            self.minimum * factor,
            self.maximum * factor,
        )

    def to_data(self) -> object:
        """YAML form with plain numbers (seconds or bytes)."""
        return {"normal": {"mean": self.mu, "stddev": self.sigma, **_bounds(self)}}


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lognormal: ``median`` > 0, ``sigma`` of the natural logarithm 0..10, clamped."""

    median: float
    sigma: float
    minimum: float = 0.0
    maximum: float = math.inf

    @property
    def fixed(self) -> float | None:
        """``None``: samples differ."""
        return None

    @property
    def lowest(self) -> float:
        """Smallest value a sample can have."""
        return max(self.minimum, 0.0) if self.sigma else _clamp(self.median, self)

    @property
    def highest(self) -> float:
        """Largest value a sample can have."""
        return self.maximum if self.sigma else _clamp(self.median, self)

    def sample(self, draws: Draws) -> float:
        """Draw one value; consumes two random numbers."""
        return _clamp(self.median * math.exp(self.sigma * draws.normal()), self)

    def mean(self) -> float:
        """Expected value of a sample, the clamping included."""
        if self.sigma == 0:
            return _clamp(self.median, self)
        low, high = self._score(self.minimum), self._score(self.maximum)
        whole = self.median * math.exp(self.sigma**2 / 2)
        inside = whole * (_phi(high - self.sigma) - _phi(low - self.sigma))
        return (
            _times(self.minimum, _phi(low))
            + _times(self.maximum, 1.0 - _phi(high))
            + inside
        )

    def _score(self, bound: float) -> float:
        if bound <= 0:
            return -math.inf
        if bound == math.inf:
            return math.inf
        return (math.log(bound) - math.log(self.median)) / self.sigma

    def scaled(self, factor: float) -> "Lognormal":
        """The same law in another unit: every sample times ``factor`` > 0."""
        return Lognormal(
            self.median * factor,
            self.sigma,
            self.minimum * factor,
            self.maximum * factor,
        )

    def to_data(self) -> object:
        """YAML form with plain numbers (seconds or bytes)."""
        return {
            "lognormal": {
                "median": self.median,
                "sigma": self.sigma,
                **_bounds(self),
            }
        }


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponential with mean ``scale`` > 0 before clamping."""

    scale: float
    minimum: float = 0.0
    maximum: float = math.inf

    @property
    def fixed(self) -> float | None:
        """``None``: samples differ."""
        return None

    @property
    def lowest(self) -> float:
        """Smallest value a sample can have."""
        return max(self.minimum, 0.0)

    @property
    def highest(self) -> float:
        """Largest value a sample can have."""
        return self.maximum

    def sample(self, draws: Draws) -> float:
        """Draw one value; consumes one random number."""
        return _clamp(-self.scale * math.log(1.0 - draws.uniform()), self)

    def mean(self) -> float:
        """Expected value of a sample, the clamping included."""
        low = max(self.minimum, 0.0)
        high = max(self.maximum, 0.0)
        tail = math.exp(-low / self.scale) - math.exp(-high / self.scale)
        return low + self.scale * tail

    def scaled(self, factor: float) -> "Exponential":
        """The same law in another unit: every sample times ``factor`` > 0."""
        return Exponential(
            self.scale * factor, self.minimum * factor, self.maximum * factor
        )

    def to_data(self) -> object:
        """YAML form with plain numbers (seconds or bytes)."""
        return {"exponential": {"mean": self.scale, **_bounds(self)}}


@dataclass(frozen=True, slots=True)
class Empirical:
    """One of the listed values, with the given weights (empty = all alike)."""

    values: tuple[float, ...]
    weights: tuple[float, ...] = ()
    minimum: float = -math.inf
    maximum: float = math.inf
    _ends: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", tuple(accumulate(self.weights)))

    @property
    def fixed(self) -> float | None:
        """``None``: samples differ."""
        return None

    @property
    def lowest(self) -> float:
        """Smallest value a sample can have."""
        return _clamp(min(self.values), self)

    @property
    def highest(self) -> float:
        """Largest value a sample can have."""
        return _clamp(max(self.values), self)

    def sample(self, draws: Draws) -> float:
        """Draw one value; consumes one random number."""
        if not self.weights:
            index = int(draws.uniform() * len(self.values))
        else:
            index = bisect_right(self._ends, draws.uniform() * self._ends[-1])
        # A product may round up to the end of the table.
        return _clamp(self.values[min(index, len(self.values) - 1)], self)

    def mean(self) -> float:
        """Expected value of a sample, the clamping included."""
        values = [_clamp(value, self) for value in self.values]
        if not self.weights:
            return math.fsum(values) / len(values)
        weighted = (v * w for v, w in zip(values, self.weights, strict=True))
        return math.fsum(weighted) / math.fsum(self.weights)

    def scaled(self, factor: float) -> "Empirical":
        """The same law in another unit: every sample times ``factor`` > 0."""
        return Empirical(
            tuple(value * factor for value in self.values),
            self.weights,
            self.minimum * factor,
            self.maximum * factor,
        )

    def to_data(self) -> object:
        """YAML form with plain numbers (seconds or bytes)."""
        body: dict[str, object] = {"values": list(self.values), **_bounds(self)}
        if self.weights:
            body["weights"] = list(self.weights)
        return {"empirical": body}


AnyDistribution = Fixed | Uniform | Normal | Lognormal | Exponential | Empirical
_Bounded = Normal | Lognormal | Exponential | Empirical


def _clamp(value: float, bounds: _Bounded) -> float:
    return min(max(value, bounds.minimum), bounds.maximum)


def _bounds(bounds: _Bounded) -> dict[str, object]:
    found: dict[str, object] = {}
    if math.isfinite(bounds.minimum):
        found["min"] = bounds.minimum
    if math.isfinite(bounds.maximum):
        found["max"] = bounds.maximum
    return found


def _phi(score: float) -> float:
    return 0.5 * math.erfc(-score / math.sqrt(2.0))


def _density(score: float) -> float:
    return math.exp(-score * score / 2.0) / math.sqrt(2.0 * math.pi)


def _times(bound: float, probability: float) -> float:
    """Product in which an infinite bound of probability 0 counts nothing."""
    return bound * probability if math.isfinite(bound) else 0.0
