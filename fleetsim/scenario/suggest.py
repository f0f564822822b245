"""Did you mean: the nearest known name, for error messages."""

import difflib
from collections.abc import Iterable

_LONGEST_NAME = 100  # comparing is quadratic; nobody mistypes a name this long


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Sentence part such as `` (did you mean 'count'?)``, empty when nothing is near."""
    if len(word) > _LONGEST_NAME:
        return ""
    by_folded = {name.casefold(): str(name) for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f" (did you mean {by_folded[near[0]]!r}?)" if near else ""
