"""Layers: the changes lead from the beginning to now, however many there were."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetsim.report.live.layers import Layer


def played(data: dict[str, Any], devices: int) -> list[int]:
    """What a page shows after it has applied everything."""
    now = list(data["base"]) or [0] * devices
    for _, indexes, codes in data["batches"]:
        for index, code in zip(indexes, codes, strict=True):
            now[index] = code
    return now


SIZE = 12
CODES = st.lists(st.integers(0, 6), min_size=SIZE, max_size=SIZE).map(bytes)


@given(st.lists(CODES, max_size=20), st.sampled_from([1, 5, 10_000]))
def test_changes_lead_to_now(seconds: list[bytes], most: int) -> None:
    """Also when the oldest changes were folded into the beginning."""
    layer = Layer(SIZE, most)
    told = [layer.update(float(at), codes) for at, codes in enumerate(seconds, 1)]
    data = json.loads(layer.to_json(["a"]))
    assert played(data, SIZE) == list(seconds[-1] if seconds else bytes(SIZE))
    assert data["names"] == ["a"]
    kept = sum(len(indexes) for _, indexes, _ in data["batches"])
    assert kept <= max(most, SIZE)
    before = bytes(SIZE)
    for text, codes in zip(told, seconds, strict=True):
        changed = json.loads(text)[1] if text else []
        assert changed == [n for n in range(SIZE) if before[n] != codes[n]]
        before = codes


def test_large_fleets_are_compared_in_blocks() -> None:
    """A change far out is found at its place."""
    codes = bytearray(10_000)
    codes[9_999] = codes[1_000] = 3
    assert json.loads(Layer(10_000).update(1.5, bytes(codes))) == [
        1.5,
        [1000, 9999],
        [3, 3],
    ]
