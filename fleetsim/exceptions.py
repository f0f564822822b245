"""Exceptions: for unusable input and for bugs. Network trouble is data, not exceptions.

The whole tree::

    FleetsimError
    ├── InputError        bad scenario, certificate, option …      exit code 2
    ├── TargetError       the S3 target cannot be used at all      exit code 3
    ├── RecordingError    the run folder cannot be written         exit code 1
    └── GeneratorError    the processes of the fleet are gone      exit code 1
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the input.

    Attributes:
        where: Place as a person finds it: ``file:line: field``, an option, a path.
        what: What is wrong and what is accepted, in one sentence.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class FleetsimError(Exception):
    """Root of every exception this package raises on purpose.

    Attributes:
        exit_code: Exit code of the command line when this ends it.
    """

    exit_code: ClassVar[int] = 1


class InputError(FleetsimError):
    """The input cannot be used. Carries *all* problems found, not only the first.

    Attributes:
        problems: One entry per problem; never empty.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(found)
        self.problems = found

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class TargetError(FleetsimError):
    """The target cannot be used: unreachable, wrong credentials, no bucket.

    Attributes:
        where: Endpoint or bucket that was tried.
        what: What it answered and what to do about it.
    """

    exit_code = 3

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class RecordingError(FleetsimError):
    """The run folder cannot be written (full disk, no permission).

    Attributes:
        where: File or folder.
        what: What the operating system said.
    """

    exit_code = 1

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class GeneratorError(FleetsimError):
    """The load generator cannot go on: its processes cannot be started, or all died.

    Attributes:
        where: Which process.
        what: What became of it.
    """

    exit_code = 1

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"
