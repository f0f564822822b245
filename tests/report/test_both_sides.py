"""Both sides: figures of devices and servers side by side, and what lies between."""

from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.observed import (
    Handshakes,
    Layer,
    Observed,
    Refusal,
    Requests,
    Source,
)
from fleetsim.recording.observed import write_observed
from fleetsim.report.both_sides import count_devices, observed_data
from fleetsim.report.summary import build_summary
from tests.recording.records import record
from tests.report.runs import make_run

REFUSED: dict[str, Any] = {
    "suite": "",
    "tls_version": "",
    "status": 0,
    "kind": "tls.alert.certificate_revoked",
    "phase": "tls",
    "etag": "",
}
REUSED: dict[str, Any] = {"tcp_ns": -1, "tls_ns": -1, "reused": True}
RECORDS = (
    record(0),
    record(1, **REUSED),
    record(2, operation="ota_bundle", status=304, resumed=True),
    record(3, operation="heartbeat", **REUSED),
    record(4, status=503, kind="s3.SlowDown", phase="wait", **REUSED),
    record(5, status=0, kind="run.stopped", phase="run", **REUSED),
    record(6, device="0000002B", **REFUSED),
    record(7, device="0000002B", **REFUSED),
    record(8, device="0000002C", status=400, kind="http.status", phase="wait"),
    record(9, device="0000002E", status=0, kind="tls.alert.unknown_ca", phase="wait"),
)


def front(**changes: Any) -> Source:
    """A front that saw what the devices saw."""
    values: dict[str, Any] = {
        "name": "access.log",
        "kind": "nginx_log",
        "layer": Layer.FRONT,
        "handshakes": Handshakes(completed=4, resumed=1, refused={"tls.reset": 2}),
        "requests": Requests(answered=6, stored=3),
    }
    return Source(**(values | changes))


def rows(data: dict[str, Any]) -> dict[str, tuple[int | None, ...]]:
    """Figures of both sides by what they count."""
    sides = ("devices", "front", "gap", "store", "store_gap")
    return {row["what"]: tuple(row[side] for side in sides) for row in data["rows"]}


def data_of(folder: Path, *sources: Source, refusals: tuple[Refusal, ...] = ()) -> Any:
    """Both sides of a run with these servers."""
    return observed_data(Observed(sources=sources, refusals=refusals), folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of three devices."""
    return make_run(tmp_path, RECORDS)


def test_what_devices_say(folder: Path) -> None:
    """A completed handshake has a suite; an answer has a status."""
    found = count_devices(folder)
    assert (found.completed, found.resumed, found.failed) == (4, 1, 2)
    assert (found.answered, found.stored, found.cut_off) == (6, 3, 1)
    assert found.refused == {
        "0000002B": {"tls.alert.certificate_revoked": 2},
        "0000002C": {"http.status": 1},
        "0000002E": {"tls.alert.unknown_ca": 1},
    }


def test_no_gap(folder: Path) -> None:
    """Both sides agree: every gap is zero, and the store has no handshakes."""
    store = Source(
        name="rgw",
        kind="rgw",
        layer=Layer.STORE,
        requests=Requests(answered=6, stored=3),
    )
    assert rows(data_of(folder, front(), store)) == {
        "handshakes completed": (4, 4, 0, None, None),
        "handshakes resumed": (1, 1, 0, None, None),
        "handshakes refused": (2, 2, 0, None, None),
        "requests answered": (6, 6, 0, 6, 0),
        "objects stored": (3, 3, 0, 3, 0),
    }


def test_gaps_have_a_sign(folder: Path) -> None:
    """More than zero: a server saw what no device knows of."""
    lost = front(
        handshakes=Handshakes(completed=1, refused={"tls.reset": 5}),
        requests=Requests(answered=10, stored=0),
    )
    assert rows(data_of(folder, lost)) == {
        "handshakes completed": (4, 1, -3, None, None),
        "handshakes resumed": (1, 0, -1, None, None),
        "handshakes refused": (2, 5, 3, None, None),
        "requests answered": (6, 10, 4, None, None),
        "objects stored": (3, 0, -3, None, None),
    }


def test_several_fronts_add_up(folder: Path) -> None:
    """What one does not tell does not count as nothing."""
    silent = front(handshakes=None)
    found = rows(data_of(folder, front(), front(), silent))
    assert found["handshakes completed"] == (4, 8, 4, None, None)
    assert found["requests answered"] == (6, 18, 12, None, None)
    assert rows(data_of(folder, front(handshakes=None, requests=None))) == {}


def test_refusals_in_the_words_of_both(folder: Path) -> None:
    """Paired device by device where it is certain, and only there."""
    refusals = (
        Refusal(device="0000002B", kind="tls.verify.cert_revoked", count=2),
        Refusal(device="0000002C", kind="tls.verify.cert_revoked", count=3),
        Refusal(device="0000002D", kind="tls.verify.cert_has_expired", count=1),
        Refusal(device="0000002D", kind="tls.reset", count=1),
    )
    found = data_of(folder, front(), refusals=refusals)["refusals"]
    columns = ("device_says", "front_says", "devices", "attempts", "at_front", "gap")
    assert {tuple(each[name] for name in columns) for each in found} == {
        ("tls.alert.certificate_revoked", "tls.verify.cert_revoked", 1, 2, 2, 0),
        ("http.status", "tls.verify.cert_revoked", 1, 1, 3, 2),
        ("", "more than one", 1, 0, 2, 2),
    }


def test_in_the_summary(folder: Path) -> None:
    """An additive part of it; without a server's word it is null."""
    assert build_summary(folder)["observed"] is None
    write_observed(folder, Observed(sources=(front(is_complete=False),)))
    observed = build_summary(folder)["observed"]
    assert observed["is_complete"] is False
    assert observed["cut_off"] == 1
    assert observed["refused_at_front"] == {"tls.reset": 2}
    assert observed["sources"][0]["layer"] == "front"
    assert len(observed["rows"]) == 5


@pytest.mark.parametrize(
    ("scenario", "count"),
    [
        ({"cohorts": [{"client": "sdk"}, {"client": "device"}]}, 1),
        ({"cohorts": [{"client": "device"}, {}, "x"]}, 0),
        ({"cohorts": None}, 0),
        (None, 0),
    ],
)
def test_an_sdk_sends_more_than_it_says(
    folder: Path, scenario: object, count: int
) -> None:
    """Parts of an upload are requests of their own to the server alone."""
    data = observed_data(Observed(sources=(front(),)), folder, scenario)
    assert data is not None
    assert len(data["notes"]) == count


def test_nobody_was_asked(folder: Path) -> None:
    """Nothing is counted for nobody."""
    assert observed_data(None, folder) is None
