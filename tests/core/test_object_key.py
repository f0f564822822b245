"""Object keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core import object_key
from fleetsim.core.object_key import LogKey

NUMBERS = st.integers(0, 99_999_999)
LOG_KEYS = st.builds(
    LogKey,
    device_id=st.from_regex(r"[0-9A-F]{8}", fullmatch=True),
    session=NUMBERS,
    split=NUMBERS,
    epoch_unix_s=st.integers(0, 0xFFFFFFFF),
    extension=st.sampled_from(["MF4", "MFC", "MFE", "MFM"]),
)


def write(key: LogKey) -> str:
    """Write the key of its parts."""
    return object_key.log_key(
        key.device_id, key.session, key.split, key.epoch_unix_s, key.extension
    )


def test_documented_log_key() -> None:
    """The documented example: midnight of 2020-01-01 UTC is ``5E0BE100``."""
    key = object_key.log_key("2F6913DB", 1, 2, 1577836800, "MF4")
    assert key == "2F6913DB/00000001/00000002-5E0BE100.MF4"


@given(LOG_KEYS)
def test_parse_inverts_write(key: LogKey) -> None:
    """Reading a written key gives its parts back."""
    assert object_key.parse_log_key(write(key)) == key


@given(st.text(max_size=60))
def test_parse_never_raises_and_inverts(text: str) -> None:
    """Whatever is read as a key is written the same way again."""
    key = object_key.parse_log_key(text)
    assert key is None or write(key) == text


@given(LOG_KEYS, LOG_KEYS)
def test_order_of_one_device_is_the_order_of_its_files(
    one: LogKey, two: LogKey
) -> None:
    """Within a device, keys sort as (session, split, epoch) do."""
    key, other = write(one)[9:], write(two)[9:]
    mine = (one.session, one.split, one.epoch_unix_s)
    theirs = (two.session, two.split, two.epoch_unix_s)
    if mine != theirs:
        assert (key < other) == (mine < theirs)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("2F6913DB/00000001/00000002.MF4", id="no-epoch"),
        pytest.param("2f6913db/00000001/00000002-5E0BE100.MF4", id="lower-case-id"),
        pytest.param("2F6913DB/00000001/00000002-5e0be100.MF4", id="lower-case-epoch"),
        pytest.param("2F6913DB/1/00000002-5E0BE100.MF4", id="short-session"),
        pytest.param("/2F6913DB/00000001/00000002-5E0BE100.MF4", id="leading-slash"),
        pytest.param("2F6913DB/00000001/00000002-5E0BE100.MF4\n", id="newline"),
        pytest.param("2F6913DB/0000000²/00000002-5E0BE100.MF4", id="odd-digit"),
        pytest.param("2F6913DB/device.json", id="device-file"),
    ],
)
def test_parse_refuses(key: str) -> None:
    """Near misses are no log keys."""
    assert object_key.parse_log_key(key) is None


@pytest.mark.parametrize(
    ("unix_s", "digits"),
    [(0, "00000000"), (2**32 - 1, "FFFFFFFF"), (2**32, "00000000"), (-1, "FFFFFFFF")],
)
def test_epoch_wraps_at_32_bits(unix_s: int, digits: str) -> None:
    """Eight digits hold 32 bits, whatever the clock says."""
    assert f"-{digits}." in object_key.log_key("00000000", 1, 1, unix_s, "MF4")


def test_keys_beside_the_logs() -> None:
    """Everything else of a device lies directly in its folder."""
    assert object_key.device_file_key("2F6913DB") == "2F6913DB/device.json"
    assert object_key.bundle_key("2F6913DB") == "2F6913DB/certs_server.p7b"
    assert object_key.firmware_key("2F6913DB") == "2F6913DB/firmware.bin"


@pytest.mark.parametrize("fw_ver", ["01.07.05", "01.07"])
def test_versioned_keys_leave_out_the_patch(fw_ver: str) -> None:
    """Configuration and schema are named by major and minor version."""
    assert object_key.config_key("2F6913DB", fw_ver) == "2F6913DB/config-01.07.json"
    assert object_key.schema_key("2F6913DB", fw_ver) == "2F6913DB/schema-01.07.json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2F6913DB", True), ("2f6913db", False), ("2F6913D", False), ("2F6913DBA", False)],
)
def test_is_device_id(text: str, expected: bool) -> None:
    """Device ids are eight upper-case hex digits."""
    assert object_key.is_device_id(text) is expected
