"""Grammar of conditions on live figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fleetsim.scenario.condition import (
    FIGURES,
    Condition,
    ConditionField,
    live_condition,
    parse_condition,
)
from fleetsim.scenario.threshold import OPERATORS, ThresholdUnit, parse_threshold

READ = [
    ("stranded == 0", "stranded", "==", 0.0),
    ("bundle_share>=90%", "bundle_share", ">=", 0.9),
    ("bundle_share >= 0.9", "bundle_share", ">=", 0.9),
    ("  elapsed_s > 1m30s ", "elapsed_s", ">", 90.0),
    ("elapsed_s > 40", "elapsed_s", ">", 40.0),
    ("failing != 1e3", "failing", "!=", 1000.0),
    ("crl_revoked <= 40", "crl_revoked", "<=", 40.0),
]


@pytest.mark.parametrize("row", READ, ids=lambda row: str(row[0]))
def test_conditions_are_read(row: tuple[str, str, str, float]) -> None:
    """Figure, operator and value in the unit of the figure."""
    text, figure, operator, value = row
    condition = parse_condition(text)
    assert (condition.figure, condition.operator) == (figure, operator)
    assert condition.value == pytest.approx(value)
    assert str(condition) == text.strip()


REFUSED = [
    ("stranded = 0", "unknown operator '='"),
    ("strandet == 0", "did you mean 'stranded'?"),
    ("stranded == -1", "not a|expected"),
    ("stranded == many", "is a count"),
    ("stranded == nan", "is a count"),
    ("bundle_share >= 3", "a ratio from 0 to 1"),
    ("elapsed_s > soon", "a duration"),
    ("stranded", "expected a condition"),
    ("", "expected a condition"),
    ("stranded == 0 and failing == 0", "unknown|expected|count"),
    ("stranded{cohort=x} == 0", "expected a condition"),
    ("x" * 501, "expected a condition"),
    (3, "expected a condition"),
    (None, "expected a condition"),
]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: str(row[0])[:40])
def test_what_is_no_condition_is_refused(row: tuple[object, str]) -> None:
    """With a sentence that says what is accepted."""
    with pytest.raises(ValueError, match=row[1]):
        parse_condition(row[0])


@given(
    figure=st.sampled_from(sorted(FIGURES)),
    operator=st.sampled_from(sorted(OPERATORS)),
    value=st.floats(0, 1),
    measured=st.floats(0, 1),
)
def test_a_condition_holds_as_its_operator_says(
    figure: str, operator: str, value: float, measured: float
) -> None:
    """For every figure and operator; other figures do not matter."""
    unit = "s" if FIGURES[figure].unit is ThresholdUnit.DURATION else ""
    condition = parse_condition(f"{figure} {operator} {value:.6f}{unit}")
    others = dict.fromkeys(FIGURES, 7.0)
    expected = OPERATORS[operator](measured, condition.value)
    assert condition.holds({**others, figure: measured}) == expected


def test_a_figure_nobody_measures_is_a_bug() -> None:
    """A condition never just stays false because its figure is missing."""
    with pytest.raises(KeyError):
        parse_condition("stranded == 0").holds({"failing": 0.0})


def test_conditions_are_fields_that_survive_json() -> None:
    """A scenario with conditions is written and read back."""

    class Holder(BaseModel):
        condition: ConditionField

    holder = Holder.model_validate({"condition": "stranded==0"})
    assert isinstance(holder.condition, Condition)
    assert Holder.model_validate_json(holder.model_dump_json()) == holder
    assert parse_condition(holder.condition) is holder.condition


def test_thresholds_on_live_figures_can_be_asked_during_the_run() -> None:
    """Those on states can; those on records, or of one cohort, cannot."""
    live = live_condition(parse_threshold("stranded < 3"))
    assert live == parse_condition("stranded < 3")
    assert live_condition(parse_threshold("unaccounted == 0")) is None
    assert live_condition(parse_threshold('stranded{cohort="a"} < 3')) is None


def test_every_figure_says_what_it_means() -> None:
    """Names agree with their keys; the meaning is a sentence."""
    for name, figure in FIGURES.items():
        assert figure.name == name
        assert figure.meaning.endswith(".")
