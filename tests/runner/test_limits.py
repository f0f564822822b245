"""Limits of the machine, checked before anything runs."""

import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from fleetsim.exceptions import InputError
from fleetsim.lab.settings import FrontProgram
from fleetsim.runner import limits
from fleetsim.runner.limits import (
    FILES_BESIDE_CONNECTIONS,
    Cores,
    check_machine,
    check_ports,
    check_source_addresses,
    count_processes,
    local_ports,
    pin,
    raise_file_limit,
)
from tests.runner.plans import TARGET, plan_of

PLAN = plan_of({})
INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("needed", "soft", "hard", "raised"),
    [
        pytest.param(100, 1024, 4096, None, id="enough"),
        pytest.param(2000, 1024, 4096, 2000 + FILES_BESIDE_CONNECTIONS, id="raised"),
        pytest.param(2000, 1024, INFINITY, 2064, id="no hard limit"),
        pytest.param(2000, INFINITY, INFINITY, None, id="no limit"),
        pytest.param(960, 1024, 1024, None, id="just enough"),
    ],
)
def test_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch,
    *,
    needed: int,
    soft: int,
    hard: int,
    raised: int | None,
) -> None:
    """The soft limit is raised to what the plan needs, never lowered."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, pair: limits.append(pair))
    plan = replace(PLAN, needs=replace(PLAN.needs, file_descriptors=needed))
    raise_file_limit(plan)
    assert limits == ([] if raised is None else [(raised, hard)])


def test_a_hard_limit_that_is_too_low(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with both figures and what to do."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 512))
    plan = replace(PLAN, needs=replace(PLAN.needs, file_descriptors=5000))
    with pytest.raises(InputError, match=r"need 5064, the hard limit is 512.*ulimit"):
        raise_file_limit(plan)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9"])
def test_source_addresses_of_this_machine(address: str) -> None:
    """All of 127.0.0.0/8 is this machine's own."""
    check_source_addresses([address])


def test_every_bad_source_address_is_named() -> None:
    """Foreign addresses and words come together in one error."""
    with pytest.raises(InputError) as caught:
        check_source_addresses(["192.0.2.1", "127.0.0.1", "here", "2001:db8::1"])
    assert [problem.where for problem in caught.value.problems] == [
        "--source-address 192.0.2.1",
        "--source-address here",
        "--source-address 2001:db8::1",
    ]


def test_each_process_has_its_own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one process cannot hold, several can; the largest share counts."""
    plan = plan_of({"count": 500, "workload": {"connection": "keep_alive"}})
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 400))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, _pair: None)
    with pytest.raises(InputError, match="--processes"):
        raise_file_limit(plan)
    raise_file_limit(plan, processes=2)


@pytest.mark.parametrize(
    ("count", "addresses", "wanted"),
    [
        pytest.param(100, (), None, id="enough"),
        pytest.param(101, (), 2, id="one too many"),
        pytest.param(101, ("127.0.0.2", "127.0.0.3"), None, id="two addresses"),
        pytest.param(350, ("127.0.0.2", "127.0.0.3"), 4, id="four are needed"),
    ],
)
def test_local_ports(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    count: int,
    addresses: tuple[str, ...],
    wanted: int | None,
) -> None:
    """Refused before the start, with the number of source addresses that would do."""
    range_file = tmp_path / "range"
    range_file.write_text("1000\t1099\n")
    monkeypatch.setattr(limits, "_PORT_RANGE", range_file)
    plan = plan_of({"count": count, "workload": {"connection": "keep_alive"}})
    if wanted is None:
        check_ports(plan, addresses)
        return
    with pytest.raises(InputError, match=f"need {count} .* 100 .*: give {wanted} "):
        check_ports(plan, addresses)


def test_ports_towards_a_real_endpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ports of closed connections are somebody else's guess: only open ones count."""
    range_file = tmp_path / "range"
    range_file.write_text("1000 1099")
    monkeypatch.setattr(limits, "_PORT_RANGE", range_file)
    plan = plan_of(
        {
            "count": 90,
            "trust": "empty",
            "workload": {"period": "1s", "upload_delay": "0s"},
        },
        target=TARGET,
    )
    assert plan.needs.ephemeral_ports > 100
    check_ports(plan, ())


def test_an_unknown_port_range(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where Linux does not tell, its default is taken."""
    monkeypatch.setattr(limits, "_PORT_RANGE", tmp_path / "none")
    assert local_ports() == 28_232


@pytest.mark.parametrize(
    ("cores", "data", "front", "count"),
    [
        pytest.param(8, {"lab": {}}, FrontProgram.BUILTIN, 7, id="lab"),
        pytest.param(8, {"lab": {}}, FrontProgram.NGINX, 6, id="lab and nginx"),
        pytest.param(8, {"target": TARGET}, FrontProgram.BUILTIN, 8, id="real target"),
        pytest.param(1, {"lab": {}}, FrontProgram.BUILTIN, 1, id="one core"),
        pytest.param(64, {"lab": {}}, FrontProgram.BUILTIN, 10, id="few devices"),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    data: dict[str, object],
    front: FrontProgram,
    count: int,
) -> None:
    """As many as there are cores, less those of the lab, never more than devices."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert (
        count_processes(
            "auto",
            plan_of(
                {"count": 10, "trust": "lab" if "lab" in data else "empty"}, **data
            ),
            front,
        )
        == count
    )


@pytest.mark.parametrize("wanted", ["0", "-1", "11", "two", "", "1.5", "1e1"])
def test_no_number_of_processes(wanted: str) -> None:
    """The sentence says what would do."""
    with pytest.raises(
        InputError, match=r"--processes: must be auto or 1\.\.10, as many"
    ):
        count_processes(wanted, plan_of({"count": 10}), FrontProgram.BUILTIN)


@pytest.mark.parametrize(
    ("allowed", "has_lab", "processes", "cores", "own"),
    [
        ((2, 5), True, 1, Cores(lab=5), {2}),
        ((2, 5), False, 1, Cores(lab=5), {2}),
        ((0, 1, 2, 3), True, 2, Cores(lab=3, shards=(0, 1, 2)), {0, 1, 2}),
        ((0, 1), False, 4, Cores(shards=(0, 1)), {0, 1}),
        ((3,), True, 2, Cores(), None),
    ],
    ids=["alone", "alone, no lab", "shards and lab", "shards, no lab", "one core"],
)
def test_pinning(
    monkeypatch: pytest.MonkeyPatch,
    allowed: tuple[int, ...],
    *,
    has_lab: bool,
    processes: int,
    cores: Cores,
    own: set[int] | None,
) -> None:
    """The lab has the last core to itself, the shards share the others."""
    pinned: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(allowed))
    monkeypatch.setattr(
        os, "sched_setaffinity", lambda _pid, set_: pinned.append({*set_})
    )
    assert pin(has_lab=has_lab, processes=processes) == cores
    assert pinned == ([] if own is None else [own])


def test_all_limits_come_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One look at the machine tells everything that is wrong with it."""
    range_file = tmp_path / "range"
    range_file.write_text("1000 1009")
    monkeypatch.setattr(limits, "_PORT_RANGE", range_file)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (64, 100))
    plan = plan_of({"count": 500, "workload": {"connection": "keep_alive"}})
    with pytest.raises(InputError) as caught:
        check_machine(plan, 2, ["here"])
    assert [problem.where for problem in caught.value.problems] == [
        "open files",
        "--source-address here",
        "local ports",
    ]
