from dataclasses import fields
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.settings import (
    AdvanceOn,
    DeviceProfile,
    DistinctBy,
    GroupMemory,
    RequestStyle,
)
from fleetsim.exceptions import InputError
from fleetsim.scenario.distributions import Uniform
from fleetsim.scenario.profile_schema import Figure, Provenance, parse_profile
from fleetsim.scenario.yaml_document import read_yaml


def _stated(value: object) -> dict[str, object]:
    return {"value": value, "provenance": "inferred", "source": "a test"}


PROFILE: dict[str, Any] = {
    "name": "tester",
    "description": "for tests",
    "cipher_tables": {
        "only": _stated([{"name": "group 1", "suites": ["AES128-GCM-SHA256"]}])
    },
    "fallback": {
        "advance_on": _stated("tls_failure"),
        "memory": _stated("forever"),
        "step_back": _stated("never"),
        "delay": _stated("250ms"),
    },
    "bundle": {
        "max_certificates": _stated(3),
        "max_size": _stated("2KiB"),
        "distinct_by": _stated("subject"),
        "require_ca": _stated(value=True),
        "rsa_bits": _stated([2048]),
        "ec_curves": _stated(["*"]),
        "on_bad": _stated("clear"),
        "digest": _stated("md5"),
    },
    "tls": {
        "min_version": _stated("TLSv1.2"),
        "max_version": _stated("TLSv1.3"),
        "security_level": _stated(1),
        "curves": _stated(["X25519"]),
        "send_sni": _stated(value=False),
        "check_host": _stated(value=True),
        "check_ip": _stated(value=False),
        "check_key_usage": _stated(value=False),
        "resumption": _stated(value=True),
    },
    "deadlines": {
        "dns": _stated("1s"),
        "connect": _stated("2s"),
        "handshake": _stated("3s"),
        "send": _stated("4s"),
        "response": _stated("5s"),
    },
    "card": {"size": _stated("1GB"), "cyclic": _stated(value=False)},
    "retry": {
        "first": _stated("1s"),
        "factor": _stated(2.0),
        "max": _stated("1m"),
        "jitter": _stated("50%"),
    },
    "clock": {"sync": _stated("when_connected"), "tolerance": _stated("45s")},
    "identity": {
        "type_code": _stated("0000001F"),
        "fw_ver": _stated("01.02.03"),
        "hw_ver": _stated("00.01/00.02"),
        "digests_key": _stated("certs_server_md5"),
        "extra": _stated({"wifi_fw_ver": "19"}),
    },
    "change_detection": _stated("head_then_get"),
    "heartbeat": _stated("5m"),
    "ota": _stated("10m"),
    "upload_delay": _stated({"uniform": ["10s", "12s"]}),
    "style": _stated("virtual"),
    "signed_payload": _stated(value=True),
    "extension": _stated("MF4"),
    "boot_uploads_schema": _stated(value=False),
    "metadata_network_key": _stated("Ssid"),
    "split_size": _stated("5MB"),
}


def _parsed(data: object) -> tuple[DeviceProfile, tuple[Figure, ...]]:
    text = yaml.safe_dump(data, sort_keys=False)
    return parse_profile(read_yaml(text, "p.yaml"), "p.yaml")


def _with(path: str, value: object) -> dict[str, Any]:
    changed: dict[str, Any] = yaml.safe_load(yaml.safe_dump(PROFILE))
    *sections, last = path.split("/")
    section = changed
    for step in sections:
        section = section[step]
    if value is None:
        del section[last]
    else:
        section[last] = value
    return changed


def test_every_setting_comes_from_the_file() -> None:
    """Units are converted and no figure is left at a default of the program."""
    profile, _ = _parsed(PROFILE)
    assert profile.fallback.advance_on is AdvanceOn.TLS_FAILURE
    assert profile.fallback.memory is GroupMemory.FOREVER
    assert profile.fallback.delay_s == 0.25
    assert profile.bundle.max_bytes == 2048
    assert profile.bundle.distinct_by is DistinctBy.SUBJECT
    assert profile.deadlines.response_s == 5.0
    assert profile.card.size_bytes == 10**9
    assert profile.retry.jitter_ratio == 0.5
    assert profile.clock.tolerance_s == 45.0
    assert profile.identity.extra == (("wifi_fw_ver", "19"),)
    assert profile.upload_delay == Uniform(10.0, 12.0)
    assert profile.style is RequestStyle.VIRTUAL
    assert profile.split_size_bytes == 5_000_000
    plain = DeviceProfile(
        name="", description="", cipher_tables=(), upload_delay=profile.upload_delay
    )
    # heartbeat, OTA and the extension are tested with the value that is the default.
    same = {"heartbeat_s", "ota_s", "upload_delay", "extension"}
    for field in fields(DeviceProfile):
        found = getattr(profile, field.name)
        assert (found == getattr(plain, field.name)) == (field.name in same)


def test_every_figure_is_listed() -> None:
    """The list of figures has each leaf of the file once, in file order, as written."""
    _, figures = _parsed(PROFILE)
    assert figures[0].path == "cipher_tables.only"
    assert figures[1] == Figure(
        path="fallback.advance_on",
        value="tls_failure",
        provenance=Provenance.INFERRED,
        source="a test",
    )
    paths = [figure.path for figure in figures]
    assert len(paths) == len(set(paths)) == 50
    assert paths[-1] == "split_size"


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("name", "No Name", "name", "pattern"),
        ("name", None, "", "missing"),
        ("description", "", "description", "at least 1"),
        ("cipher_tables", {}, "cipher_tables", "at least 1"),
        ("cipher_tables/only/value", [], "cipher_tables.only.value", "at least 1"),
        (
            "fallback/advance_on/value",
            "any",
            "fallback.advance_on.value",
            "any_failure",
        ),
        ("fallback/delay", "1s", "fallback.delay", "expected {value"),
        ("fallback/delay/value", "-1s", "fallback.delay.value", "negative"),
        ("fallback/delay/source", None, "fallback.delay", "missing"),
        ("fallback/delay/source", " ", "fallback.delay.source", "at least 3"),
        ("fallback/delay/provenance", "guess", "fallback.delay.provenance", "inferred"),
        ("fallback", [], "fallback", "a mapping"),
        ("fallback/dealy", {}, "fallback.dealy", "'delay'"),
        ("fallback/delay/values", 1, "fallback.delay.values", "'value'"),
        ("budnle", {}, "budnle", "'bundle'"),
        ("bundle/max_certificates/value", 0, "bundle.max_certificates.value", "1"),
        ("bundle/max_certificates/value", "3", "bundle.max_certificates.value", "int"),
        ("bundle/max_size/value", 0, "bundle.max_size.value", "above 0"),
        ("bundle/require_ca/value", "yes", "bundle.require_ca.value", "bool"),
        ("bundle/rsa_bits/value", [2047.5], "bundle.rsa_bits.value.0", "int"),
        ("bundle/ec_curves/value", ["P-256"], "bundle.ec_curves.value.0", "secp256r1"),
        ("tls/min_version/value", "TLSv1.1", "tls.min_version.value", "TLSv1.2"),
        ("tls/security_level/value", 3, "tls.security_level.value", "2"),
        ("deadlines/dns/value", "0s", "deadlines.dns.value", "above 0"),
        ("retry/factor/value", 0.5, "retry.factor.value", "1"),
        ("retry/jitter/value", 2, "retry.jitter.value", "0 to 1"),
        ("identity/type_code/value", "5F", "identity.type_code.value", "pattern"),
        ("identity/extra/value", {"Wifi": "1"}, "identity.extra.value.Wifi", "pattern"),
        (
            "upload_delay/value",
            {"uniform": ["2s", "1s"]},
            "upload_delay.value",
            "above high",
        ),
        ("tls/min_version/value", "TLSv1.3", "cipher_tables.only.value.0", "no suite"),
        ("retry/max/value", "1ms", "retry.max", "below first"),
        ("bundle/digest/value", "sha1", "identity.digests_key", "does not fit"),
    ],
)
def test_broken_profile(path: str, value: object, where: str, says: str) -> None:
    """Whatever is wrong is reported with file, line, path and what is accepted."""
    with pytest.raises(InputError) as caught:
        _parsed(_with(path, value))
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == 1
    assert found[0].startswith("p.yaml:")
    assert where in found[0]
    assert says in found[0]


def test_bad_suites() -> None:
    """An unknown suite is refused with the nearest known name, with no echo above it."""
    broken = _with(
        "cipher_tables/only/value",
        [{"name": "group 1", "suites": ["AES128-SH", "NULL-MD5"]}],
    )
    with pytest.raises(InputError) as caught:
        _parsed(broken)
    first, second = caught.value.problems
    assert "did you mean 'AES128-SHA'?" in first.what
    assert "'NULL-MD5' is not a known cipher suite" in second.what


def test_all_problems_in_file_order_with_lines() -> None:
    """All problems come at once, sorted by line."""
    broken = _with("split_size/value", "-1B")
    broken["name"] = ""
    broken["retry"]["factor"]["value"] = "two"
    text = yaml.safe_dump(broken, sort_keys=False)
    with pytest.raises(InputError) as caught:
        parse_profile(read_yaml(text, "p.yaml"), "p.yaml")
    lines = [int(p.where.split(":")[1]) for p in caught.value.problems]
    assert lines == sorted(lines)
    marked = text.splitlines()
    assert marked[lines[0] - 1] == "name: ''"
    assert marked[lines[1] - 1] == "    value: two"
    assert marked[lines[2] - 1] == "  value: -1B"


def test_versions_in_the_wrong_order() -> None:
    """Swapped protocol versions are one problem, not one per group as well."""
    broken = _with("tls/min_version/value", "TLSv1.3")
    broken["tls"]["max_version"]["value"] = "TLSv1.2"
    broken["cipher_tables"]["only"]["value"][0]["suites"] = ["TLS_AES_128_GCM_SHA256"]
    with pytest.raises(InputError, match=r"TLSv1\.3 is above max_version") as caught:
        _parsed(broken)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_not_a_mapping(data: object) -> None:
    """A file that is no mapping is refused in one sentence."""
    with pytest.raises(InputError, match="expected a mapping"):
        _parsed(data)


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
foreign = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "source", "provenance", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(key=st.sampled_from(sorted(PROFILE)), value=foreign)
def test_foreign_values_end_in_input_errors(key: str, value: object) -> None:
    """Whatever stands in place of a part, reading ends in a profile or an InputError."""
    changed = {**PROFILE, key: value}
    try:
        profile, _ = _parsed(changed)
    except InputError:
        return
    assert isinstance(profile, DeviceProfile)
