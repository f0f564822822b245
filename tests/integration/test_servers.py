"""The same fleet against S3 servers and TLS fronts that other people run.

JuiceFS (MinIO's S3 handlers), nginx and HAProxy belong to every test run; what is marked
``servers`` needs what ``make test-servers`` installs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from fleetsim.pki.folder import load_folder
from fleetsim.pki.inventory import load_server
from tests.integration.conftest import missing
from tests.integration.runs import Finished, cohort, plan_of, scenario
from tests.integration.servers.fleets import (
    assert_truth,
    between,
    presented_serial,
    run_fleet,
)
from tests.integration.servers.fronts import FrontKind, front
from tests.integration.servers.process import MissingServerError
from tests.integration.servers.s3_server import S3Server
from tests.integration.servers.site_pki import HOST, MODERN, SitePki

pytestmark = [pytest.mark.server, pytest.mark.slow]

GetServer = Callable[[str], S3Server]
OTHERS: Final = pytest.mark.servers

SHORT: Final = {"duration": "6s", "drain": "500ms"}
SETTLED_NS: Final = 400_000_000
"""After a reload nginx's old processes may accept connections for a moment."""
RESUMING: Final = {
    "tls": {"resumption": True},
    "retry": {"first": "500ms", "factor": 1},
}


def fleet(port: int, bucket: str, count: int, **changes: Any) -> dict[str, Any]:
    """Devices with certificates: new connections, kept ones, resumed sessions."""
    common: dict[str, Any] = {
        "security": "high",
        "client_certificates": {"pki": "pki"},
        "cipher_table": "winc-ecdhe-last",
    }
    return scenario(
        cohort("new", count, **common),
        cohort("kept", count, workload={"connection": "keep_alive"}, **common),
        cohort("resumed", count, overrides=RESUMING, **common),
        target={
            "endpoint": f"https://{HOST}:{port}",
            "bucket": bucket,
            "ca_file": "pki/root.pem",
        },
        **changes,
    )


def ids_of(data: dict[str, Any]) -> dict[str, list[str]]:
    """Device ids by cohort."""
    _, plan = plan_of(data)
    return {
        each.name: [one.device_id for one in plan.devices if one.cohort == each.index]
        for each in plan.cohorts
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a front refuses a device that was revoked while the fleet uploads.

    Attributes:
        refusal: Failure kind and HTTP status of an attempt with a new handshake.
        by: Whose word that is.
        phase: In which phase.
        answer: With what.
        words: Words of the front that must be among it.
        is_kept_cut: Whether a connection that was open is closed.
        is_resumption_refused: Whether a session from before is no longer resumed.
    """

    refusal: tuple[str, int]
    by: str
    phase: str
    answer: str
    words: str = ""
    is_kept_cut: bool
    is_resumption_refused: bool


BY_ALERT: Final = Manner(
    refusal=("tls.alert.certificate_revoked", 0),
    by="server_tls",
    phase="tls",
    answer="alert 44 certificate_revoked",
    is_kept_cut=False,
    is_resumption_refused=False,
)
MANNERS: Final = {
    FrontKind.NGINX: Manner(
        refusal=("http.status", 400),
        by="front",
        phase="wait",
        answer="HTTP 400",
        words="nginx says: 400 The SSL certificate error",
        is_kept_cut=True,
        is_resumption_refused=False,
    ),
    FrontKind.HAPROXY: BY_ALERT,
    FrontKind.ENVOY: replace(BY_ALERT, is_resumption_refused=True),
}


@pytest.mark.parametrize(
    "kind",
    [
        FrontKind.NGINX,
        FrontKind.HAPROXY,
        pytest.param(FrontKind.ENVOY, marks=OTHERS),
    ],
    ids=str,
)
async def test_changes_while_the_fleet_uploads(
    kind: FrontKind, s3_server: GetServer, tmp_path: Path
) -> None:
    """A new certificate harms nobody, a revocation the revoked, ciphers cost a fallback."""
    server, bucket, manner = s3_server("juicefs"), f"fleet-{kind}", MANNERS[kind]
    data = fleet(1, bucket, 4, **SHORT)
    ids = ids_of(data)
    pki = SitePki(tmp_path / "pki", [each for some in ids.values() for each in some])
    old = pki.front_tls()
    pki.renew_server()
    renewed = pki.front_tls()
    revoked = {name: some[0] for name, some in ids.items()}
    for device in revoked.values():
        pki.revoke(device)
    listed = pki.front_tls()
    modern = replace(listed, cipher_list=MODERN)
    try:
        async with front(kind, old, server.port, session_cache=True) as running:
            finished, (_, listed_ns, modern_ns) = await run_fleet(
                fleet(running.port, bucket, 4, **SHORT),
                tmp_path,
                {
                    1: lambda: running.swap(renewed),
                    2: lambda: running.swap(listed),
                    4: lambda: running.swap(modern),
                },
            )
            serial = presented_serial(running.port, pki, ids["new"][1])
    except MissingServerError as error:
        missing(error)
    assert_truth(finished, server, bucket)
    assert serial == load_server(load_folder(pki.path), HOST).certificate.serial_number
    assert_revocation(
        finished, revoked, manner, listed_ns + SETTLED_NS, modern_ns - SETTLED_NS
    )
    assert_retirement(finished, ids, revoked, modern_ns)
    assert_report(finished, manner)


def outcomes(rows: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """Kinds and statuses; a success is ("", 0) whatever the status."""
    return {(row["kind"], row["status"] if row["kind"] else 0) for row in rows}


def assert_revocation(
    finished: Finished, revoked: dict[str, str], manner: Manner, start: int, end: int
) -> None:
    """Revoked devices are refused in the front's manner; nobody else is."""
    seen = {name: between(finished, one, start, end) for name, one in revoked.items()}
    assert outcomes(seen["new"]) == {manner.refusal}
    if manner.is_kept_cut:
        assert outcomes(seen["kept"]) == {manner.refusal}
    else:
        assert outcomes(seen["kept"]) == {("", 0)}
        assert all(row["reused"] for row in seen["kept"])
    if manner.is_resumption_refused:
        assert outcomes(seen["resumed"]) == {manner.refusal}
    else:
        assert outcomes(seen["resumed"]) == {("", 0)}
        assert any(row["resumed"] for row in seen["resumed"])
    innocent = {
        row["kind"]
        for row in finished.records
        if row["device"] not in revoked.values() and row["ended_ns"] < end
    }
    # nginx ends a kept connection at a reload, maybe with a request on its way.
    assert innocent - {"http.reset"} == {""}


def assert_retirement(
    finished: Finished, ids: dict[str, list[str]], revoked: dict[str, str], swapped: int
) -> None:
    """Once the front takes nothing else, devices come back with the last cipher group."""
    end = max(row["ended_ns"] for row in finished.records)
    for device in (one for one in ids["new"] if one not in revoked.values()):
        rows = between(finished, device, swapped - SETTLED_NS, end)
        assert [(row["group"], row["kind"]) for row in rows if row["kind"]] == [
            ("group 1", "tls.alert.handshake_failure"),
            ("group 2", "tls.alert.handshake_failure"),
        ]
        later = between(finished, device, swapped + SETTLED_NS, end)
        connected = [row for row in later if not row["kind"]]
        assert connected
        assert {(row["group"], row["suite"]) for row in connected} == {
            ("group 3", MODERN)
        }


def assert_report(finished: Finished, manner: Manner) -> None:
    """The summary says who refused, in which phase and with what."""
    refusals = finished.summary["refusals"]
    kind, _ = manner.refusal
    found = next(each for each in refusals if each["kind"] == kind)
    assert (found["by"], found["phase"]) == (manner.by, manner.phase)
    assert found["answer"] == manner.answer
    assert manner.words in found["example"]
    ciphers = next(
        each for each in refusals if each["kind"] == "tls.alert.handshake_failure"
    )
    assert ciphers["answer"] == "alert 40 handshake_failure"
    assert (ciphers["by"], ciphers["phase"]) == ("server_tls", "tls")


@pytest.mark.servers
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ceph", FrontKind.HAPROXY),
        ("seaweedfs", FrontKind.ENVOY),
        ("swift", FrontKind.NGINX),
    ],
)
async def test_servers_store_what_they_acknowledge(
    name: str, kind: FrontKind, s3_server: GetServer, tmp_path: Path
) -> None:
    """Behind mutual TLS no attempt fails and boto3 finds every upload, MD5 and all."""
    server, bucket = s3_server(name), f"fleet-{name}"
    ids = ids_of(fleet(1, bucket, 8))
    pki = SitePki(tmp_path / "pki", [each for some in ids.values() for each in some])
    try:
        async with front(kind, pki.front_tls(), server.port) as running:
            finished, _ = await run_fleet(fleet(running.port, bucket, 8), tmp_path)
    except MissingServerError as error:
        missing(error)
    assert_truth(finished, server, bucket)
    assert finished.summary["failures"] == {}
    assert finished.summary["refusals"] == []
    assert finished.summary["audit"]["stored"] >= 3 * 8
