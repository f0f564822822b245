"""Rehearsals come to the same verdict, device by device, whatever ends TLS.

Every case states the verdict once; nothing is compared with a run of another front.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fleetsim.lab.settings import FrontProgram
from tests.integration.front_rig import PROGRAMS
from tests.integration.runs import Finished, cohort, run, scenario
from tests.integration.tls_wire import program

pytestmark = [pytest.mark.server, pytest.mark.slow]

NGINX = FrontProgram.NGINX
HIGH = {"fronts": [{"name": "main", "security": "high"}]}
FORWARD_SECRET = "ECDHE+AESGCM:@SECLEVEL=0"


def rehearse(kind: FrontProgram, results: Path, data: dict[str, Any]) -> Finished:
    """Run a scenario behind a program; the figures that no front may change hold."""
    if kind is not FrontProgram.BUILTIN:
        program(kind)
    finished = run({**data, "drain": "1s"}, results, front_program=kind)
    uploads = finished.summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 0
    assert uploads["unaccounted"] == 0
    assert "unclassified" not in finished.summary["failures"]
    timeline = finished.summary["rehearsal"]["timeline"]
    assert timeline["planned"] == timeline["done"]
    return finished


def states(finished: Finished) -> dict[str, Counter[str]]:
    """Last contact state of the devices of each cohort."""
    rows = pq.read_table(finished.folder / "devices.parquet").to_pylist()
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["cohort"], Counter())[row["state"]] += 1
    return found


def kinds(finished: Finished, cohort: str) -> set[str]:
    """How attempts ended, those aside that the end of the run cut short."""
    return finished.kinds(cohort) - {"run.stopped"}


def stranded(finished: Finished) -> set[str]:
    """Devices that have no way back."""
    rows = pq.read_table(finished.folder / "devices.parquet").to_pylist()
    return {row["device"] for row in rows if row["state"] == "stranded"}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_revocation(kind: FrontProgram, tmp_path: Path) -> None:
    """The revoked quarter loses contact for good; nginx alone says so in HTTP."""
    finished = rehearse(
        kind,
        tmp_path,
        scenario(
            cohort("fleet", 12, security="high"),
            lab=HIGH,
            duration="6s",
            timeline=[{"at": "2s", "revoke_devices": {"to": {"share": "25%"}}}],
        ),
    )
    assert states(finished) == {"fleet": {"connected": 9, "stranded": 3}}
    refused = {
        row["device"]
        for row in finished.records
        if row["kind"] not in {"", "run.stopped"}
    }
    assert refused == stranded(finished)
    assert kinds(finished, "fleet") == {
        "",
        "http.status" if kind is NGINX else "tls.alert.certificate_revoked",
    }


@pytest.mark.parametrize("kind", PROGRAMS)
def test_renewal_before_revocation(kind: FrontProgram, tmp_path: Path) -> None:
    """Devices that were given new certificates first do not notice the revocation."""
    finished = rehearse(
        kind,
        tmp_path,
        scenario(
            cohort("fleet", 8, security="high"),
            lab=HIGH,
            duration="6s",
            timeline=[
                {"at": "2s", "rotate_device_certificates": {"revoke_old": "1500ms"}}
            ],
        ),
    )
    assert states(finished) == {"fleet": {"connected": 8}}
    assert kinds(finished, "fleet") == {""}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_unrevoked_devices_come_back(kind: FrontProgram, tmp_path: Path) -> None:
    """Taken off the list, devices are back; only an alert made them burn their groups."""
    finished = rehearse(
        kind,
        tmp_path,
        scenario(
            cohort("fleet", 8, security="high"),
            lab=HIGH,
            duration="9s",
            timeline=[
                {"at": "2s", "revoke_devices": {"to": {"share": "25%"}}},
                {"at": "5s", "unrevoke": {}},
            ],
        ),
    )
    back = "connected" if kind is NGINX else "degraded"
    assert states(finished)["fleet"] == Counter(connected=6) + Counter({back: 2})


@pytest.mark.parametrize("kind", PROGRAMS)
def test_expired_list(kind: FrontProgram, tmp_path: Path) -> None:
    """A revocation list that was not renewed shuts out everybody, revoked or not."""
    finished = rehearse(
        kind,
        tmp_path,
        scenario(
            cohort("fleet", 6, security="high"),
            lab=HIGH,
            duration="6s",
            timeline=[{"at": "2s", "expire_crl": {}}],
        ),
    )
    (found,) = states(finished).values()
    assert found["connected"] == found["degraded"] == 0
    assert kinds(finished, "fleet") == {
        "",
        "http.status" if kind is NGINX else "tls.alert.certificate_expired",
    }


@pytest.mark.parametrize("kind", PROGRAMS)
def test_cipher_retirement(kind: FrontProgram, tmp_path: Path) -> None:
    """Devices fall back to their third group, and those that have no ECDHE are lost."""
    finished = rehearse(
        kind,
        tmp_path,
        scenario(
            cohort("fleet", 8),
            cohort("without_curves", 4, cipher_table="winc-nonecc"),
            duration="6s",
            timeline=[{"at": "2s", "swap_ciphers": {"ciphers": FORWARD_SECRET}}],
        ),
    )
    assert states(finished) == {
        "fleet": {"degraded": 8},
        "without_curves": {"stranded": 4},
    }
    for name in ("fleet", "without_curves"):
        assert kinds(finished, name) == {"", "tls.alert.handshake_failure"}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_leaf_before_bundle(kind: FrontProgram, tmp_path: Path) -> None:
    """A server that moves to a CA nobody trusts yet strands exactly the unprepared."""
    finished = rehearse(
        kind,
        tmp_path,
        scenario(
            cohort("prepared", 6),
            cohort("forgotten", 4),
            duration="9s",
            timeline=[
                {"name": "new_root", "at": "500ms", "issue_ca": {}},
                {
                    "name": "next",
                    "after": "new_root",
                    "issue_server_certificate": {"ca": "new_root"},
                },
                {
                    "after": "next",
                    "push_bundle": {
                        "to": {"cohorts": ["prepared"]},
                        "certificates": ["root", "new_root"],
                    },
                },
                {"at": "6s", "swap_server_certificate": {"certificate": "next"}},
            ],
        ),
    )
    assert states(finished) == {
        "prepared": {"connected": 6},
        "forgotten": {"stranded": 4},
    }
    assert kinds(finished, "prepared") == {""}
    assert kinds(finished, "forgotten") == {
        "",
        "tls.verify.unable_to_get_issuer_cert_locally",
    }


@pytest.mark.parametrize("kind", PROGRAMS)
def test_rotation_under_kept_connections(kind: FrontProgram, tmp_path: Path) -> None:
    """Certificates are swapped while devices keep their connections: no file is lost.

    A reload of nginx closes idle connections; at most one attempt a device and swap
    is lost with them, and sent again.
    """
    swaps = [
        entry
        for number, at in enumerate(("2s", "3s", "4s"))
        for entry in (
            {"name": f"c{number}", "at": "500ms", "issue_server_certificate": {}},
            {"at": at, "swap_server_certificate": {"certificate": f"c{number}"}},
        )
    ]
    finished = rehearse(
        kind,
        tmp_path,
        scenario(
            cohort("fleet", 10, workload={"connection": "keep_alive"}),
            duration="6s",
            timeline=swaps,
        ),
    )
    assert states(finished) == {"fleet": {"connected": 10}}
    uploads = finished.summary["uploads"]
    assert uploads["acknowledged"] == uploads["planned"]
    assert kinds(finished, "fleet") <= {"", "http.reset"}
    lost = Counter(
        row["device"] for row in finished.records if row["kind"] == "http.reset"
    )
    assert all(count <= len(swaps) // 2 for count in lost.values())
    if kind is not NGINX:
        assert not lost
