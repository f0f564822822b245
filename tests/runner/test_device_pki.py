"""PKI folders of somebody's own: what a device has it uses, what it lacks is issued."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.core.settings import Credentials, Endpoint
from fleetsim.exceptions import InputError
from fleetsim.pki.folder import load_folder
from fleetsim.pki.inventory import load_devices
from fleetsim.runner.bindings import Site, bind
from fleetsim.runner.device_pki import load_device_pkis
from tests.runner.plans import TARGET, plan_of

NOW = datetime.now(UTC)
PLAN = plan_of(
    {
        "count": 3,
        "security": "high",
        "trust": "empty",
        "client_certificates": {"pki": "pki"},
    },
    target=TARGET,
)
IDS = [device.device_id for device in PLAN.devices]


@pytest.fixture
def pki(tmp_path: Path) -> Callable[..., None]:
    """Run ``fleetsim pki`` on the folder of the plan."""

    def run(*arguments: str) -> None:
        result = CliRunner().invoke(app, ["pki", *arguments])
        assert result.exit_code == 0, result.output

    run("init", str(tmp_path / "pki"), "--key-type", "p256")
    return run


def test_devices_of_the_folder_keep_their_certificates(
    tmp_path: Path, pki: Callable[..., None]
) -> None:
    """The revoked certificate is shown as it is; the device without one gets one."""
    (tmp_path / "ids").write_text("\n".join(IDS[:2]) + "\nDEADBEEF\n")
    folder = str(tmp_path / "pki")
    pki("issue", "devices", folder, "--ids", str(tmp_path / "ids"))
    pki("revoke", folder, IDS[0])
    before = sorted(each.name for each in (tmp_path / "pki").rglob("*"))
    found = load_device_pkis(PLAN, tmp_path, datetime.now(UTC))["pki"]
    assert set(found.issued) == set(IDS[:2])
    site = Site(
        endpoint=Endpoint(scheme="https", host="a.test", port=1, bucket="fleet"),
        credentials=Credentials(access_key="A", secret_key="B"),
    )
    (binding,), _ = bind(
        PLAN,
        [site],
        kit=None,
        authorities={"pki": found.authority},
        issued={"pki": found.issued},
        base_folder=tmp_path,
        now=NOW,
    )
    on_disk = load_devices(load_folder(tmp_path / "pki"), IDS[:2])
    for device, entry in zip(PLAN.devices, on_disk, strict=False):
        identity = binding.identity(device)
        assert identity is not None
        assert identity.certificate == entry.certificate
    made = binding.identity(PLAN.devices[2])
    assert made is not None
    made.certificate.verify_directly_issued_by(found.authority.certificate)
    assert sorted(each.name for each in (tmp_path / "pki").rglob("*")) == before


@pytest.mark.usefixtures("pki")
def test_a_folder_without_devices(tmp_path: Path) -> None:
    """Only the authority is needed."""
    found = load_device_pkis(PLAN, tmp_path, datetime.now(UTC))["pki"]
    assert found.issued == {}


def test_problems_of_all_folders_come_at_once(tmp_path: Path) -> None:
    """Two folders that are not there are two problems."""
    high = {"security": "high", "trust": "empty"}
    plan = plan_of(
        {**high, "client_certificates": {"pki": "one"}},
        {**high, "client_certificates": {"pki": "two"}},
        {"security": "medium", "trust": "empty"},
        target=TARGET,
    )
    with pytest.raises(InputError) as caught:
        load_device_pkis(plan, tmp_path, NOW)
    assert [problem.where for problem in caught.value.problems] == [
        str(tmp_path / "one"),
        str(tmp_path / "two"),
    ]


@pytest.mark.usefixtures("pki")
def test_an_expired_authority(tmp_path: Path) -> None:
    """A CA that is not valid at the start of the run is refused."""
    with pytest.raises(InputError, match="expired"):
        load_device_pkis(PLAN, tmp_path, NOW + timedelta(days=4000))
