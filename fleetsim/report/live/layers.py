"""Layers: what every device was, second by second, as the changes between them.

A layer answers one question (state, cipher group, bundle generation) with one byte per
device. Pages get the changes, so that 10,000 devices cost what changed, and can show
the fleet at any moment. Memory is bounded: past :data:`MAX_CHANGES` the oldest changes
become part of the beginning.
"""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

MAX_CHANGES: Final = 1_000_000
_BLOCK: Final = 1_000


class Layer:
    """One byte per device, and how it came about.

    Args:
        devices: How many; they begin with code 0.
        most: Most changes kept one by one.
    """

    def __init__(self, devices: int, most: int = MAX_CHANGES) -> None:
        self._most = most
        self._kept = 0
        self._base = bytearray(devices)
        self._base_s = 0.0
        self._now = bytes(devices)
        self._batches: deque[tuple[float, Sequence[int], bytes, str]] = deque()

    def update(self, at_s: float, codes: bytes) -> str:
        """Take the codes of another second.

        Args:
            at_s: Run time.
            codes: One per device.

        Returns:
            The changes as JSON: ``[at_s, [index, …], [code, …]]``; empty = none.
        """
        if codes == self._now:
            return ""
        before, self._now = self._now, codes
        changed: list[int] = []
        for begin in range(0, len(codes), _BLOCK):
            old, new = before[begin : begin + _BLOCK], codes[begin : begin + _BLOCK]
            if old != new:
                changed += [
                    place
                    for place, (was, now) in enumerate(
                        zip(old, new, strict=True), begin
                    )
                    if was != now
                ]
        return self.append(at_s, changed, bytes([codes[place] for place in changed]))

    def append(self, at_s: float, changed: Sequence[int], codes: bytes) -> str:
        """Take changes that are known already, in the order of their times."""
        if not changed:
            return ""
        text = json.dumps(
            [round(at_s, 2), list(changed), list(codes)], separators=(",", ":")
        )
        self._batches.append((at_s, changed, codes, text))
        self._kept += len(changed)
        while self._kept > self._most and len(self._batches) > 1:
            self._fold()
        return text

    def _fold(self) -> None:
        at_s, changed, codes, _ = self._batches.popleft()
        self._kept -= len(changed)
        self._base_s = at_s
        for place, code in zip(changed, codes, strict=True):
            self._base[place] = code

    def to_json(self, names: Iterable[Any]) -> str:
        """Everything a page needs to show the layer at any time.

        Args:
            names: What the codes mean, by code.
        """
        base = list(self._base) if self._base_s else []
        head = json.dumps(
            {"names": list(names), "base_s": self._base_s, "base": base},
            separators=(",", ":"),
        )
        batches = ",".join(text for _, _, _, text in self._batches)
        return f'{head[:-1]},"batches":[{batches}]}}'
