"""LiveFigures: every figure a condition can name, worked out when it is asked for."""

from fleetsim.engine.contacts import ContactBook
from fleetsim.runner.live_figures import LiveFigures
from fleetsim.scenario.condition import FIGURES, parse_condition


class Shares:
    """Shares that count how often they are asked."""

    def __init__(self) -> None:
        self.asked = 0

    def bundle_share(self) -> float:
        """A share."""
        self.asked += 1
        return 0.25

    def config_share(self) -> float:
        """A share."""
        return 0.5

    def firmware_share(self) -> float:
        """A share."""
        return 0.75


def figures(shares: Shares) -> LiveFigures:
    """Figures of an empty fleet that runs for three seconds."""
    book = ContactBook(lambda: 0)
    return LiveFigures(lambda: book.figures() | {"elapsed_s": 3.0}, shares, lambda: 7)


def test_every_figure_of_the_language_is_there() -> None:
    """A condition that is silently false would make a rehearsal wait for ever."""
    found = dict(figures(Shares()))
    assert set(found) == set(FIGURES)
    assert len(figures(Shares())) == len(FIGURES)
    assert all(isinstance(value, float) for value in found.values())
    assert (found["crl_revoked"], found["firmware_share"]) == (7.0, 0.75)
    assert found["elapsed_s"] == 3.0


def test_only_what_is_asked_for_is_worked_out() -> None:
    """A share over the whole fleet costs nothing while nobody waits for it."""
    shares = Shares()
    live = figures(shares)
    assert parse_condition("connected == 0").holds(live)
    assert shares.asked == 0
    assert parse_condition("bundle_share == 25%").holds(live)
    assert shares.asked == 1
