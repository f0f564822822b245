"""SD card: sessions, splits, backlog, cyclic delete."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from fleetsim.core.sd_card import LogFile, Place, SdCard
from fleetsim.core.settings import CardRules


def filled(*sizes: int, size_bytes: int = 100, cyclic: bool = True) -> SdCard:
    """Make a card in its first session with files of these sizes."""
    card = SdCard(CardRules(size_bytes=size_bytes, cyclic=cyclic))
    card.power_cycle()
    for number, size in enumerate(sizes):
        card.close_file(size, number)
    return card


def names(card: SdCard) -> list[tuple[int, int]]:
    """Session and split of the backlog in upload order, taken off the card."""
    found = []
    while (file := card.oldest()) is not None:
        found.append((file.session, file.split))
        card.confirm(file)
    return found


def test_split_counts_within_the_session() -> None:
    """A power cycle begins a session; its splits start at 1 again."""
    card = filled(1, 1)
    card.power_cycle()
    card.close_file(1, 5)
    assert names(card) == [(1, 1), (1, 2), (2, 1)]


def test_cyclic_delete_takes_the_oldest() -> None:
    """As many oldest files go as are needed, not one more."""
    card = filled(40, 30, 30)
    file = card.close_file(50, 9)
    assert file is not None
    assert (file.session, file.split, file.size_bytes, file.closed_ns) == (1, 4, 50, 9)
    assert (card.files_lost, card.bytes_lost, card.used_bytes) == (2, 70, 80)
    assert names(card) == [(1, 3), (1, 4)]


def test_cyclic_delete_stops_at_an_exact_fit() -> None:
    """Room of exactly the new file's size is room enough."""
    card = filled(40, 30, 30)
    card.close_file(40, 9)
    assert (card.files_lost, card.used_bytes) == (1, 100)


def test_exact_fit_deletes_nothing() -> None:
    """A card may be full to its last byte."""
    card = filled(60, 40)
    assert (card.used_bytes, card.backlog, card.files_lost) == (100, 2, 0)


def test_full_card_without_cyclic_mode_stops_logging() -> None:
    """What does not fit is lost, takes no split number, and nothing is deleted."""
    card = filled(60, size_bytes=100, cyclic=False)
    assert card.close_file(41, 1) is None
    assert (card.files_lost, card.bytes_lost, card.files_closed) == (1, 41, 2)
    assert card.close_file(40, 2) is not None
    assert names(card) == [(1, 1), (1, 2)]


@pytest.mark.parametrize("cyclic", [True, False])
def test_file_larger_than_the_card_deletes_nothing(cyclic: bool) -> None:
    """It is lost, and nothing is lost for it."""
    card = filled(60, cyclic=cyclic)
    assert card.close_file(101, 1) is None
    assert (card.backlog, card.files_lost, card.bytes_lost) == (1, 1, 101)


def test_upload_survives_cyclic_delete() -> None:
    """A file deleted during its upload is confirmed, not lost, once it arrived."""
    card = filled(60, 40)
    uploading = card.oldest()
    assert uploading is not None
    card.close_file(10, 9)
    assert not card.holds(uploading)
    assert (card.files_lost, card.bytes_lost) == (1, 60)

    card.confirm(uploading)
    assert uploading.place is Place.CONFIRMED
    assert (card.files_lost, card.bytes_lost, card.files_confirmed) == (0, 0, 1)
    assert (card.backlog, card.used_bytes) == (2, 50)


def test_failed_upload_after_cyclic_delete_goes_on_with_the_next() -> None:
    """There is nothing left to send again: the next oldest file comes up."""
    card = filled(60, 40)
    uploading = card.oldest()
    card.close_file(10, 9)
    following = card.oldest()
    assert following is not None
    assert following is not uploading
    assert (following.split, card.files_lost) == (2, 1)


def test_confirming_twice_is_a_bug() -> None:
    """A file is confirmed once; a second time would break the count."""
    card = filled(1)
    file = card.oldest()
    assert file is not None
    card.confirm(file)
    with pytest.raises(ValueError, match="confirmed before"):
        card.confirm(file)
    assert card.files_confirmed == 1


def test_negative_size_is_refused() -> None:
    """A negative size would make room out of nothing."""
    card = filled(1)
    with pytest.raises(ValueError, match="must not be negative"):
        card.close_file(-1, 0)
    assert card.files_closed == 1


def test_repr_and_equality_leave_the_place_out() -> None:
    """Two reports of one file are equal wherever it is by now."""
    assert LogFile(1, 2, 3, 4) == LogFile(1, 2, 3, 4, Place.CONFIRMED)
    assert repr(LogFile(1, 2, 3, 4, Place.DELETED)) == repr(LogFile(1, 2, 3, 4))


def test_empty_card_is_small() -> None:
    """100,000 cards stay within a few tens of megabytes."""
    card = SdCard(CardRules())
    assert sys.getsizeof(card) + sys.getsizeof(card._files) < 300


@given(st.lists(st.integers(0, 120), max_size=60), st.booleans())
def test_split_numbers_have_no_gap(sizes: list[int], cyclic: bool) -> None:
    """Files that reached the card are numbered 1, 2, 3 … whatever was lost between."""
    card = SdCard(CardRules(size_bytes=100, cyclic=cyclic))
    card.power_cycle()
    files = [card.close_file(size, at) for at, size in enumerate(sizes)]
    splits = [file.split for file in files if file is not None]
    assert splits == list(range(1, len(splits) + 1))


class AnyLife(RuleBasedStateMachine):
    """Any order of closing, power cycles and confirmations keeps the laws."""

    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.card = SdCard(CardRules(size_bytes=1000))
        self.closed: list[LogFile] = []
        self.closed_bytes = 0

    @rule(target=files, size=st.integers(0, 1200), at_ns=st.integers(0, 10))
    def close(self, size: int, at_ns: int) -> object:
        """Close a file."""
        self.closed_bytes += size
        file = self.card.close_file(size, at_ns)
        if file is None:
            return multiple()
        self.closed.append(file)
        return file

    @rule()
    def cycle(self) -> None:
        """Power off and on."""
        self.card.power_cycle()

    @rule(file=files)
    def confirm(self, file: LogFile) -> None:
        """Confirm any file not confirmed yet, also out of order or deleted."""
        if file.place is not Place.CONFIRMED:
            self.card.confirm(file)

    @invariant()
    def is_within_capacity(self) -> None:
        """The card never holds more than its size, and knows what it holds."""
        held = [file for file in self.closed if self.card.holds(file)]
        assert self.card.used_bytes == sum(file.size_bytes for file in held) <= 1000
        assert self.card.backlog == len(held)

    @invariant()
    def accounts_for_every_file(self) -> None:
        """Closed = confirmed + backlog + lost, in files and in bytes."""
        card = self.card
        assert (
            card.files_closed == card.files_confirmed + card.backlog + card.files_lost
        )
        confirmed = sum(
            file.size_bytes for file in self.closed if file.place is Place.CONFIRMED
        )
        assert self.closed_bytes == confirmed + card.used_bytes + card.bytes_lost

    @invariant()
    def offers_the_oldest(self) -> None:
        """The next upload is the first closed of what is held."""
        held = [file for file in self.closed if self.card.holds(file)]
        assert self.card.oldest() is (held[0] if held else None)


TestAnyLife = AnyLife.TestCase
