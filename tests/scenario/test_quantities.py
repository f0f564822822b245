"""Durations, sizes and ratios as people write them."""

import json
import math
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fleetsim.scenario.quantities import (
    MAX_DURATION_S,
    MAX_SIZE_BYTES,
    Duration,
    Number,
    Ratio,
    SignedDuration,
    Size,
    approximate_size,
    format_duration,
    format_size,
    parse_duration,
    parse_number,
    parse_ratio,
    parse_size,
    shown,
)


def brief(value: object) -> str:
    """A test id."""
    return ascii(value)[:30]


GOOD_DURATIONS = [
    ("30s", 30.0),
    ("1h30m", 5400.0),
    ("250ms", 0.25),
    ("5m", 300.0),
    ("5min", 300.0),
    ("90 s", 90.0),
    ("2d 3h", 2 * 86400 + 3 * 3600),
    ("1w", 604800.0),
    ("1.5h", 5400.0),
    (".5s", 0.5),
    ("10us", 1e-5),
    ("10µs", 1e-5),
    ("10μs", 1e-5),
    ("7ns", 7e-9),
    ("1e3", 1000.0),
    ("15", 15.0),
    ("+3s", 3.0),
    (0, 0.0),
    (2.5, 2.5),
]
BAD_DURATIONS = [
    ("", "expected a duration"),
    ("s", "expected a duration"),
    ("5x", "unknown unit 'x'"),
    ("5M", "expected a duration"),
    ("1m1h", "large to small"),
    ("1s1s", "each once"),
    ("-3s", "cannot be negative"),
    (-1, "cannot be negative"),
    ("nan", "expected a duration"),
    (math.nan, "expected a duration"),
    (math.inf, "expected a duration"),
    ("1e400", "expected a duration"),
    (10**400, "expected a duration"),
    (True, "not true"),
    (None, "not nothing"),
    ([], "not a list"),
    ({}, "not a mapping"),
    ("101y", "unknown unit 'y'"),
    ("36501d", "longer than 100 years"),
    (4e9, "longer than 100 years"),
    ("1" * 100, "expected a duration"),
]


@pytest.mark.parametrize(("written", "seconds"), GOOD_DURATIONS, ids=brief)
def test_durations_are_read_in_seconds(written: object, seconds: float) -> None:
    """A duration is parts of number and unit; a bare number is seconds."""
    assert parse_duration(written) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(("written", "says"), BAD_DURATIONS, ids=brief)
def test_unusable_durations_are_refused_with_a_reason(
    written: object, says: str
) -> None:
    """What is no duration, negative or absurd is refused in one clear sentence."""
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        parse_duration(written)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("written", "seconds"), [("-5m", -300.0), (-2, -2.0), ("- 1s", -1.0), ("3s", 3.0)]
)
def test_signed_durations_may_be_negative(written: object, seconds: float) -> None:
    """Clock errors may point either way."""
    assert parse_duration(written, signed=True) == seconds


@given(st.integers(-(10**18), 10**18))
def test_a_written_duration_is_read_back_to_the_nanosecond(ns: int) -> None:
    """parse(format(x)) = x for whole nanoseconds."""
    seconds = ns / 1e9
    read = parse_duration(format_duration(seconds), signed=True)
    assert read == pytest.approx(seconds, rel=1e-15, abs=0.5e-9)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (1e-6, "1us"),
        (2.5e-9, "2ns"),
        (30.0, "30s"),
        (5400.0, "1h30m"),
        (90061.5, "1d1h1m1.5s"),
        (-2.0, "-2s"),
    ],
)
def test_durations_are_written_as_people_do(seconds: float, written: str) -> None:
    """The largest units first, no unit of zero."""
    assert format_duration(seconds) == written


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [
        ("64KiB", 65536),
        ("64 KiB", 65536),
        ("64Ki", 65536),
        ("1MB", 1_000_000),
        ("10kB", 10_000),
        ("10kb", 10_000),
        ("1.5MiB", 1_572_864),
        ("2GiB", 2 * 2**30),
        ("1024TiB", MAX_SIZE_BYTES),
        ("512B", 512),
        ("512", 512),
        (0, 0),
        (7, 7),
        (8.0, 8),
    ],
    ids=brief,
)
def test_sizes_are_read_in_bytes(written: object, size_bytes: int) -> None:
    """kB, MB, GB are powers of 1000; KiB, MiB, GiB powers of 1024."""
    read = parse_size(written)
    assert read == size_bytes
    assert type(read) is int


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("16k", "ambiguous: write 16KiB"),
        ("16M", "or 16MB (powers of 1000)"),
        ("64Mb", "bits"),
        ("1.3B", "whole number"),
        (1.5, "whole number"),
        (-4, "negative"),
        ("-3KiB", "negative"),
        (True, "not true"),
        (math.nan, "expected a size"),
        (math.inf, "expected a size"),
        ("2000TiB", "larger than 1024 TiB"),
        ("3 bananas", "unknown unit 'bananas'"),
        ("", "expected a size"),
        (None, "not nothing"),
    ],
    ids=brief,
)
def test_unusable_sizes_are_refused_with_a_reason(written: object, says: str) -> None:
    """Ambiguous units are refused: nobody may guess a factor of 1024."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_size(written)


@given(st.integers(0, MAX_SIZE_BYTES))
def test_a_written_size_is_read_back(size_bytes: int) -> None:
    """parse(format(x)) = x for all sizes."""
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [
        (0, "0B"),
        (65536, "64KiB"),
        (8_000_000_000, "8GB"),
        (1000, "1kB"),
        (1023, "1023B"),
    ],
)
def test_sizes_are_written_exactly(size_bytes: int, written: str) -> None:
    """In the largest unit that divides the size."""
    assert format_size(size_bytes) == written


def test_approximate_sizes_have_three_digits() -> None:
    """For people, three digits in binary units are enough."""
    assert approximate_size(1.37 * 2**30) == "1.37 GiB"
    assert approximate_size(12) == "12 B"


@pytest.mark.parametrize(
    ("written", "ratio"),
    [("0.1%", 0.001), ("100%", 1.0), ("0", 0.0), (0.25, 0.25), (1, 1.0), ("5 %", 0.05)],
    ids=brief,
)
def test_ratios_are_numbers_or_percentages(written: object, ratio: float) -> None:
    """A share is 0..1 or 0%..100%."""
    assert parse_ratio(written) == pytest.approx(ratio, rel=1e-15)


@pytest.mark.parametrize(
    "written",
    [1.01, -0.1, "101%", "x", "nan%", "NaN", "inf", True, None, math.nan, "%"],
)
def test_other_ratios_are_refused(written: object) -> None:
    """Nothing outside 0..1 is a share."""
    with pytest.raises(ValueError, match="expected a ratio"):
        parse_ratio(written)


@pytest.mark.parametrize("value", [True, "3", None, math.nan, 10**400], ids=brief)
def test_numbers_are_plain_and_finite(value: object) -> None:
    """Text, truth values and non-finite numbers are no numbers."""
    with pytest.raises(ValueError, match="expected a number"):
        parse_number(value)


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_foreign_values_never_raise_anything_but_value_error(value: object) -> None:
    """A parser answers every input with a value in range or a ValueError."""
    for parse, low, high in (
        (parse_duration, 0.0, MAX_DURATION_S),
        (parse_size, 0, MAX_SIZE_BYTES),
        (parse_ratio, 0.0, 1.0),
    ):
        try:
            read = parse(value)
        except ValueError:
            continue
        assert low <= read <= high


@pytest.mark.parametrize(
    ("kind", "parse"),
    [
        (Duration, parse_duration),
        (SignedDuration, lambda value: parse_duration(value, signed=True)),
        (Size, parse_size),
        (Ratio, parse_ratio),
        (Number, parse_number),
    ],
    ids=["duration", "signed", "size", "ratio", "number"],
)
@pytest.mark.parametrize(
    "value",
    [
        *(written for written, _ in GOOD_DURATIONS),
        *["64KiB", "1.5MiB", "512", "16k", "64Mb", "5 %", "0.5%", "101%", "-5m", "x"],
        *[-1, 8, 0.25, True, None, [], {}],
    ],
    ids=brief,
)
def test_what_is_read_also_fits_the_published_schema(
    kind: type, parse: object, value: object
) -> None:
    """The JSON Schema never refuses what the parser reads."""
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    try:
        adapter.validate_python(value)
    except ValidationError:
        return
    assert callable(parse)
    parse(value)
    jsonschema.validate(value, adapter.json_schema())


def test_quoted_values_are_short_and_hide_what_is_inside_collections() -> None:
    """A message stays readable and never spills a whole mapping."""
    assert shown({"secret": "hunter2"}) == "a mapping"
    assert shown(["hunter2"]) == "a list"
    assert shown(10**50) == "a number of more than 30 digits"
    assert len(shown("x" * 1000)) < 80
    assert json.loads(shown("x").replace("'", '"')) == "x"
