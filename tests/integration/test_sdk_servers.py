"""SDK cohorts against S3 servers that other people wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runs import cohort, run, scenario
from tests.integration.servers.s3_server import S3Server

pytestmark = [pytest.mark.server, pytest.mark.slow]

COHORTS: dict[str, dict[str, Any]] = {
    "sdk": {},
    "no_trailers": {"sdk": {"request_checksum_calculation": "when_required"}},
    "parts": {
        "heartbeat": "0s",
        "ota": "0s",
        "sdk": {"multipart_threshold": "5MiB", "multipart_chunksize": "5MiB"},
        "workload": {"file_size": "12MiB"},
    },
}


@pytest.mark.parametrize(
    "name",
    [
        "juicefs",
        pytest.param("ceph", marks=pytest.mark.servers),
        pytest.param("seaweedfs", marks=pytest.mark.servers),
    ],
)
def test_what_the_sdk_was_told_is_stored(
    name: str, s3_server: Callable[[str], S3Server], tmp_path: Path
) -> None:
    """With and without checksums in trailers, and in parts; nothing fails."""
    server = s3_server(name)
    cohorts = [
        cohort(each, count=2, client="sdk", security="low", **changes)
        for each, changes in COHORTS.items()
    ]
    target = {"endpoint": server.url, "bucket": "sdk-fleet"}
    made = scenario(*cohorts, target=target, duration="2500ms")
    finished = run(made, tmp_path, create_bucket=True)
    uploads = finished.summary["uploads"]
    assert finished.summary["failures"] == {}
    assert uploads["acknowledged"] == uploads["stored"] > 0
    assert uploads["unaccounted"] == 0
    for each in COHORTS:
        assert finished.of(each, "upload")
        assert finished.kinds(each) == {""}
