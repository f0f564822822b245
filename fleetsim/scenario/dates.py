"""Dates: moments of the calendar as people write them, in UTC."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema

from fleetsim.scenario.quantities import shown

DATE_FORMS: Final = "a UTC date such as 2027-03-02 or 2027-03-02T14:30Z"
EARLIEST_YEAR: Final = 1970
LATEST_YEAR: Final = 2199

_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?Z)?$"
_DATE = re.compile(_PATTERN, re.ASCII)


def parse_date(text: str) -> int:
    """Read a moment: ``YYYY-MM-DD``, ``YYYY-MM-DDTHH:MMZ`` or with seconds.

    The forms are those of RFC 3339 that need no time zone; years 1970 to 2199.

    Returns:
        Unix seconds.

    Raises:
        ValueError: Another form, or no such day or time.
    """
    refusal = f"expected {DATE_FORMS}, not {shown(text)}"
    # `$` would let a line feed pass.
    if _DATE.match(text) is None or text.endswith("\n"):
        raise ValueError(refusal)
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"there is no {shown(text)}: {refusal}") from None
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise ValueError(
            f"{shown(text)} is not in the years {EARLIEST_YEAR} to {LATEST_YEAR}"
        )
    return round(moment.timestamp())


def format_date(unix_s: float) -> str:
    """Write a moment to the second; :func:`parse_date` reads it back."""
    return f"{datetime.fromtimestamp(round(unix_s), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _checked(text: str) -> str:
    parse_date(text)
    return text


DATE_SCHEMA: Final[dict[str, Any]] = {
    "description": f"{DATE_FORMS[0].upper()}{DATE_FORMS[1:]}.",
    "type": "string",
    "pattern": _PATTERN,
}
Date = Annotated[str, AfterValidator(_checked), WithJsonSchema(DATE_SCHEMA)]
