import pytest

from fleetsim.lab.terminators.haproxy import Haproxy
from fleetsim.lab.terminators.nginx import Nginx, user_of_this_process
from fleetsim.lab.terminators.program import (
    CONFIG,
    Program,
    Transaction,
    listening,
)

PROGRAMS: list[Program] = [Nginx(user_of_this_process()), Haproxy()]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_next_configuration_is_checked_and_the_present_one_run(
    program: Program,
) -> None:
    """Checking names the file it is given; running names the one in place."""
    assert "next.conf" in program.check_arguments("next.conf")
    assert CONFIG in program.run_arguments()


def test_a_reload_takes_over_what_was_dialled() -> None:
    """Each generation listens where the one before did, and where only it does."""
    assert listening(1) == ("front-1.sock",)
    for generation in range(2, 5):
        before, own = listening(generation)
        assert before in listening(generation - 1)
        assert own not in listening(generation - 1)


def test_transactions_hide_what_they_carry() -> None:
    """A key on its way to a program is in no repr."""
    transaction = Transaction(commands=("a key",), expected=("ok",), abort="abort")
    assert "a key" not in repr(transaction)
