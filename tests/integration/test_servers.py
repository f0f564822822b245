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
from tests.integration.servers.ceph import CephServer
from tests.integration.servers.fleets import (
    PART_BYTES,
    assert_truth,
    between,
    presented_serial,
    run_fleet,
)
from tests.integration.servers.fronts import Front, FrontKind, front
from tests.integration.servers.process import MissingServerError
from tests.integration.servers.s3_server import S3Server
from tests.integration.servers.site_pki import EC, HOST, MODERN, SitePki

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(180)]

GetServer = Callable[[str], S3Server]
OTHERS: Final = pytest.mark.servers

SHORT: Final[dict[str, Any]] = {"duration": "6s", "drain": "500ms"}
SETTLED_NS: Final = 400_000_000
"""After a reload nginx's old processes may accept connections for a moment."""
SOON: Final = {"retry": {"first": "500ms", "factor": 1}}
RESUMING: Final = {"tls": {"resumption": True}, **SOON}
NAMELESS: Final = {"tls": {"send_sni": False}, **SOON}


NAMES: Final = ("named", "nameless")
EC_DEVICE: Final = f"""\
name: ec-device
extends: generic-tls12
description: Offers suites for an EC certificate only.
cipher_tables:
  ec:
    provenance: unknown-default
    source: this test
    value:
      - {{name: ec, suites: [{EC}]}}
"""


SDK: Final = cohort(
    "sdk",
    1,
    client="sdk",
    security="high",
    client_certificates={"pki": "pki"},
    sdk={
        "multipart_threshold": PART_BYTES,
        "multipart_chunksize": PART_BYTES,
        "request_checksum_calculation": "when_required",
    },
    workload={"file_size": "6MiB", "connection": "keep_alive"},
)
"""A device that uploads in parts, through an AWS SDK."""


def fleet(
    folder: Path, bucket: str, count: int, port: int = 1, **changes: Any
) -> dict[str, Any]:
    """Devices with certificates: new connections, kept ones, resumed sessions.

    And two of another kind, whose suites are for an EC certificate: one says which
    server it wants (SNI), the other does not.
    """
    profile = folder / "ec.yaml"
    profile.write_text(EC_DEVICE)
    common = {"security": "high", "client_certificates": {"pki": "pki"}}
    old = {"cipher_table": "winc-ecdhe-last", **common}
    ec = {"profile": str(profile), **common}
    return scenario(
        cohort("new", count, **old),
        cohort("kept", count, workload={"connection": "keep_alive"}, **old),
        cohort("resumed", count, overrides=RESUMING, **old),
        cohort("ec_named", 1, **ec),
        cohort("ec_nameless", 1, overrides=NAMELESS, **ec),
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
        is_nameless_refused: Whether a device that sends no SNI is shown only the first
            certificate, and so is refused when its suites want the other.
    """

    refusal: tuple[str, int]
    by: str
    phase: str
    answer: str
    words: str = ""
    is_kept_cut: bool
    is_resumption_refused: bool
    is_nameless_refused: bool = False


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
    FrontKind.HAPROXY: replace(BY_ALERT, is_nameless_refused=True),
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
    data = fleet(tmp_path, bucket, 4, **SHORT)
    ids = ids_of(data)
    pki = SitePki(tmp_path / "pki", [each for some in ids.values() for each in some])
    old = pki.front_tls()
    pki.renew_server()
    renewed = pki.front_tls()
    revoked = {name: ids[name][0] for name in ("new", "kept", "resumed")}
    for device in revoked.values():
        pki.revoke(device)
    listed = pki.front_tls()
    modern = replace(listed, cipher_list=f"{MODERN}:{EC}")
    try:
        async with front(kind, old, server.port, session_cache=True) as running:
            finished, (_, listed_ns, modern_ns) = await run_fleet(
                fleet(tmp_path, bucket, 4, port=running.port, **SHORT),
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
    assert_nameless(finished, manner)
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
        if row["device"] not in revoked.values()
        and row["cohort"] != "ec_nameless"
        and row["ended_ns"] < end
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


def assert_nameless(finished: Finished, manner: Manner) -> None:
    """SNI decides at some fronts which certificate, and so which device, can be served."""
    named, nameless = (outcomes(finished.of(f"ec_{name}")) for name in NAMES)
    assert named - {("http.reset", 0)} == {("", 0)}
    if manner.is_nameless_refused:
        assert nameless == {("tls.alert.handshake_failure", 0)}
    else:
        assert nameless - {("http.reset", 0)} == {("", 0)}


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
        ("juicefs", FrontKind.HAPROXY),
        ("seaweedfs", FrontKind.ENVOY),
        ("swift", FrontKind.NGINX),
    ],
)
async def test_servers_store_what_they_acknowledge(
    name: str, kind: FrontKind, s3_server: GetServer, tmp_path: Path
) -> None:
    """Behind mutual TLS no attempt fails, whole or in parts; boto3 finds every upload."""
    server, bucket = s3_server(name), f"all-{name}"
    data = fleet(tmp_path, bucket, 8)
    data["cohorts"].append(SDK)
    pki = SitePki(
        tmp_path / "pki", [one for some in ids_of(data).values() for one in some]
    )
    try:
        async with front(kind, pki.front_tls(), server.port) as running:
            data["target"]["endpoint"] = f"https://{HOST}:{running.port}"
            data["target"]["observe"] = sources(server, kind, running)
            finished, _ = await run_fleet(data, tmp_path)
    except MissingServerError as error:
        missing(error)
    assert_truth(finished, server, bucket)
    refused = {"tls.alert.handshake_failure"}
    assert set(finished.summary["failures"]) <= (
        refused if MANNERS[kind].is_nameless_refused else set()
    )
    assert finished.kinds("new") == finished.kinds("sdk") == {""}
    assert finished.summary["audit"]["size_only"] >= 1
    assert (finished.summary["observed"] is None) == (kind is FrontKind.ENVOY)
    assert_both_sides(finished)


def sources(server: S3Server, kind: FrontKind, running: Front) -> dict[str, list[str]]:
    """What the servers themselves say of the run, where they can be asked."""
    found = {}
    if running.log is not None:
        found[f"{kind}_log"] = [str(running.log)]
    if isinstance(server, CephServer):
        found["rgw_admin_socket"] = [str(server.socket)]
    return found


def assert_both_sides(finished: Finished) -> None:
    """The servers' own logs and counters agree with what the devices say."""
    observed = finished.summary["observed"]
    if observed is None:
        return
    assert observed["is_complete"]
    gaps = {row["what"]: (row["gap"], row["store_gap"]) for row in observed["rows"]}
    for what in ("completed", "resumed", "refused"):
        assert gaps[f"handshakes {what}"] == (0, None)
