"""HTTP fields."""

import email.parser
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.http_fields import MAX_FIELDS, is_persistent, parse_fields

NAMES = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=8)
VALUES = st.text(string.ascii_letters + string.digits + ' ;=,"', max_size=12)


def test_names_values_and_repeats() -> None:
    """Names are lower-cased, values stripped, repeats joined in order."""
    block = "A: 1\r\nb:\t2 3 \t\r\na:\r\nA:x:y\r\n"
    assert parse_fields(block) == {"a": "1, , x:y", "b": "2 3"}
    assert parse_fields("") == {}


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_reads_what_the_email_parser_reads(fields: list[tuple[str, str]]) -> None:
    """The standard library's header parser finds the same values."""
    block = "".join(f"{name}: {value}\r\n" for name, value in fields)
    found = parse_fields(block)
    assert found is not None
    message = email.parser.HeaderParser().parsestr(block)
    assert set(found) == {name.lower() for name in message}
    for name, value in found.items():
        assert value == ", ".join(part.strip() for part in message.get_all(name, []))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("X\r\n", id="no-colon"),
        pytest.param(": y\r\n", id="no-name"),
        pytest.param("X : y\r\n", id="space-before-colon"),
        pytest.param(" X: y\r\n", id="leading-space"),
        pytest.param("X: y\r\n z\r\n", id="folded"),
        pytest.param("X: y", id="no-line-end"),
        pytest.param("X: y\n", id="bare-lf"),
        pytest.param("X: y\rz\r\n", id="bare-cr"),
        pytest.param("X: y\x00\r\n", id="nul"),
        pytest.param("X: y\r\n\r\nZ: w\r\n", id="empty-line"),
        pytest.param("\u00e4: y\r\n", id="name-not-ascii"),
    ],
)
def test_refuses(block: str) -> None:
    """What is not a field line spoils the block."""
    assert parse_fields(block) is None


def test_number_of_fields_is_bounded() -> None:
    """The most fields pass, one more does not."""
    assert parse_fields("X: y\r\n" * MAX_FIELDS) is not None
    assert parse_fields("X: y\r\n" * (MAX_FIELDS + 1)) is None


@pytest.mark.parametrize(
    ("connection", "is_1_0", "expected"),
    [
        (None, False, True),
        (None, True, False),
        ("close", False, False),
        ("Close", False, False),
        ("keep-alive", True, True),
        ("Keep-Alive , foo", True, True),
        ("close, keep-alive", True, False),
        ("keep-alive, close", False, False),
        ("closed", False, True),
        ("foo", True, False),
        ("", False, True),
    ],
)
def test_persistence(connection: str | None, is_1_0: bool, expected: bool) -> None:
    """``close`` always wins; HTTP/1.0 needs ``keep-alive``."""
    fields = {} if connection is None else {"connection": connection}
    assert is_persistent(fields, is_1_0=is_1_0) is expected
