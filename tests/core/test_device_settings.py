"""Shared settings of a cohort: the wall clock, and a configuration over the air."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.device_config import DeviceConfig
from fleetsim.core.device_settings import RunClock, reconfigured, with_credentials
from fleetsim.core.settings import Credentials, RequestStyle, Security
from fleetsim.exceptions import InputError
from tests.core.conversation import EPOCH_S, S, make_settings


@given(now_s=st.integers(0, 10**7), skew_s=st.integers(-(10**8), 10**8))
def test_clock(now_s: int, skew_s: int) -> None:
    """Wall time is the epoch plus run time plus the device's own skew."""
    clock = RunClock(EPOCH_S * S)
    assert clock.unix_s(now_s * S, skew_s) == EPOCH_S + now_s + skew_s


def test_scaled_clock() -> None:
    """With scale 60 a second of the run is a minute on the wall."""
    clock = RunClock(EPOCH_S * S, scale=60.0)
    assert clock.unix_s(2 * S) == EPOCH_S + 120


def test_an_empty_configuration_changes_nothing() -> None:
    """Only what a configuration states is replaced."""
    before = make_settings(heartbeat_s=5, ota_s=7)
    after = reconfigured(before, DeviceConfig())
    assert after.endpoint == before.endpoint
    assert after.workload == before.workload
    assert after.profile == before.profile
    assert after.security is before.security


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        pytest.param({"host": "a.test"}, "host", "a.test", id="host"),
        pytest.param({"port": 8443}, "port", 8443, id="port"),
        pytest.param({"bucket": "other"}, "bucket", "other", id="bucket"),
        pytest.param({"region": "eu-north-1"}, "region", "eu-north-1", id="region"),
        pytest.param(
            {"virtual_hosted": True}, "style", RequestStyle.VIRTUAL, id="virtual"
        ),
        pytest.param({"scheme": "http"}, "scheme", "http", id="scheme"),
    ],
)
def test_one_field_of_the_endpoint(
    config: dict[str, Any], field: str, value: object
) -> None:
    """Each field is taken over alone."""
    before = make_settings()
    after = reconfigured(before, DeviceConfig(**config))
    changed = {
        name
        for name in ("scheme", "host", "port", "bucket", "region", "style")
        if getattr(after.endpoint, name) != getattr(before.endpoint, name)
    }
    assert changed == {field}
    assert getattr(after.endpoint, field) == value


@pytest.mark.parametrize("period_s", [0, 60])
def test_timers(period_s: int) -> None:
    """0 switches a timer off; it is not the same as saying nothing."""
    after = reconfigured(
        make_settings(heartbeat_s=5, ota_s=7), DeviceConfig(heartbeat_s=period_s)
    )
    assert (after.workload.heartbeat_s, after.workload.ota_s) == (period_s, 7)


@pytest.mark.parametrize(
    ("scheme", "new", "security"),
    [
        pytest.param("https", "http", Security.LOW, id="leaves TLS"),
        pytest.param("http", "https", Security.MEDIUM, id="enters TLS"),
        pytest.param("https", "https", Security.MEDIUM, id="stays"),
    ],
)
def test_security_follows_the_scheme(scheme: str, new: str, security: Security) -> None:
    """The security mode of a device is what its endpoint says."""
    after = reconfigured(make_settings(scheme=scheme), DeviceConfig(scheme=new))
    assert after.security is security


def test_the_signer_signs_for_the_new_endpoint() -> None:
    """Host and region of the next signature are the new ones, the keys the old."""
    before = make_settings()
    after = reconfigured(before, DeviceConfig(host="a.test", region="eu-north-1"))
    _, headers = after.signer.sign("GET", "k", EPOCH_S, payload_sha256=None)
    found = {name.lower(): value for name, value in headers}
    assert found["host"] == "a.test:9443"
    assert "/eu-north-1/s3/" in found["authorization"]
    assert after.credentials is before.credentials


def test_a_fleet_shares_one_settings_object() -> None:
    """Equal configurations of one cohort give the identical object."""
    before = make_settings()
    one = reconfigured(before, DeviceConfig(port=1))
    assert one is reconfigured(before, DeviceConfig(port=1))
    assert one is not reconfigured(before, DeviceConfig(port=2))


def test_a_bucket_cannot_stand_before_an_address() -> None:
    """What no signer can serve is refused as input, for the device to report."""
    with pytest.raises(InputError, match="virtual-hosted"):
        reconfigured(
            make_settings(), DeviceConfig(host="192.0.2.7", virtual_hosted=True)
        )


def test_other_credentials_other_signer() -> None:
    """New keys sign for the same endpoint, and a fleet shares one settings object."""
    before = make_settings()
    keys = Credentials(access_key="AKIDNEW", secret_key="also-not-a-secret")
    after = with_credentials(before, keys)
    assert after.credentials is keys
    assert after.signer is not before.signer
    assert after.endpoint is before.endpoint
    assert after is with_credentials(before, keys)
    assert "also-not-a-secret" not in repr(after)


def test_new_timers_are_a_new_contact_period() -> None:
    """A configuration that changes the rhythms changes what silence is."""
    before = make_settings(period_s=60)
    after = reconfigured(before, DeviceConfig(heartbeat_s=20))
    assert before.contact_rules.period_ns == 60 * 10**9
    assert after.contact_rules.period_ns == 20 * 10**9
