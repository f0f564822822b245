"""Quantities: durations, sizes and ratios as people write them.

Durations are seconds (float), sizes bytes (int), ratios 0..1 (float). A bare number is
seconds or bytes. ``16k`` and ``16M`` are refused on purpose: half of the tools of this
field read them as powers of 1000 and half as powers of 1024, and a factor nobody chose
would end up in a throughput figure.
"""

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

MAX_DURATION_S: Final = 100 * 365 * 86400.0
MAX_SIZE_BYTES: Final = 2**50

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_PARTS = re.compile(rf"({_NUMBER})\s*([a-zµμ]+)\s*")
_ONE = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)\Z")
_PLAIN = re.compile(rf"(?:{_NUMBER})(?:[eE][+-]?[0-9]{{1,3}})?\Z")
_RATIO = re.compile(rf"({_NUMBER})\s*(%?)\Z")
_LONGEST_TEXT = 64

_NS: Final[dict[str, int]] = {
    "w": 7 * 86400 * 10**9,
    "d": 86400 * 10**9,
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
_DURATION_SPELLINGS: Final[dict[str, str]] = {
    "µs": "us",  # MICRO SIGN
    "μs": "us",  # GREEK SMALL LETTER MU
    "min": "m",
    "sec": "s",
}
_BYTES: Final[dict[str, int]] = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE_UNITS: Final = (
    ("TiB", 2**40),
    ("TB", 10**12),
    ("GiB", 2**30),
    ("GB", 10**9),
    ("MiB", 2**20),
    ("MB", 10**6),
    ("KiB", 2**10),
    ("kB", 10**3),
)
DURATION_FORMS: Final = "a duration such as 250ms, 30s, 5m, 1h30m or 2d"
SIZE_FORMS: Final = "a size such as 512B, 64KiB, 1.5MiB or 10MB"
RATIO_FORMS: Final = "a ratio from 0 to 1, or a percentage such as 0.5%"


def parse_duration(value: object, *, signed: bool = False) -> float:
    """Read a duration.

    Args:
        value: Number of seconds, or text: parts of number and unit (``w d h m s ms us
            ns``), largest unit first, each unit once.
        signed: Whether a leading minus sign is accepted.

    Returns:
        Seconds, at most 100 years.

    Raises:
        ValueError: Anything else, including NaN, infinity, true and false.
    """
    if isinstance(value, str):
        seconds = _duration_of_text(value, signed=signed)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = _finite(value, DURATION_FORMS)
    else:
        raise ValueError(  # noqa: TRY004 - pydantic gathers ValueErrors only
            f"expected {DURATION_FORMS}, not {shown(value)}"
        )
    if seconds < 0 and not signed:
        raise ValueError(f"a duration cannot be negative: {shown(value)}")
    if abs(seconds) > MAX_DURATION_S:
        raise ValueError(f"{shown(value)} is longer than 100 years")
    return seconds


def _duration_of_text(text: str, *, signed: bool) -> float:
    stripped = text.strip()
    refusal = f"expected {DURATION_FORMS}, not {shown(text)}"
    if not stripped or len(stripped) > _LONGEST_TEXT:
        raise ValueError(refusal)
    sign = 1
    if stripped[0] in "+-":
        sign = -1 if stripped[0] == "-" else 1
        stripped = stripped[1:].lstrip()
    if _PLAIN.match(stripped):
        return sign * _finite(float(stripped), DURATION_FORMS)
    total = Decimal(0)
    smallest = max(_NS.values()) + 1
    position = 0
    while position < len(stripped):
        part = _PARTS.match(stripped, position)
        if part is None:
            raise ValueError(refusal)
        unit = _DURATION_SPELLINGS.get(part[2], part[2])
        if unit not in _NS:
            raise ValueError(
                f"unknown unit {part[2]!r} in {shown(text)}: expected {DURATION_FORMS}"
            )
        if _NS[unit] >= smallest:
            raise ValueError(
                f"units must go from large to small, each once, in {shown(text)}"
            )
        smallest = _NS[unit]
        total += Decimal(part[1]) * smallest
        position = part.end()
    if sign < 0 and not signed and total:
        raise ValueError(f"a duration cannot be negative: {shown(text)}")
    return sign * float(total / 10**9)


def parse_size(value: object) -> int:
    """Read a size.

    Args:
        value: Whole number of bytes, or text: number and unit (``B``; ``kB MB GB TB``
            powers of 1000; ``KiB MiB GiB TiB`` or ``Ki Mi Gi Ti`` powers of 1024).

    Returns:
        Bytes, 0..2**50.

    Raises:
        ValueError: Anything else, including fractions of a byte and units that are
            ambiguous (``k``, ``M``) or bits (``Mb``).
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(  # noqa: TRY004 - pydantic gathers ValueErrors only
            f"expected {SIZE_FORMS}, not {shown(value)}"
        )
    if isinstance(value, str):
        amount = _size_of_text(value)
    else:
        _finite(value, SIZE_FORMS)
        amount = Decimal(value)
    if amount < 0:
        raise ValueError(f"a size cannot be negative: {shown(value)}")
    if amount != amount.to_integral_value():
        raise ValueError(f"{shown(value)} is not a whole number of bytes")
    if amount > MAX_SIZE_BYTES:
        raise ValueError(f"{shown(value)} is larger than 1024 TiB")
    return int(amount)


def _size_of_text(text: str) -> Decimal:
    stripped = text.strip()
    negative = stripped.startswith("-")
    found = _ONE.match(stripped[negative:]) if len(stripped) <= _LONGEST_TEXT else None
    if found is None:
        raise ValueError(f"expected {SIZE_FORMS}, not {shown(text)}")
    unit = found[2]
    if unit and unit[0].lower() in "kmgt" and len(unit) == 1:
        raise ValueError(
            f"{shown(text)} is ambiguous: write {found[1]}{unit.upper()}iB (powers of "
            f"1024) or {found[1]}{'k' if unit in 'kK' else unit.upper()}B (powers of 1000)"
        )
    if unit in {"Kb", "Mb", "Gb", "Tb", "bit"}:
        raise ValueError(f"{shown(text)} looks like bits: expected {SIZE_FORMS}")
    factor = _BYTES.get(unit.lower()) if unit else 1
    if factor is None:
        raise ValueError(
            f"unknown unit {unit!r} in {shown(text)}: expected {SIZE_FORMS}"
        )
    return Decimal(found[1]) * factor * (-1 if negative else 1)


def parse_ratio(value: object) -> float:
    """Read a share: a number 0..1 or a percentage ``0%``..``100%``.

    Raises:
        ValueError: Anything else.
    """
    refusal = f"expected {RATIO_FORMS}, not {shown(value)}"
    if isinstance(value, str):
        found = _RATIO.match(value.strip()) if len(value) <= _LONGEST_TEXT else None
        if found is None:
            raise ValueError(refusal)
        number = Decimal(found[1])
        ratio = float(number / 100 if found[2] else number)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        ratio = _finite(value, RATIO_FORMS)
    else:
        raise ValueError(refusal)  # noqa: TRY004 - pydantic gathers ValueErrors only
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(refusal)
    return ratio


def parse_number(value: object) -> float:
    """Read a plain finite number.

    Raises:
        ValueError: Anything else, including text, true and false.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(  # noqa: TRY004 - pydantic gathers ValueErrors only
            f"expected a number, not {shown(value)}"
        )
    return _finite(value, "a number")


def format_duration(seconds: float) -> str:
    """Write a duration so that :func:`parse_duration` reads it back to the nanosecond.

    Args:
        seconds: Finite; negative values get a minus sign.
    """
    left = round(abs(Decimal(repr(float(seconds)))) * 10**9)
    if left == 0:
        return "0s"
    parts = ["-" if seconds < 0 else ""]
    for unit in ("d", "h", "m"):
        count, left = divmod(left, _NS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if left and len(parts) == 1 and left < _NS["s"]:
        unit = "ms" if left >= _NS["ms"] else "us" if left >= _NS["us"] else "ns"
        parts.append(f"{_decimal(Decimal(left) / _NS[unit])}{unit}")
    elif left:
        parts.append(f"{_decimal(Decimal(left) / _NS['s'])}s")
    return "".join(parts)


def format_size(size_bytes: int) -> str:
    """Write a size exactly, in the largest unit that divides it.

    ``parse_size(format_size(n)) == n`` for 0 <= n <= 2**50.
    """
    for unit, factor in _SIZE_UNITS:
        if size_bytes >= factor and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def approximate_size(size_bytes: float) -> str:
    """Write a size to three digits in binary units, for people: ``1.37 GiB``."""
    for unit, factor in _SIZE_UNITS:
        if unit.endswith("iB") and size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes:.3g} B"


def _decimal(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _finite(value: float, expected: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"expected {expected}, not {shown(value)}")
    return number


def shown(value: object) -> str:
    """A value as an error message quotes it: bounded, on one line.

    Of collections only the kind is told: nobody knows what is inside.
    """
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of more than 30 digits"
    text = repr(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _signed_duration(value: object) -> float:
    return parse_duration(value, signed=True)


DURATION_SCHEMA: Final[dict[str, Any]] = {
    "description": f"Seconds, or {DURATION_FORMS}.",
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": MAX_DURATION_S},
        {
            "type": "string",
            "pattern": r"^\s*\+?\s*([0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
            r"(\s*(w|d|h|min|m|sec|s|ms|us|µs|μs|ns)"
            r"(\s*([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*(w|d|h|min|m|sec|s|ms|us|µs|μs|ns))*)?\s*$",
        },
    ],
}
SIZE_SCHEMA: Final[dict[str, Any]] = {
    "description": f"Bytes, or {SIZE_FORMS}.",
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": MAX_SIZE_BYTES},
        {
            "type": "string",
            "pattern": r"^\s*([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*"
            r"([Bb]|[KkMmGgTt]i[Bb]?|[KkMmGgTt]B|[kmgt]b)?\s*$",
        },
    ],
}
RATIO_SCHEMA: Final[dict[str, Any]] = {
    "description": f"{RATIO_FORMS[0].upper()}{RATIO_FORMS[1:]}.",
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\s*([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*%?\s*$"},
    ],
}
SIGNED_DURATION_SCHEMA: Final[dict[str, Any]] = {
    "description": f"Seconds, or {DURATION_FORMS}; may be negative.",
    "anyOf": [
        {"type": "number", "minimum": -MAX_DURATION_S, "maximum": MAX_DURATION_S},
        {
            "type": "string",
            "pattern": DURATION_SCHEMA["anyOf"][1]["pattern"].replace(r"\+?", "[+-]?"),
        },
    ],
}

Duration = Annotated[
    float, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)
]
SignedDuration = Annotated[
    float, BeforeValidator(_signed_duration), WithJsonSchema(SIGNED_DURATION_SCHEMA)
]
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(SIZE_SCHEMA)]
Ratio = Annotated[float, BeforeValidator(parse_ratio), WithJsonSchema(RATIO_SCHEMA)]
Number = Annotated[
    float, BeforeValidator(parse_number), WithJsonSchema({"type": "number"})
]
