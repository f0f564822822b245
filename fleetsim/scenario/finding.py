"""Finding: something in a scenario that does not fit together."""

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
