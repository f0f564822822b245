"""Collecting: the garbage collector during a run, and afterwards."""

import gc

import pytest

from fleetsim.engine.collecting import THRESHOLD, settled


def test_everything_is_as_before_afterwards() -> None:
    """Also when the run fails: nothing stays frozen, the threshold comes back."""
    before = gc.get_threshold()

    def fail() -> None:
        with settled():
            assert gc.get_threshold()[0] == THRESHOLD
            assert gc.get_freeze_count() > 0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_a_cycle_of_the_run_is_still_found() -> None:
    """What the run itself makes stays in sight."""

    class Node:
        other: "Node"

    with settled():
        one = Node()
        one.other = one
        del one
        assert gc.collect() >= 1
