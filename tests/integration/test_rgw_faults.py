"""Real faults of a real gateway: the example as it stands, against Ceph RGW."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.integration.runs import run
from tests.integration.servers.ceph import USER, CephServer
from tests.integration.servers.s3_server import S3Server

pytestmark = [pytest.mark.servers, pytest.mark.server, pytest.mark.slow]

EXAMPLE: Final = Path(__file__).parents[2] / "scenarios" / "targets" / "rgw_faults.yaml"
KEY, SECRET = "DEVICEACCESSKEY01", "devicesecretdevicesecretdevicesecret01"


def device_key(server: CephServer) -> None:
    """Give the fleet a key of its own: it is taken away and given back."""
    server.admin(
        *("key", "create", f"--uid={USER}"),
        *(f"--access-key={KEY}", f"--secret-key={SECRET}"),
    )


@pytest.mark.timeout(240)
def test_every_fault_has_its_own_kind(
    tmp_path: Path,
    s3_server: Callable[[str], S3Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is met, none is unclassified, and every file is stored in the end."""
    server = s3_server("ceph")
    assert isinstance(server, CephServer)
    device_key(server)
    for name, value in {
        "CEPH_CONF": str(server.config),
        "RGW_SOCKET": str(server.socket),
        "RGW_UID": USER,
        "DEVICE_KEY": KEY,
        "DEVICE_SECRET": SECRET,
        "AWS_ENDPOINT_URL_S3": server.url,
    }.items():
        monkeypatch.setenv(name, value)
    data: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    data["target"] |= {"bucket": "faults"}
    data["target"]["observe"] = {"rgw_admin_socket": str(server.socket)}
    before = server.counters()
    found = run(data, tmp_path, create_bucket=True)
    summary = found.summary
    assert summary["verdict"] == "passed"
    assert {
        entry["outcome"] for entry in summary["rehearsal"]["timeline"]["entries"]
    } == {"done"}
    kinds = Counter(row["kind"] for row in found.records)
    assert set(kinds) - {"", "run.stopped"} == {
        "s3.SlowDown",
        "s3.InvalidAccessKeyId",
        "s3.UserSuspended",
        "s3.QuotaExceeded",
        "http.timeout",
        "http.reset",
    }
    uploads = summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 0
    # Nobody else is there: the gateway's own tool counts as we do, audit included.
    (source,) = summary["observed"]["sources"]
    after = server.counters()
    assert 0 < source["requests"]["answered"] <= after["req"] - before["req"]
    assert source["requests"]["stored"] == after["put"] - before["put"]
    assert source["requests"]["stored"] >= uploads["acknowledged"]
    for row in found.records:
        assert SECRET not in row["detail"]
    timeline = (found.folder / "timeline.jsonl").read_text()
    assert SECRET not in timeline
    assert server.secret_key not in timeline
