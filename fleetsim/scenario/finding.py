"""Finding: something in a scenario that does not fit together."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fleetsim.scenario.yaml_document import Loc


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit together.

    Attributes:
        at: Where it is reported.
        what: What is wrong and what is accepted.
        depends_on: Other places it was concluded from, with all that is in them.
        needs: Places whose mere presence it was concluded from.
    """

    at: Loc
    what: str
    depends_on: tuple[Loc, ...] = ()
    needs: tuple[Loc, ...] = ()

    def follows_from(self, broken: AbstractSet[Loc]) -> bool:
        """Whether it may only repeat that other places are unreadable.

        Args:
            broken: Places that are wrong by themselves.
        """
        return any(
            any(_is_below(place, other) for place in self.needs)
            or any(
                _is_below(place, other) or _is_below(other, place)
                for place in (self.at, *self.depends_on)
                if place
            )
            for other in broken
        )


def _is_below(place: Loc, other: Loc) -> bool:
    return place[: len(other)] == other
