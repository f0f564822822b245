"""YAML forms of distributions."""

import json
import math
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from fleetsim.scenario.distributions import (
    DurationDistribution,
    Empirical,
    Exponential,
    Fixed,
    Lognormal,
    Normal,
    SignedDurationDistribution,
    SizeDistribution,
    Uniform,
    Unit,
    parse_distribution,
)
from fleetsim.scenario.quantities import MAX_DURATION_S, MAX_SIZE_BYTES

TOP = MAX_DURATION_S
FORMS = [
    ("10s", Fixed(10.0)),
    (0.5, Fixed(0.5)),
    ({"uniform": ["1s", "2m"]}, Uniform(1.0, 120.0)),
    ({"normal": {"mean": "2s", "stddev": "1s"}}, Normal(2.0, 1.0, 0.0, TOP)),
    (
        {"normal": {"mean": 2, "stddev": 1, "min": 1, "max": "3s"}},
        Normal(2.0, 1.0, 1.0, 3.0),
    ),
    (
        {"lognormal": {"median": "200ms", "sigma": 0.5, "max": "5s"}},
        Lognormal(0.2, 0.5, 0.0, 5.0),
    ),
    ({"exponential": {"mean": "5s"}}, Exponential(5.0, 0.0, TOP)),
    ({"empirical": ["1s", 2, "3s"]}, Empirical((1.0, 2.0, 3.0), (), 0.0, TOP)),
    (
        {"empirical": {"values": ["1s", 2], "weights": [1, 3], "min": "500ms"}},
        Empirical((1.0, 2.0), (1.0, 3.0), 0.5, TOP),
    ),
]
BROKEN = [
    ({"unifrom": [1, 2]}, "expected one value, {uniform"),
    ({}, "expected one value"),
    ({"uniform": [1, 2], "normal": {}}, "expected one value"),
    ({"uniform": [1]}, "expected [low, high]"),
    ({"uniform": "12"}, "expected [low, high]"),
    ({"uniform": [3, 2]}, "low 3 is above high 2"),
    ({"uniform": ["x", -1]}, "low: expected a duration"),
    ({"normal": {"mean": 1}}, "stddev is missing"),
    ({"normal": {"mean": 1, "stddev": 1, "sigma": 2}}, "unknown key 'sigma'"),
    ({"normal": 5}, "a mapping with mean and stddev, not 5"),
    ({"normal": {"mean": 1, "stddev": 1, "min": 3, "max": 2}}, "min is above max"),
    ({"lognormal": {"median": 0, "sigma": 1}}, "median must be above 0"),
    ({"lognormal": {"median": 1, "sigma": 11}}, "sigma must be from 0 to 10"),
    ({"lognormal": {"median": 1, "sigma": True}}, "sigma: expected a number"),
    ({"exponential": {"mean": 0}}, "mean must be above 0"),
    ({"empirical": []}, "expected a list"),
    ({"empirical": {"values": [1], "weights": [1, 2]}}, "1 values but 2 weights"),
    ({"empirical": {"values": [1], "weights": [0]}}, "weight must be above 0"),
    ({"empirical": {"values": [1], "weights": [-1]}}, "weights[0]: a weight"),
    ({"empirical": ["1x"]}, "values[0]: unknown unit"),
    ({"empirical": [1] * 10_001}, "more than 10000 entries"),
    ([], "not a list"),
    (None, "not nothing"),
    (-1, "negative"),
]


@pytest.mark.parametrize(("form", "law"), FORMS, ids=lambda v: repr(v)[:50])
def test_every_form_is_read(form: object, law: object) -> None:
    """The forms of the module docstring, bounds at 0 and the largest duration."""
    assert parse_distribution(form) == law


@pytest.mark.parametrize(("form", "says"), BROKEN, ids=lambda v: repr(v)[:50])
def test_broken_forms_are_refused_with_a_reason(form: object, says: str) -> None:
    """Each refusal names the part that is wrong."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_distribution(form)


def test_all_problems_of_a_form_come_at_once() -> None:
    """Two broken bounds are two problems in one message."""
    with pytest.raises(ValueError, match=r"low: .*; high: "):
        parse_distribution({"uniform": ["x", "y"]})


def test_signed_durations_have_no_floor() -> None:
    """A clock may be behind; a delay may not be negative."""
    form = {"normal": {"mean": "-5s", "stddev": "1s"}}
    assert parse_distribution(form, Unit.SIGNED_DURATION).lowest == -TOP
    with pytest.raises(ValueError, match="negative"):
        parse_distribution(form)


def test_a_bound_that_no_draw_can_meet_is_refused() -> None:
    """An exponential is never below 0."""
    form = {"exponential": {"mean": 1, "max": -5}}
    with pytest.raises(ValueError, match="max is below 0"):
        parse_distribution(form, Unit.SIGNED_DURATION)


def test_sizes_are_bytes() -> None:
    """The same forms serve for sizes."""
    assert parse_distribution({"uniform": ["8KiB", 65536]}, Unit.SIZE) == Uniform(
        8192.0, 65536.0
    )
    unbounded = parse_distribution({"normal": {"mean": "1MB", "stddev": 5}}, Unit.SIZE)
    assert unbounded.highest == MAX_SIZE_BYTES


@pytest.mark.parametrize(
    "form", [form for form, _ in FORMS], ids=lambda v: repr(v)[:50]
)
def test_written_distributions_are_read_back(form: object) -> None:
    """parse(to_data(law)) = law, and the form fits its published schema."""
    law = parse_distribution(form)
    data = json.loads(json.dumps(law.to_data()))
    assert parse_distribution(data) == law
    schema = TypeAdapter(DurationDistribution).json_schema()
    jsonschema.validate(form, schema)
    jsonschema.validate(data, schema)


@pytest.mark.parametrize(
    "form", [form for form, _ in BROKEN[:5]], ids=lambda v: repr(v)[:50]
)
def test_the_schema_refuses_broken_shapes(form: object) -> None:
    """An editor shows the error before the program does."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(form, TypeAdapter(DurationDistribution).json_schema())


class Fields(BaseModel):
    """One field of each type."""

    delay: DurationDistribution
    skew: SignedDurationDistribution
    size: SizeDistribution


def test_field_types_read_and_write() -> None:
    """Pydantic fields go both ways."""
    given = {"delay": "10s", "skew": "-10s", "size": {"uniform": ["1KiB", "2KiB"]}}
    read = Fields.model_validate(given)
    assert read.size == Uniform(1024.0, 2048.0)
    assert Fields.model_validate(json.loads(read.model_dump_json())) == read


foreign = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1s", "2KiB", "-1s"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["mean", "stddev", "median", "sigma", "values", "weights", "min", "max"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)


@given(
    foreign
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("uniform", "normal", "lognormal", "exponential", "empirical"), foreign
        ),
    ),
    st.sampled_from(Unit),
)
def test_foreign_data_never_raises_anything_but_value_error(
    data: object, unit: Unit
) -> None:
    """The answer is always a distribution with a finite mean, or a ValueError."""
    try:
        law = parse_distribution(data, unit)
    except ValueError:
        return
    assert law.lowest <= law.highest
    assert math.isfinite(law.mean())
