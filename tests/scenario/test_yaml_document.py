"""YAML to data, with lines and bounds."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.scenario.yaml_document import MAX_TEXT, read_yaml


def test_data_and_lines_are_found() -> None:
    """Every value has the line of its key or its own start."""
    document = read_yaml("a: 1\nb:\n  - x\n  - y: 2\n    z: [3, 4]\n", "f")
    assert document.data == {"a": 1, "b": ["x", {"y": 2, "z": [3, 4]}]}
    assert document.lines["a",] == 1
    assert document.lines["b",] == 2
    assert document.lines["b", 0] == 3
    assert document.lines["b", 1, "y"] == 4
    assert document.lines["b", 1, "z", 1] == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2027-03-02", "2027-03-02"),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("0x10", 16),
        ("0o17", 15),
        ("017", 17),
        ("-3", -3),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("'1'", "1"),
        ("!!str 1", "1"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    """The core schema of YAML 1.2.2, section 10.3: no surprises of YAML 1.1."""
    read = read_yaml(f"v: {text}\n", "f").data["v"]
    assert read == value
    assert type(read) is type(value)


def test_merge_keys_fill_in_what_is_missing() -> None:
    """What is written in place wins, and keeps its line."""
    text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\nc:\n  <<: [*a, {z: 4}]\n"
    document = read_yaml(text, "f")
    assert document.data["b"] == {"x": 3, "y": 2}
    assert document.data["c"] == {"x": 1, "y": 2, "z": 4}
    assert document.lines["b", "x"] == 4
    assert document.lines["b", "y"] == 1


def test_aliases_are_copies() -> None:
    """Changing one place later changes only that."""
    data = read_yaml("a: &a {x: 1}\nb: *a\n", "f").data
    data["a"]["x"] = 2
    assert data["b"] == {"x": 1}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: 2\na: 3\n", ["f:3: key 'a' is given twice, first in line 1"]),
        ("{1: 2, [x]: 3}", ["f:1: a key must be a text", "f:1: a key must be a text"]),
        ("a: !!python/object:os.system x", ["f:1: cannot read"]),
        ("a: !!map [1]", ["f:1: unknown tag"]),
        ("a: !!int x", ["f:1: cannot read 'x' as 'int'"]),
        (f"a: {'9' * 50}", ["f:1: cannot read"]),
        ("x: 1\na: [1\n", ["f:3: not YAML: while parsing a flow sequence"]),
        ("a: b: c", ["f:1: not YAML: mapping values are not allowed here"]),
        ("a: 1\nb: \x07", ["f:2: not YAML: character U+0007"]),
        ("a: 1\n---\nb: 2", ["f:2: not YAML: expected a single document"]),
        ("a: &x [*x]", ["f:1: aliases make this document too large or endless"]),
        ("a: *x", ["f:1: not YAML: found undefined alias"]),
        ("<<: 3", ["f:1: '<<' takes a mapping"]),
        ("[" * 100 + "]" * 100, ["f:1: nested deeper than 32 levels"]),
        ("a: 1 \n" * (MAX_TEXT // 6 + 1), ["f: longer than 512 Ki characters"]),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_problems_name_their_line(text: str, problems: list[str]) -> None:
    """Duplicate keys, foreign tags and broken limits are found, all at once."""
    with pytest.raises(InputError) as caught:
        read_yaml(text, "f")
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert str(found).startswith(expected)


def test_an_alias_bomb_is_cheap() -> None:
    """A document that would expand to 10**9 values ends at the bound, not at the end."""
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InputError, match="too large"):
        read_yaml("\n".join(lines), "f")


NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
)
"""Numbers of YAML 1.2 (10.3.2). PyYAML writes 1.1 and leaves 08 and 1e3 unquoted."""

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"])).filter(
        lambda text: NUMBER.fullmatch(text) is None
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcxyz<-"), inner),
    max_leaves=20,
)


@given(plain)
def test_what_another_writer_writes_is_read(data: object) -> None:
    """PyYAML's own dump of plain data gives the data (quoted where 1.1 differs)."""
    text = yaml.safe_dump(data, allow_unicode=True)
    assert read_yaml(text, "f").data == data


@given(st.text() | st.text("a: -[]{}&*!|>'\"\n#?,%@`<1~"))
def test_random_text_never_raises_anything_but_input_error(text: str) -> None:
    """A stranger's file is read or refused."""
    try:
        document = read_yaml(text, "f")
    except InputError as exc:
        wheres = [problem.where for problem in exc.problems]
    else:
        assert () in document.lines or document.data is None
        return
    assert all(re.fullmatch(r"f(:\d+)?", where) for where in wheres)
