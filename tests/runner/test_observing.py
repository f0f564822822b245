"""Observing: who is asked, what becomes of the answers, and of those who are gone."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.observed import Layer, Observed, Refusal
from fleetsim.exceptions import InputError, Problem, TargetError
from fleetsim.lab.settings import FrontProgram
from fleetsim.runner import observing
from fleetsim.runner.observing import (
    LabObserver,
    TargetObserver,
    Window,
    start_observing,
)
from fleetsim.scenario.target_schema import ObserveSpec
from tests.runner.plans import TARGET, plan_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WINDOW = Window(started=NOW, ended=NOW + timedelta(seconds=10))
DEVICE = "0A1B2C3D"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of tests have written what they had to say."""
    monkeypatch.setattr(observing, "SETTLED_S", 0.0)


class Lab:
    """A lab that answers what it is told to."""

    def __init__(self, stats: list[dict[str, Any]], refused: object = ()) -> None:
        self._stats = stats
        self._refused = refused
        self.pid = 7

    async def request(self, command: str) -> dict[str, Any]:
        """Answer; the last ``stats`` again and again."""
        if command == "refused":
            return {"refused": self._refused}
        return self._stats.pop(0) if len(self._stats) > 1 else self._stats[0]


def stats_of(handshakes: Mapping[str, int], statuses: Mapping[str, int]) -> Any:
    """What a lab with one front and a control front says."""
    front = {
        "handshakes": dict(handshakes),
        "handshakes_resumed": 1,
        "requests": {"by_status": dict(statuses), "stored": 2},
    }
    return {"fronts": {"main": front, "fleetsim-control": front}}


async def observe(lab: Lab, program: FrontProgram = FrontProgram.BUILTIN) -> Observed:
    """Ask a lab."""
    process: Any = lab
    return await LabObserver(process, program).finish(WINDOW)


async def test_the_lab_says_both() -> None:
    """Handshakes of the front, requests of the store; the control front is left out."""
    stats = stats_of({"ok": 5, "tls.reset": 2}, {"200": 3, "403": 1, "0": 9})
    found = await observe(
        Lab([stats], [["CN=" + DEVICE, "tls.reset", 2], ["", "x", 1]])
    )
    store, front = found.sources
    assert (store.layer, store.name) == (Layer.STORE, "main")
    assert store.requests is not None
    assert (store.requests.answered, store.requests.stored) == (4, 2)
    assert store.requests.failed == 1
    assert (front.layer, front.name) == (Layer.FRONT, "main (builtin)")
    assert front.handshakes is not None
    assert (front.handshakes.completed, front.handshakes.resumed) == (5, 1)
    assert front.handshakes.refused == {"tls.reset": 2}
    assert found.refusals == (Refusal(device=DEVICE, kind="tls.reset", count=2),)


async def test_a_plain_front_has_no_handshakes() -> None:
    """Nothing is said of what does not happen there."""
    found = await observe(Lab([stats_of({}, {"200": 3})]))
    assert [each.layer for each in found.sources] == [Layer.STORE]


async def test_a_real_front_has_notes() -> None:
    """A log of requests misses connections without one."""
    found = await observe(Lab([stats_of({"ok": 5}, {})]), FrontProgram.NGINX)
    assert all(each.notes for each in found.sources)


async def test_asked_until_nothing_moves() -> None:
    """A server may hear of an end a little later than the device."""
    first, last = stats_of({"ok": 1}, {}), stats_of({"ok": 2}, {})
    found = await observe(Lab([first, last, last]))
    assert found.sources[1].handshakes is not None
    assert found.sources[1].handshakes.completed == 2


async def test_a_lab_that_was_started_again() -> None:
    """Its counts began anew, which a reader must know."""
    process: Any = Lab([stats_of({"ok": 5}, {"200": 3})])
    observer = LabObserver(process, FrontProgram.BUILTIN)
    process.pid = 8
    for source in (await observer.finish(WINDOW)).sources:
        assert not source.is_complete
        assert "started again" in source.notes[-1]


async def test_a_lab_that_died() -> None:
    """The run is worth its summary all the same."""

    class Dead(Lab):
        async def request(self, command: str) -> dict[str, Any]:
            raise TargetError("lab process", f"is not running: {command}")

    (source,) = (await observe(Dead([]))).sources
    assert not source.is_complete
    assert "is not running" in source.notes[0]


# ---------------------------------------------------------------- real targets


def line(**changes: str) -> str:
    """A line of nginx's access log within the run."""
    values = {
        "unix_s": str(NOW.timestamp() + 5),
        "peer": "192.0.2.1:5",
        "method": "PUT",
        "uri": f"/fleet/{DEVICE}/device.json",
        "status": "200",
    }
    return json.dumps(values | changes) + "\n"


async def observer_of(folder: Path, **spec: Any) -> TargetObserver:
    """An observer of files in a folder."""
    observer = TargetObserver(
        ObserveSpec.model_validate(spec),
        folder,
        bucket="fleet",
        devices=frozenset({DEVICE}),
        addresses=frozenset({"192.0.2.1"}),
    )
    await observer.start()
    return observer


async def test_logs_of_a_target(tmp_path: Path) -> None:
    """Several files of one kind are one source; what was there before is not read."""
    log, errors = tmp_path / "a.log", tmp_path / "e.log"
    log.write_text(line())
    observer = await observer_of(tmp_path, nginx_log=["a.log", "e.log"])
    log.write_text(log.read_text() + line() + line(uri="/other/x") + "{cut\n")
    errors.write_text("something else\n")
    (source,) = (await observer.finish(WINDOW)).sources
    assert source.requests is not None
    assert (source.requests.answered, source.others, source.unreadable) == (1, 1, 1)
    assert not source.is_complete
    assert any("could not be read" in note for note in source.notes)


async def test_a_log_in_another_format(tmp_path: Path) -> None:
    """Lines that say nothing point to the format that does."""
    observer = await observer_of(tmp_path, haproxy_log="h.log")
    (tmp_path / "h.log").write_text("192.0.2.1:1 [x] f b/s 200\n")
    (source,) = (await observer.finish(WINDOW)).sources
    assert not source.is_complete
    assert "fleetsim log-format haproxy" in source.notes[-1]


async def test_everything_that_cannot_be_read_at_once(tmp_path: Path) -> None:
    """Before the first device starts, with every path."""
    with pytest.raises(InputError) as caught:
        await observer_of(
            tmp_path,
            nginx_log="no/where.log",
            haproxy_log="nor/here.log",
            rgw_admin_socket="no.asok",
        )
    names = [re.sub(r".*/", "", each.where) for each in caught.value.problems]
    assert names == ["where.log", "here.log", "no.asok"]


async def test_a_gateway_that_is_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counters are missing, the run is not."""

    async def read(_path: Path) -> dict[str, int]:
        return dict.fromkeys(("req", "failed_req", "put", "put_b", "get"), 1)

    async def gone(path: Path) -> dict[str, int]:
        raise InputError(Problem(str(path), "refused"))

    monkeypatch.setattr(observing, "read_counters", read)
    observer = await observer_of(tmp_path, rgw_admin_socket="x.asok")
    (source,) = (await observer.finish(WINDOW)).sources
    assert source.requests is not None
    assert source.requests.answered == 0
    monkeypatch.setattr(observing, "read_counters", gone)
    (source,) = (await observer.finish(WINDOW)).sources
    assert (source.is_complete, source.notes) == (False, ("refused",))


async def test_nobody_to_ask(tmp_path: Path) -> None:
    """A target whose scenario names nothing is not observed."""

    class Target:
        lab = None

    target: Any = Target()
    observer = await start_observing(
        plan_of({"trust": "empty"}, target=TARGET),
        target,
        base_folder=tmp_path,
        front_program=FrontProgram.BUILTIN,
    )
    assert observer is None
