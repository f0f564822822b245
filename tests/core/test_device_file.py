import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.device_file import device_json
from fleetsim.core.settings import Identity

CE2 = Identity(
    type_code="0000001F",
    fw_ver="01.07.05",
    extra=(("wifi_fw_ver", "19.3.0/19.6.1"),),
)
DOCUMENTED_KEYS = [
    "id",
    "type",
    "kpub",
    "fw_ver",
    "hw_ver",
    "cfg_ver",
    "cfg_name",
    "cfg_crc32",
    "sch_name",
    "log_meta",
    "space_used_mb",
    "sd_info",
    "sd_used_lifespan",
    "reset_cause",
    "wifi_fw_ver",
    "certs_server_sha1",
]


def test_documented_keys() -> None:
    """Keys and their order are those of the documented example."""
    content = json.loads(device_json(CE2, device_id="4F07A3C3"))
    assert list(content) == DOCUMENTED_KEYS


def test_documented_values() -> None:
    """Values have the documented form; an 8 GB card is 7572 units of 2**20 bytes."""
    content = json.loads(
        device_json(
            CE2,
            device_id="4F07A3C3",
            config_crc32="9ECC0C10",
            digests=("5BDA1A96DF69FEB62E2E0A61BD2672C03CAA9473",),
            used_bytes=36 << 20,
            size_bytes=7572 << 20,
            log_meta="Truck1",
        )
    )
    assert content["id"] == "4F07A3C3"
    assert content["type"] == "0000001F"
    assert content["cfg_ver"] == "01.07"
    assert content["cfg_name"] == "config-01.07.json"
    assert content["sch_name"] == "schema-01.07.json"
    assert content["cfg_crc32"] == "9ECC0C10"
    assert content["space_used_mb"] == "36/7572"
    assert content["log_meta"] == "Truck1"
    assert content["certs_server_sha1"] == ["5BDA1A96DF69FEB62E2E0A61BD2672C03CAA9473"]


@pytest.mark.parametrize("key", ["certs_server_sha1", "certs_server_md5"])
def test_digests_key(key: str) -> None:
    """The trust hashes stand under the key of the device model, empty = no trust."""
    identity = replace(CE2, digests_key=key)
    assert json.loads(device_json(identity, device_id="00000001"))[key] == []


def test_firmware_in_use_names_the_files() -> None:
    """After an update the files are named after the new firmware."""
    content = json.loads(device_json(CE2, device_id="00000001", fw_ver="01.09.02"))
    assert content["fw_ver"] == "01.09.02"
    assert content["cfg_name"] == "config-01.09.json"
    assert content["sch_name"] == "schema-01.09.json"


@given(meta=st.text(max_size=40), cause=st.text(max_size=40))
def test_any_text_is_plain_json(meta: str, cause: str) -> None:
    """Whatever the texts, the file is ASCII JSON that reads back, and repeatable."""
    written = device_json(CE2, device_id="00000001", log_meta=meta, reset_cause=cause)
    content = json.loads(written.decode("ascii"))
    assert (content["log_meta"], content["reset_cause"]) == (meta, cause)
    again = device_json(CE2, device_id="00000001", log_meta=meta, reset_cause=cause)
    assert again == written
