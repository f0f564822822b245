import pytest

from fleetsim.lab.terminators.haproxy import Haproxy
from fleetsim.lab.terminators.nginx import Nginx, user_of_this_process
from fleetsim.lab.terminators.program import (
    CONFIG,
    LAB,
    Program,
    Transaction,
    Wiring,
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


def test_the_lab_listens_for_it() -> None:
    """By default the program hears the lab's sockets only, and serves the lab's store."""
    assert LAB.listening(3) == (
        ("unix:front-2.sock", True),
        ("unix:front-3.sock", True),
    )
    assert LAB.server == "unix:s3.sock"


def test_a_front_of_its_own() -> None:
    """With an address of its own that one comes first, without PROXY headers."""
    wiring = Wiring(listen=("127.0.0.1", 8443), upstream="127.0.0.1:7480")
    assert wiring.listening(1) == (
        ("127.0.0.1:8443", False),
        ("unix:front-1.sock", True),
    )
    assert wiring.server == "127.0.0.1:7480"
