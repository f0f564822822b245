"""SD card: sessions, splits, the backlog and cyclic delete, as pure bookkeeping.

The rules (CANedge documentation, "S3" and "SD card"; ``device.md`` section 5):

* A session is one power cycle; splits count from 1 within it.
* Only closed files are uploaded, oldest first, and removed once the server confirmed.
* A full card in cyclic mode deletes its oldest files to make room; otherwise logging
  stops and what would have been logged is lost.

Decisions where the documentation is silent:

* A file larger than the whole card is lost without deleting anything for it.
* A file that is not logged takes no split number: it never was on the card.
* Cyclic delete may hit the file that is being uploaded. The upload goes on: its bytes
  are at hand. If the server confirms it, the file arrived and is counted as confirmed,
  no longer as lost. If that upload fails, there is nothing to send again: ask
  :meth:`SdCard.holds` and go on with :meth:`SdCard.oldest`.

Law: ``files_closed = files_confirmed + backlog + files_lost``, likewise in bytes.
"""

from dataclasses import dataclass, field
from enum import Enum, auto, unique

from fleetsim.core.settings import CardRules


@unique
class Place(Enum):
    """Where a log file is."""

    CARD = auto()
    DELETED = auto()  # by cyclic delete
    CONFIRMED = auto()  # on the server; removed from the card


@dataclass(slots=True)
class LogFile:
    """One closed log file.

    Attributes:
        session: Power cycle it belongs to.
        split: Number within the session, from 1.
        size_bytes: Its size.
        closed_ns: When it was closed (run time).
        place: Where it is now; kept by its card.
    """

    session: int
    split: int
    size_bytes: int
    closed_ns: int
    place: Place = field(default=Place.CARD, repr=False, compare=False)


class SdCard:
    """The card of one device. Small: a fleet has 100,000 of them.

    Args:
        rules: Size and whether it is cyclic.

    Attributes:
        session: Current session, 0 before the first power-on.
        used_bytes: Sum of the files on the card, 0..``size_bytes``.
        files_closed: Files the device wanted to keep, lost ones included.
        files_confirmed: Files the server confirmed.
        files_lost: Files deleted or not logged because the card was full.
        bytes_lost: Their sizes.
    """

    __slots__ = (
        "_files",
        "_rules",
        "_split",
        "bytes_lost",
        "files_closed",
        "files_confirmed",
        "files_lost",
        "session",
        "used_bytes",
    )

    def __init__(self, rules: CardRules) -> None:
        self._rules = rules
        # A list, not a deque: 56 bytes instead of 600, and backlogs are short.
        self._files: list[LogFile] = []
        self._split = 0
        self.session = 0
        self.used_bytes = 0
        self.files_closed = 0
        self.files_confirmed = 0
        self.files_lost = 0
        self.bytes_lost = 0

    @property
    def backlog(self) -> int:
        """Closed files that wait for their upload."""
        return len(self._files)

    def power_cycle(self) -> None:
        """Begin a new session; to be called at every power-on, the first included."""
        self.session += 1
        self._split = 0

    def close_file(self, size_bytes: int, closed_ns: int) -> LogFile | None:
        """Close a log file and keep it for upload.

        Args:
            size_bytes: Its size, 0 or more.
            closed_ns: When (run time).

        Returns:
            The file, or ``None`` when the card has no room: it is lost.

        Raises:
            ValueError: The size is negative.
        """
        if size_bytes < 0:
            raise ValueError(f"size_bytes is {size_bytes}, must not be negative")
        self.files_closed += 1
        limit = self._rules.size_bytes - size_bytes
        if self.used_bytes > limit:
            if limit < 0 or not self._rules.cyclic:
                self.files_lost += 1
                self.bytes_lost += size_bytes
                return None
            self._delete_oldest(limit)
        self._split += 1
        file = LogFile(self.session, self._split, size_bytes, closed_ns)
        self._files.append(file)
        self.used_bytes += size_bytes
        return file

    def oldest(self) -> LogFile | None:
        """The file to upload next; ``None`` when nothing waits."""
        return self._files[0] if self._files else None

    def holds(self, file: LogFile) -> bool:
        """Whether a file of this card is still on it, neither confirmed nor deleted."""
        return file.place is Place.CARD

    def confirm(self, file: LogFile) -> None:
        """Take note that the server stored a file; remove it from the card.

        Args:
            file: A file of this card, also one deleted while it was being uploaded.

        Raises:
            ValueError: It was confirmed before.
        """
        match file.place:
            case Place.CARD:
                self._remove(file)
            case Place.DELETED:
                self.files_lost -= 1
                self.bytes_lost -= file.size_bytes
            case Place.CONFIRMED:
                raise ValueError(f"{file!r} was confirmed before")
        file.place = Place.CONFIRMED
        self.files_confirmed += 1

    def _remove(self, file: LogFile) -> None:
        files = self._files
        index = 0 if files[0] is file else files.index(file)
        del files[index]
        self.used_bytes -= file.size_bytes

    def _delete_oldest(self, limit: int) -> None:
        """Delete oldest files until at most ``limit`` bytes are used."""
        count = 0
        for file in self._files:
            if self.used_bytes <= limit:
                break
            self.used_bytes -= file.size_bytes
            self.bytes_lost += file.size_bytes
            file.place = Place.DELETED
            count += 1
        del self._files[:count]
        self.files_lost += count
