"""Docstrings below fields become descriptions, as pydantic itself would read them."""

from pydantic import BaseModel, ConfigDict

from fleetsim.scenario.docstrings import field_docstrings


class Plain(BaseModel):
    """A model."""

    first: int
    """The first,
    on two lines."""
    second: int = 0
    third: int = 0
    """The third."""


class Heir(Plain):
    """Inherits, replaces, adds."""

    third: int = 1
    """Another third."""
    fourth: int = 2
    """The fourth."""


class ReadByPydantic(BaseModel):
    """The oracle: pydantic's own reading of the same text."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    first: int
    """The first,
    on two lines."""
    second: int = 0
    third: int = 0
    """The third."""


def test_the_text_below_a_field_is_its_own() -> None:
    """A field without a text has none; the next one's is not taken for it."""
    expected = {
        name: " ".join(field.description.split())
        for name, field in ReadByPydantic.model_fields.items()
        if field.description
    }
    assert field_docstrings(Plain) == expected


def test_an_heir_has_the_texts_of_its_bases() -> None:
    """What a class says itself wins over its base."""
    assert field_docstrings(Heir) == {
        "first": "The first, on two lines.",
        "third": "Another third.",
        "fourth": "The fourth.",
    }


def test_a_class_without_source_has_no_texts() -> None:
    """A class made while running is no error."""
    made = type("Made", (), {"__module__": "builtins"})
    assert field_docstrings(made) == {}
