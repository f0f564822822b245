from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.device_config import DeviceConfig
from fleetsim.core.settings import DeviceProfile, Phasing, RequestStyle
from fleetsim.exceptions import InputError
from fleetsim.profiles import catalog
from fleetsim.scenario.distributions import Fixed
from fleetsim.scenario.from_config import scenario_from_config
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.specs import EnvCredentials, FileTrust

CONFIG = DeviceConfig(
    scheme="https",
    host="s3.example.org",
    port=9000,
    bucket="fleetbucket",
    region="eu-central-1",
    virtual_hosted=True,
    signed_payload=True,
    has_access_key=True,
    has_secret_key=True,
    heartbeat_s=120.0,
    ota_s=0.0,
    uploads_logs=True,
    split_size_bytes=50_000_000,
    split_period_s=600.0,
    split_offset_s=30.0,
    cyclic=False,
    extension="MF4",
    network="wifi",
)


def _text(config: DeviceConfig, source: str = "config-01.07.json") -> str:
    return scenario_from_config(
        config, name="fleet", count=7, source=source, checksum="9ECC0C10"
    )


def _load(name: str) -> DeviceProfile:
    return catalog.load(name).profile


def _scenario(config: DeviceConfig) -> Scenario:
    return parse_scenario(_text(config), "fleet.yaml", _load)


def test_what_the_configuration_says_is_taken_over() -> None:
    """Endpoint, style, periods, split and switches of the device end in the cohort."""
    scenario = _scenario(CONFIG)
    assert scenario.target is not None
    assert scenario.target.endpoint == "https://s3.example.org:9000"
    assert scenario.target.bucket == "fleetbucket"
    assert scenario.target.region == "eu-central-1"
    assert scenario.target.style is RequestStyle.VIRTUAL
    (cohort,) = scenario.cohorts
    assert cohort.count == 7
    assert cohort.profile == "canedge2"
    assert cohort.heartbeat == 120.0
    assert cohort.ota == 0.0
    assert cohort.overrides.signed_payload is True
    assert cohort.overrides.card.cyclic is False
    assert cohort.trust == FileTrust("certs_server.p7b")
    assert cohort.credentials == EnvCredentials()


@pytest.mark.parametrize(
    ("changes", "period_s", "size_bytes", "phase"),
    [
        pytest.param({}, 600.0, 2_511_000, Phasing.HERD, id="by time"),
        pytest.param(
            {"extension": "MFC"}, 600.0, 526_000, Phasing.HERD, id="compressed"
        ),
        pytest.param(
            {"split_size_bytes": 1_000_000},
            239.0,
            1_000_000,
            Phasing.SPREAD,
            id="size comes first",
        ),
        pytest.param(
            {"split_period_s": 0.0}, 11947.0, 50_000_000, Phasing.SPREAD, id="by size"
        ),
        pytest.param(
            {"split_period_s": None, "split_size_bytes": None, "extension": ""},
            11947.0,
            50_000_000,
            Phasing.SPREAD,
            id="nothing said",
        ),
    ],
)
def test_split(
    changes: dict[str, object], period_s: float, size_bytes: int, phase: Phasing
) -> None:
    """Time or size closes a file, whichever comes first at the sample files' rate."""
    config = DeviceConfig(
        **{
            **{name: getattr(CONFIG, name) for name in CONFIG.__dataclass_fields__},
            **changes,
        }
    )
    scenario = _scenario(config)
    workload = scenario.cohorts[0].workload
    assert workload.period == period_s
    assert workload.file_size == Fixed(size_bytes)
    assert workload.phase is phase
    assert scenario.duration == 2 * period_s


@pytest.mark.parametrize(
    ("config", "endpoint"),
    [
        (replace(CONFIG, port=0), "https://s3.example.org"),
        (replace(CONFIG, host="::1", virtual_hosted=False), "https://[::1]:9000"),
        (
            replace(CONFIG, scheme="http", host="10.0.0.1", virtual_hosted=None),
            "http://10.0.0.1:9000",
        ),
    ],
)
def test_endpoint(config: DeviceConfig, endpoint: str) -> None:
    """The endpoint keeps scheme, host and port; plain HTTP needs no trust."""
    scenario = _scenario(config)
    assert scenario.target is not None
    assert scenario.target.endpoint == endpoint
    assert (scenario.cohorts[0].trust is None) == endpoint.startswith("http:")


def test_no_uploads() -> None:
    """A device that uploads no log files keeps its heartbeats only."""
    scenario = _scenario(replace(CONFIG, uploads_logs=False))
    assert scenario.cohorts[0].workload.period == 0.0
    assert scenario.duration == 60.0


@pytest.mark.parametrize(
    ("network", "profile"),
    [("wifi", "canedge2"), ("cellular", "canedge3"), ("", "canedge2")],
)
def test_profile(network: str, profile: str) -> None:
    """The kind of network tells the device model."""
    scenario = _scenario(replace(CONFIG, network=network))
    assert scenario.cohorts[0].profile == profile


def test_only_what_is_needed() -> None:
    """A configuration with endpoint and bucket alone is enough."""
    scenario = _scenario(DeviceConfig(scheme="http", host="a.b", bucket="bucket"))
    assert scenario.cohorts[0].heartbeat is None
    assert scenario.cohorts[0].overrides.signed_payload is None


def test_without_endpoint() -> None:
    """Without endpoint and bucket there is no scenario; both are named."""
    with pytest.raises(InputError) as caught:
        _text(DeviceConfig())
    assert [problem.where for problem in caught.value.problems] == [
        "config-01.07.json: connect.s3.server.endpoint",
        "config-01.07.json: connect.s3.server.bucket",
    ]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (CONFIG, "secret key (plain) were not taken over"),
        (replace(CONFIG, is_secret_encrypted=True), "(encrypted for one device)"),
        (replace(CONFIG, has_secret_key=False), "holds no secret key"),
    ],
)
def test_comments_on_secrets(config: DeviceConfig, says: str) -> None:
    """The file says what became of the secrets and where they come from now."""
    text = _text(config)
    assert says in text
    assert "AWS_SECRET_ACCESS_KEY" in text


@given(source=st.text(max_size=60))
def test_file_name_cannot_break_out_of_its_comment(source: str) -> None:
    """Whatever the name of the configuration file, it stays in the comment."""
    assert yaml.safe_load(_text(CONFIG, source)) == yaml.safe_load(_text(CONFIG))
