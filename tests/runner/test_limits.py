"""Limits of the machine, checked before anything runs."""

import resource
from dataclasses import replace

import pytest

from fleetsim.exceptions import InputError
from fleetsim.runner.limits import (
    FILES_BESIDE_CONNECTIONS,
    check_source_addresses,
    raise_file_limit,
)
from tests.runner.plans import plan_of

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
