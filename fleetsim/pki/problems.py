"""Problems: refusing input with everything that is wrong, but never ten thousand lines."""

from collections.abc import Sequence
from typing import Final

from fleetsim.exceptions import InputError, Problem

_SHOWN_AT_MOST: Final = 20


def refuse(problems: Sequence[Problem]) -> None:
    """Raise when there are problems; long lists are cut and counted.

    Raises:
        InputError: With at most 20 problems and the number of the others.
    """
    if not problems:
        return
    shown = list(problems[:_SHOWN_AT_MOST])
    if len(problems) > _SHOWN_AT_MOST:
        rest = len(problems) - _SHOWN_AT_MOST
        shown.append(Problem("", f"{rest} more problems of this kind"))
    raise InputError(shown)
