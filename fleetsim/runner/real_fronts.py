"""Real fronts: whether a plan can be run with nginx or HAProxy in front of its lab."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fleetsim.core.settings import Security
from fleetsim.exceptions import Problem
from fleetsim.lab.settings import FrontProgram, LabSettings
from fleetsim.scenario.plan import Plan

FOLDER: Final = "fronts"
"""Folder of the programs' files, within the private folder of the run."""


def with_front(
    settings: LabSettings, program: FrontProgram, work_folder: Path
) -> LabSettings:
    """Let a real program end TLS at the fronts of a lab.

    Args:
        settings: The lab's.
        program: What ends TLS.
        work_folder: Private folder of the run.
    """
    if program is FrontProgram.BUILTIN:
        return settings
    return settings.model_copy(
        update={"front_program": program, "front_folder": work_folder / FOLDER}
    )


def front_problems(plan: Plan, program: FrontProgram) -> Iterable[Problem]:
    """Find what keeps a plan from being run with a program."""
    if program is FrontProgram.BUILTIN:
        return
    where = f"--front {program}"
    if plan.lab is None:
        yield Problem(where, "is for the lab; this scenario has a target of its own")
    elif plan.calendar_epoch_unix_s is not None and any(
        front.security is Security.HIGH for front in plan.lab.fronts
    ):
        # The server's own certificate is judged by the devices, signatures by the lab:
        # both follow the calendar whatever ends TLS.
        yield Problem(
            where,
            "judges client certificates by this machine's clock, so it cannot follow the "
            "scenario's calendar: leave out --front, or the calendar",
        )
