"""Catalog: every fault by the word that names it, made of checked arguments."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from math import isfinite
from typing import Any, Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.flow import Fault
from fleetsim.lab.faults.half_close import HalfClose
from fleetsim.lab.faults.reset import Reset
from fleetsim.lab.faults.slow_first_byte import SlowFirstByte
from fleetsim.lab.faults.throttle import Throttle
from fleetsim.lab.faults.truncate import Truncate

FAULTS: Final[Mapping[str, type[Any]]] = {
    fault.kind: fault
    for fault in (
        Blackhole,
        Delay,
        HalfClose,
        Reset,
        SlowFirstByte,
        Throttle,
        Truncate,
    )
}
"""Every fault by its kind."""

MOST_S: Final = 86_400.0
MOST_BYTES: Final = 1 << 40


def make_fault(kind: str, values: Mapping[str, float]) -> Fault:
    """Make a fault of a kind.

    Args:
        kind: Key of :data:`FAULTS`.
        values: Its fields; see the class for their units.

    Raises:
        InputError: No such kind, or with every missing, unknown or absurd value.
    """
    fault = FAULTS.get(kind)
    if fault is None:
        known = ", ".join(FAULTS)
        raise InputError(Problem("kind", f"there is no fault {kind!r}; known: {known}"))
    problems = list(_problems(fault, values))
    if problems:
        raise InputError(problems)
    made: Fault = fault(**values)
    return made


def _problems(fault: type[Any], values: Mapping[str, float]) -> Iterator[Problem]:
    known = {field.name: field for field in fields(fault)}
    for name in values.keys() - known.keys():
        takes = ", ".join(known) or "nothing"
        yield Problem(name, f"a {fault.kind} takes no such value; it takes {takes}")
    for name, field in known.items():
        if name not in values:
            if field.default is MISSING:
                yield Problem(name, f"a {fault.kind} needs it")
            continue
        value = values[name]
        most = MOST_S if name.endswith("_s") and "_per_" not in name else MOST_BYTES
        least = 1 if name == "bytes_per_s" else 0
        if not isfinite(value) or not least <= value <= most:
            yield Problem(name, f"is {value}, must be {least} to {most:g}")
