"""Parts cover every key of the fleet once, and none holds more than fits."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.object_key import (
    bundle_key,
    config_key,
    device_file_key,
    firmware_key,
    log_key,
    schema_key,
)
from fleetsim.target import prefixes
from fleetsim.target.prefixes import parts, roots


@dataclass
class Keys:
    """Keys in memory."""

    keys: list[str]
    devices: frozenset[str]

    def count(self, prefix: str) -> int:
        """Keys below a prefix."""
        return sum(key.startswith(prefix) for key in self.keys)


def files_of(device: str) -> list[str]:
    """The objects beside a device's sessions."""
    return [
        device_file_key(device),
        bundle_key(device),
        firmware_key(device),
        config_key(device, "01.07.05"),
        schema_key(device, "01.07.05"),
    ]


@given(
    logs=st.lists(
        st.tuples(
            st.integers(0, 40),
            st.integers(0, 99_999_999),
            st.integers(0, 99_999_999),
        ),
        max_size=60,
    ),
    limit=st.integers(1, 20),
)
def test_every_key_is_in_exactly_one_part(
    logs: list[tuple[int, int, int]], limit: int
) -> None:
    """Whatever the fleet sent or might have sent, and however finely it is cut."""
    devices = [f"{number * 0x0661_1227 & 0xFFFF_FFFF:08X}" for number in range(41)]
    keys = {log_key(devices[n], session, split, 1, "MF4") for n, session, split in logs}
    named = frozenset(devices[n] for n, _, _ in logs)
    sent = Keys(sorted(keys), named)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefixes, "KEYS_AT_ONCE", limit)
        found = list(parts(sent))
    for device in named:
        others = [log_key(device, 7, 99_999_999, 5, "MFC"), *files_of(device)]
        for key in (*keys, *others):
            assert sum(key.startswith(prefix) for prefix in found) == 1, key
    for prefix in found:
        if len(prefix) < 26:
            assert sent.count(prefix) <= limit


def test_a_few_devices_are_listed_by_themselves() -> None:
    """Somebody else's objects in the bucket are not even listed."""
    devices = frozenset({"0000002A", "FFFFFFF0"})
    assert roots(devices) == ("0000002A/", "FFFFFFF0/")
    assert list(parts(Keys([], devices))) == ["0000002A/", "FFFFFFF0/"]


def test_many_devices_are_listed_by_digit() -> None:
    """Thirty-three listings would be more than sixteen."""
    assert roots(frozenset(f"{n:08X}" for n in range(33))) == tuple("0123456789ABCDEF")


def test_no_devices_no_listings() -> None:
    """A run that sent nothing asks for nothing."""
    assert list(parts(Keys([], frozenset()))) == []
