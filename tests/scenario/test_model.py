"""What all parts of a scenario share."""

import re

import pytest
from pydantic import ValidationError

from fleetsim.scenario.model import NAME_PATTERN, Part


class Example(Part):
    """A part with one field."""

    size: float = 1.0
    """How large."""


def test_unknown_keys_are_errors() -> None:
    """A misspelt key must not be ignored."""
    with pytest.raises(ValidationError, match="extra"):
        Example.model_validate({"sise": 2})


def test_not_a_number_is_no_number() -> None:
    """NaN compares false with every bound, so it stays out everywhere."""
    with pytest.raises(ValidationError, match="finite"):
        Example.model_validate({"size": float("nan")})


def test_input_is_not_repeated_in_errors() -> None:
    """Pydantic's own text would carry the value along."""
    with pytest.raises(ValidationError) as caught:
        Example.model_validate({"size": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_docstrings_below_fields_are_published() -> None:
    """One place for the meaning of a key."""
    assert (
        Example.model_json_schema()["properties"]["size"]["description"] == "How large."
    )


@pytest.mark.parametrize(
    ("name", "is_good"),
    [
        ("a", True),
        ("a-1_b", True),
        ("1a", True),
        ("A", False),
        ("", False),
        ("a b", False),
    ],
)
def test_names_are_safe_in_paths_and_labels(name: str, *, is_good: bool) -> None:
    """They become parts of folder names and labels of metrics."""
    assert bool(re.fullmatch(NAME_PATTERN.strip("^$"), name)) is is_good
