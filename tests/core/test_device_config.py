import copy
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.device_config import MAX_BYTES, DeviceConfig, crc32, parse
from fleetsim.exceptions import InputError

SECRET = "hush/hush+hush"
CONFIG: dict[str, Any] = {
    "general": {"device": {"meta": "Site1; Truck4"}, "security": {"kpub": "AAAA"}},
    "log": {
        "file": {
            "split_size": 50,
            "split_time_period": 600,
            "split_time_offset": 30,
            "cyclic": 1,
        },
        "compression": {"level": 256},
        "encryption": {"state": 0},
    },
    "can_1": {"phy": {"mode": 0}, "filter": {"id": []}},
    "connect": {
        "wifi": {"mode": 0, "keyformat": 0, "accesspoint": [{"pwd": SECRET}]},
        "protocol": 0,
        "s3": {
            "sync": {"ota": 600, "heartbeat": 300, "logfiles": 1},
            "server": {
                "endpoint": "https://s3.example.org",
                "port": 9000,
                "bucket": "fleetbucket",
                "region": "eu-central-1",
                "request_style": 1,
                "accesskey": "PRDDKN8R6PAAOGTEI53E",
                "keyformat": 0,
                "secretkey": SECRET,
                "signed_payload": 0,
            },
        },
    },
}
SERVER = "connect.s3.server"


def _changed(path: str, value: object) -> bytes:
    content = copy.deepcopy(CONFIG)
    *sections, name = path.split(".")
    section = content
    for step in sections:
        section = section[step]
    section[name] = value
    return json.dumps(content).encode()


def test_whole_configuration() -> None:
    """Everything a simulated device can follow is taken over, in our units."""
    assert parse(json.dumps(CONFIG).encode()) == DeviceConfig(
        scheme="https",
        host="s3.example.org",
        port=9000,
        bucket="fleetbucket",
        region="eu-central-1",
        virtual_hosted=True,
        signed_payload=False,
        has_access_key=True,
        has_secret_key=True,
        is_secret_encrypted=False,
        heartbeat_s=300.0,
        ota_s=600.0,
        uploads_logs=True,
        split_size_bytes=50_000_000,
        split_period_s=600.0,
        split_offset_s=30.0,
        cyclic=True,
        extension="MFC",
        log_meta="Site1; Truck4",
        network="wifi",
    )


def test_nothing_said() -> None:
    """A configuration that says nothing changes nothing."""
    assert parse(b"{}") == DeviceConfig()
    assert parse(b"{}").is_blank
    assert not parse(json.dumps(CONFIG).encode()).is_blank


def test_secrets_are_not_kept() -> None:
    """No secret is in the value or its repr."""
    found = parse(json.dumps(CONFIG).encode())
    assert SECRET not in repr(found)
    assert "PRDDKN8R6PAAOGTEI53E" not in repr(found)


@pytest.mark.parametrize(
    ("path", "value", "field", "expected"),
    [
        (f"{SERVER}.endpoint", "http://192.168.0.1", "host", "192.168.0.1"),
        (f"{SERVER}.endpoint", "http://192.168.0.1/", "scheme", "http"),
        (f"{SERVER}.endpoint", "https://[::1]", "host", "::1"),
        (f"{SERVER}.endpoint", "", "host", ""),
        (f"{SERVER}.region", "", "region", ""),
        (f"{SERVER}.request_style", 0, "virtual_hosted", False),
        (f"{SERVER}.signed_payload", 1, "signed_payload", True),
        (f"{SERVER}.keyformat", 1, "is_secret_encrypted", True),
        (f"{SERVER}.secretkey", "", "has_secret_key", False),
        ("connect.s3.sync.heartbeat", 0, "heartbeat_s", 0.0),
        ("connect.s3.sync.heartbeat", 1.5, "heartbeat_s", 1.5),
        ("connect.s3.sync.ota", 7, "ota_s", 7.0),
        ("connect.s3.sync.logfiles", 0, "uploads_logs", False),
        ("log.file.split_time_period", 0, "split_period_s", 0.0),
        ("log.file.split_size", 512, "split_size_bytes", 512_000_000),
        ("log.file.cyclic", 0, "cyclic", False),
        ("log.compression.level", 0, "extension", "MF4"),
        ("log.encryption.state", 1, "extension", "MFM"),
        ("connect.s3.server.port", 65535, "port", 65535),
    ],
)
def test_one_value(path: str, value: object, field: str, expected: object) -> None:
    """Each key of the rule schema ends in its field."""
    assert getattr(parse(_changed(path, value)), field) == expected


def test_encrypted_without_compression() -> None:
    """Encrypted, uncompressed files have the extension MFE."""
    content = {"log": {"compression": {"level": 0}, "encryption": {"state": 1}}}
    assert parse(json.dumps(content).encode()).extension == "MFE"


def test_cellular() -> None:
    """A cellular section marks a CANedge3."""
    assert parse(b'{"connect": {"cellular": {}}}').network == "cellular"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{SERVER}.endpoint", "ftp://example.org"),
        (f"{SERVER}.endpoint", "httpss://example.org"),
        (f"{SERVER}.endpoint", "https://example.org:9000"),
        (f"{SERVER}.endpoint", "https://example.org/path"),
        (f"{SERVER}.endpoint", "https://user:word@example.org"),
        (f"{SERVER}.endpoint", "https://" + "a" * 130),
        (f"{SERVER}.endpoint", "https://"),
        (f"{SERVER}.endpoint", 5),
        (f"{SERVER}.port", 0),
        (f"{SERVER}.port", 65536),
        (f"{SERVER}.port", "443"),
        (f"{SERVER}.port", True),
        (f"{SERVER}.bucket", "Bucket"),
        (f"{SERVER}.bucket", "a"),
        (f"{SERVER}.region", "eu central"),
        (f"{SERVER}.request_style", 2),
        (f"{SERVER}.signed_payload", -1),
        (f"{SERVER}.keyformat", 7),
        (f"{SERVER}.secretkey", 5),
        (f"{SERVER}.accesskey", []),
        ("connect.s3.server", []),
        ("connect.s3.sync", None),
        ("connect.s3.sync.ota", 86401),
        ("connect.s3.sync.heartbeat", -5),
        ("connect.s3.sync.heartbeat", 86400.5),
        ("connect.protocol", 1),
        ("log.file.split_size", 0),
        ("log.file.split_size", 10**400),
        ("log.file.cyclic", "yes"),
        ("log.compression.level", 2000),
        ("general.device.meta", "a\nb"),
    ],
)
def test_bad_value(path: str, value: object) -> None:
    """A value out of type or range is refused with its JSON path, and only that."""
    with pytest.raises(InputError) as caught:
        parse(_changed(path, value), "config-01.09.json")
    assert [problem.where for problem in caught.value.problems] == [
        f"config-01.09.json: {path}"
    ]
    assert SECRET not in str(caught.value)


def test_all_problems_at_once() -> None:
    """Every problem is reported, not only the first."""
    content = {
        "connect": {"s3": {"server": {"port": 0, "bucket": "B", "secretkey": 12345}}},
        "log": {"file": {"split_size": "50"}},
    }
    with pytest.raises(InputError) as caught:
        parse(json.dumps(content).encode())
    assert len(caught.value.problems) == 4
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "file:1"),
        (b'{\n"a": 1,\n}', "file:3"),
        (b"[]", "file"),
        (b'{"a": "\xff"}', "file"),
        (b"[" * 100_000, "file"),
        (b" " * (MAX_BYTES + 1), "file"),
        (b'{"a": ' + b"9" * 5000 + b"}", "file"),
    ],
    ids=["empty", "syntax", "list", "not UTF-8", "deep", "large", "huge number"],
)
def test_not_a_configuration(data: bytes, where: str) -> None:
    """What is no JSON object is refused in one sentence, with the line if known."""
    with pytest.raises(InputError) as caught:
        parse(data, "file")
    assert [problem.where for problem in caught.value.problems] == [where]


def test_broken_file_does_not_leak() -> None:
    """The text of a broken file is not in the exception or its causes."""
    with pytest.raises(InputError) as caught:
        parse(json.dumps(CONFIG).encode()[:-1])
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert SECRET not in repr(caught.value)


def test_crc32_of_the_check_string() -> None:
    """CRC-32 is the common one; its published check value is CBF43926."""
    assert crc32(b"123456789") == "CBF43926"


@given(st.binary(max_size=50))
def test_crc32_has_eight_digits(data: bytes) -> None:
    """The checksum is always eight upper-case hex digits."""
    assert len(crc32(data)) == 8
    assert int(crc32(data), 16) == zlib.crc32(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["connect", "s3", "server", "sync", "log", "file", "port", "endpoint"]
            ),
            inner,
        )
    ),
)


@given(
    st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode())
)
def test_foreign_files_end_in_input_errors(data: bytes) -> None:
    """Any bytes end in a configuration or an InputError, nothing else."""
    try:
        found = parse(data)
    except InputError:
        return
    assert isinstance(found, DeviceConfig)
