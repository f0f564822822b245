import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.pki.certificates import seeded_serials
from fleetsim.pki.identities import (
    check_device_ids,
    issue_devices,
    numbered_ids,
    parse_ids,
)
from fleetsim.pki.keys import KeyType, generate_key, is_pair
from fleetsim.pki.names import common_name_of
from tests.pki.conftest import Hierarchy


def test_each_device_has_a_certificate_of_its_own(hierarchy: Hierarchy) -> None:
    """Names, order and serials are per device, whatever the keys."""
    ids = numbered_ids(20)
    found = list(
        issue_devices(
            hierarchy.devices, ids, validity=hierarchy.validity, key_type=KeyType.P256
        )
    )
    assert tuple(each.device_id for each in found) == ids
    assert tuple(common_name_of(each.certificate.subject) for each in found) == ids
    assert len({each.certificate.serial_number for each in found}) == 20
    for each in found:
        each.certificate.verify_directly_issued_by(hierarchy.devices.certificate)
        assert is_pair(each.certificate, each.key)
        assert each.chain == (hierarchy.devices.certificate,)


@pytest.mark.parametrize(
    ("devices", "pool_size", "unique_keys", "expected_keys"),
    [
        pytest.param(10, 3, False, 3, id="pool"),
        pytest.param(2, 32, False, 2, id="pool-larger-than-fleet"),
        pytest.param(10, 3, True, 10, id="unique"),
        pytest.param(1, 1, True, 1, id="one-unique"),
    ],
)
def test_keys_are_shared_as_asked(
    hierarchy: Hierarchy,
    devices: int,
    pool_size: int,
    unique_keys: bool,
    expected_keys: int,
) -> None:
    """A pool is shared round-robin; unique keys are all different."""
    found = list(
        issue_devices(
            hierarchy.devices,
            numbered_ids(devices),
            validity=hierarchy.validity,
            key_type=KeyType.P256,
            pool_size=pool_size,
            unique_keys=unique_keys,
        )
    )
    assert len({each.key_pem() for each in found}) == expected_keys
    assert found[0].key is found[devices - devices % expected_keys - expected_keys].key


def test_a_pool_can_be_given(hierarchy: Hierarchy) -> None:
    """Keys passed in are used in turn, none is generated."""
    keys = (generate_key(KeyType.P256), generate_key(KeyType.P256))
    found = issue_devices(
        hierarchy.devices, numbered_ids(3), validity=hierarchy.validity, keys=keys
    )
    assert [each.key for each in found] == [keys[0], keys[1], keys[0]]


def test_serials_repeat_with_their_seed(hierarchy: Hierarchy) -> None:
    """The same serial source makes the same serial numbers."""
    runs = [
        [
            each.certificate.serial_number
            for each in issue_devices(
                hierarchy.devices,
                numbered_ids(5),
                validity=hierarchy.validity,
                key_type=KeyType.P256,
                serials=seeded_serials(11),
            )
        ]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        pytest.param((), "there are none", id="none"),
        pytest.param(("A", "B", "A"), "appears twice", id="twice"),
        pytest.param(("../../etc/passwd",), "letters, digits", id="path"),
        pytest.param((".hidden",), "letters, digits", id="dot"),
        pytest.param(("",), "letters, digits", id="empty"),
        pytest.param(("x" * 65,), "1 to 64", id="long"),
        pytest.param(("A\n",), "letters, digits", id="newline"),
    ],
)
def test_unusable_ids_are_refused_at_the_call(
    hierarchy: Hierarchy, ids: tuple[str, ...], words: str
) -> None:
    """Bad ids are refused before the first certificate, not while iterating."""
    with pytest.raises(InputError, match=words):
        issue_devices(hierarchy.devices, ids, validity=hierarchy.validity)


@pytest.mark.parametrize("unique_keys", [False, True])
def test_impossible_key_type_is_refused_at_the_call(
    hierarchy: Hierarchy, unique_keys: bool
) -> None:
    """A key type that cannot be made is refused at once, pooled or not."""
    with pytest.raises(InputError, match="openssl genrsa"):
        issue_devices(
            hierarchy.devices,
            ("A",),
            validity=hierarchy.validity,
            key_type=KeyType.RSA_512,
            unique_keys=unique_keys,
        )


def test_empty_pool_is_refused(hierarchy: Hierarchy) -> None:
    """Devices cannot share fewer than one key."""
    with pytest.raises(InputError, match="at least 1"):
        issue_devices(
            hierarchy.devices, ("A",), validity=hierarchy.validity, pool_size=0
        )


def test_many_problems_are_counted() -> None:
    """Ten thousand bad ids are 20 lines and a number."""
    with pytest.raises(InputError) as caught:
        check_device_ids(["-"] * 10_000)
    assert len(caught.value.problems) == 21
    assert "9980 more" in str(caught.value)


@given(st.integers(1, 300), st.integers(0, 0xFFFFFFFF - 300))
def test_numbered_ids_are_distinct_8_hex_digits(count: int, first: int) -> None:
    """Numbered ids look like a device's own id and never repeat."""
    ids = numbered_ids(count, first)
    assert len(set(ids)) == count
    assert [int(each, 16) for each in ids] == list(range(first, first + count))
    assert {len(each) for each in ids} == {8}
    check_device_ids(ids)


@pytest.mark.parametrize(
    ("count", "first"), [(0, 1), (-5, 1), (1, -1), (2, 0xFFFFFFFF)]
)
def test_numbered_ids_out_of_range(count: int, first: int) -> None:
    """No devices, negative numbers and more than 32 bits are refused."""
    with pytest.raises(InputError):
        numbered_ids(count, first)


def test_ids_file() -> None:
    """One id a line; comments and blank lines are skipped."""
    text = b"# fleet\n0000000A  # the first\n\n 0000000B\r\n"
    assert parse_ids(text, "fleet.txt") == ("0000000A", "0000000B")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"", "holds no device id", id="empty"),
        pytest.param(b"# only\n", "holds no device id", id="comments"),
        pytest.param(b"\xff\xfeA", "is not UTF-8", id="utf-16"),
    ],
)
def test_unusable_ids_file(text: bytes, words: str) -> None:
    """A file without ids is refused by its name."""
    with pytest.raises(InputError, match=rf"fleet\.txt: {words}"):
        parse_ids(text, "fleet.txt")


def test_keys_never_show(hierarchy: Hierarchy) -> None:
    """An identity's repr holds no word about its key."""
    (found,) = issue_devices(
        hierarchy.devices, ("A",), validity=hierarchy.validity, key_type=KeyType.P256
    )
    assert "key" not in repr(found).lower()
