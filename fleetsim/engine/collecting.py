"""Collecting: keep Python's cyclic garbage collector out of the way of a running fleet.

What a run makes and drops is freed by reference counts. The collector would still walk
over every device of the fleet again and again, and each full walk over 100,000 devices
stops the loop for longer than a request takes.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLD: Final = 20_000
"""New objects between two walks over the youngest ones; Python's own is 700."""


@contextmanager
def settled() -> Iterator[None]:
    """Take what is there now out of the collector's sight until the block ends.

    Call it when the fleet is built. The collector stays on for what comes later: a
    cycle that slips in is found, only less often.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
