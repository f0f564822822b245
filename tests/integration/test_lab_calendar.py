"""A lab on a calendar: signatures, dates, client certificates and lists at its time."""

import time
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.events import Response
from fleetsim.core.failure import Failure
from fleetsim.lab.process import LabProcess
from fleetsim.lab.server import LabServer, s3_settings
from fleetsim.lab.settings import LabSettings, parse_settings
from fleetsim.pki.certificates import Validity
from fleetsim.pki.crl import build_crl
from fleetsim.pki.leaves import Leaf
from tests.integration.lone_device import (
    KEY,
    LoneDevice,
    endpoint,
    network,
    outcome,
)
from tests.integration.test_lab_process import lab_settings, write_pair
from tests.lab.tls_clients import NOW, UNIX_S, YEAR_S, device, root, server

DAY_S = 86_400.0
LATER_S = UNIX_S + 5 * YEAR_S

Start = Callable[..., Any]


def wall() -> float:
    """The machine's time of day."""
    return time.time_ns() / 1e9


def on_calendar(folder: Path, epoch_unix_s: float, **changes: Any) -> LabSettings:
    """A lab with every kind of front whose calendar starts now at an epoch."""
    folder.chmod(0o700)
    pair = write_pair(folder, "server", server("localhost")).model_dump(mode="json")
    named = {**pair, "server_names": ["localhost"]}
    (folder / "devices.pem").write_bytes(
        root("devices").certificate.public_bytes(Encoding.PEM)
    )
    # A list that is current for a day before and after now.
    crl = build_crl(
        root("devices"),
        (),
        number=1,
        validity=Validity.lasting(NOW, 2 * DAY_S, starts_in_s=-DAY_S),
    )
    (folder / "devices.crl").write_bytes(crl.public_bytes(Encoding.PEM))
    mutual = {
        "client_ca_path": str(folder / "devices.pem"),
        "require_client_certificate": True,
    }
    checked = {
        **mutual,
        "crl_paths": [str(folder / "devices.crl")],
        "check_crl": True,
    }
    return parse_settings(
        LabSettings,
        {
            "fronts": [
                {"name": "plain", "scheme": "http"},
                {"name": "control", "scheme": "http", "is_control": True},
                {"name": "mutual", "tls": {"certificates": [pair], **mutual}},
                {"name": "by_name", "tls": {"certificates": [pair, named], **mutual}},
                {"name": "checked", "tls": {"certificates": [pair], **checked}},
            ],
            "credentials": [
                {"access_key": KEY.access_key, "secret_key": KEY.secret_key}
            ],
            "clock": {
                "epoch_unix_s": epoch_unix_s,
                "origin_monotonic_ns": time.monotonic_ns(),
                **changes,
            },
        },
    )


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start labs on a calendar; they are stopped at the end of the test."""
    labs: list[LabServer] = []

    async def start(epoch_unix_s: float, **changes: Any) -> dict[str, int]:
        lab = LabServer(on_calendar(tmp_path, epoch_unix_s, **changes), clock=wall)
        labs.append(lab)
        address = await lab.start()
        return {name: port for name, (_, port) in address.fronts.items()}

    yield start
    for lab in labs:
        await lab.stop(0.0)


async def put(port: int, unix_s: float) -> Response:
    """Upload with a signature of a date."""
    async with network() as net:
        one = LoneDevice(net, endpoint(port, is_tls=False), unix_s=int(unix_s))
        await one.connect()
        answer = await one.put("a/x", b"x")
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize(
    ("front", "signed_s", "status"),
    [
        ("plain", LATER_S, 200),
        ("plain", LATER_S + 800, 200),
        ("plain", LATER_S + 1000, 403),
        ("plain", UNIX_S, 403),
        ("control", UNIX_S, 200),
        ("control", LATER_S, 403),
    ],
    ids=["now", "in-time", "too-early", "today", "control-today", "control-later"],
)
async def test_signatures_are_judged_at_the_calendars_time(
    start: Start, front: str, signed_s: float, status: int
) -> None:
    """Devices sign at the calendar's date, the control plane at the machine's."""
    ports = await start(LATER_S)
    answer = await put(ports[front], signed_s)
    assert answer.status == status
    if status == 403:
        assert b"RequestTimeTooSkewed" in answer.body


async def test_everything_is_dated_by_the_calendar(start: Start) -> None:
    """Date and Last-Modified are the calendar's, whatever front an object came by."""
    ports = await start(LATER_S)
    written = await put(ports["control"], UNIX_S)
    async with network() as net:
        one = LoneDevice(
            net, endpoint(ports["plain"], is_tls=False), unix_s=int(LATER_S)
        )
        await one.connect()
        got = await one.get("a/x")
    assert isinstance(got, Response)
    for text in (
        written.headers["date"],
        got.headers["date"],
        got.headers["last-modified"],
    ):
        dated_s = parsedate_to_datetime(text).timestamp()
        assert LATER_S - 1 <= dated_s <= LATER_S + 120


@pytest.mark.parametrize("front", ["mutual", "by_name"])
@pytest.mark.parametrize(
    ("leaf", "epoch_s", "expected"),
    [
        (device("fine"), UNIX_S, "connected"),
        (device("fine"), LATER_S, "tls.alert.certificate_expired"),
        (device("fine"), UNIX_S - 5 * YEAR_S, "tls.alert.bad_certificate"),
        (device("old", expired=True), UNIX_S, "tls.alert.certificate_expired"),
        (
            device("old", expired=True),
            UNIX_S - YEAR_S / 2 + 1800,
            "connected",
        ),
    ],
    ids=["valid", "expired-then", "not-yet-valid-then", "expired", "valid-then"],
)
async def test_client_certificates_are_verified_at_the_calendars_time(
    start: Start, front: str, leaf: Leaf, epoch_s: float, expected: str
) -> None:
    """Expired or not is a question of the calendar, also behind a choice by name."""
    ports = await start(epoch_s)
    async with network() as net:
        one = LoneDevice(net, endpoint(ports[front]), leaf=leaf)
        assert outcome(await one.connect()) == expected
        one.drop()


@pytest.mark.parametrize(
    ("epoch_s", "expected"),
    [
        (UNIX_S, "connected"),
        (UNIX_S + 1.5 * DAY_S, "tls.alert.certificate_expired"),
        (UNIX_S - 1.5 * DAY_S, "tls.alert.bad_certificate"),
    ],
    ids=["current", "expired", "not-yet-current"],
)
async def test_revocation_lists_are_judged_at_the_calendars_time(
    start: Start, epoch_s: float, expected: str
) -> None:
    """A list past its nextUpdate refuses everybody, as nginx and HAProxy do."""
    ports = await start(epoch_s)
    async with network() as net:
        one = LoneDevice(net, endpoint(ports["checked"]), leaf=device("fine"))
        assert outcome(await one.connect()) == expected
        one.drop()


async def test_certificate_expires_while_the_calendar_runs(start: Start) -> None:
    """With an hour a second a device connects first and is refused soon after."""
    begins_s = UNIX_S - YEAR_S / 2
    ports = await start(begins_s + 600, scale=3600.0)
    async with network() as net:
        one = LoneDevice(
            net, endpoint(ports["mutual"]), leaf=device("old", expired=True)
        )
        connected = 0
        while not isinstance(failure := await one.connect(), Failure):
            one.drop()
            connected += 1
    assert connected > 0
    assert failure.kind == "tls.alert.certificate_expired"


@pytest.mark.parametrize(
    ("scale", "skew_s"), [(0.5, 900), (1, 900), (61, 1200), (86_401, 432_900)]
)
def test_a_fast_calendar_forgives_the_way(
    tmp_path: Path, scale: float, skew_s: float
) -> None:
    """Five real seconds on the way come on top of S3's 15 minutes, no more."""
    settings = on_calendar(tmp_path, LATER_S, scale=scale)
    assert s3_settings(settings).max_skew_s == skew_s


async def test_lab_process_keeps_its_calendar(tmp_path: Path) -> None:
    """Another process reads the same monotonic clock; a revived lab goes on with it."""
    lab = LabProcess()
    settings = lab_settings(tmp_path, clock={"epoch_unix_s": LATER_S, "scale": 1000.0})
    await lab.start(settings)
    try:
        standing = await lab.request("status")
        assert standing["unix_s"] == LATER_S
        origin_ns = time.monotonic_ns()
        await lab.request("start_clock", origin_monotonic_ns=origin_ns)
        for _ in range(2):
            status = await lab.request("status")
            elapsed_s = (status["monotonic_ns"] - origin_ns) / 1e9
            assert status["unix_s"] == pytest.approx(
                LATER_S + 1000 * elapsed_s, abs=5.0
            )
            await lab.kill()
            await lab.restart()
    finally:
        await lab.stop(0.1)
