"""Docstrings below fields, as their descriptions in the published JSON Schema.

Pydantic can read them itself, when a class is made: every start of the program would then
parse these modules once more (0.3 s of CPU). Here they are read when somebody asks for
the schema.
"""

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from itertools import pairwise


def field_docstrings(cls: type) -> Mapping[str, str]:
    """Give the text below each field of a class and of its bases in the same package.

    Args:
        cls: A class whose module has its source at hand.

    Returns:
        Field name to text in one line; fields without one, and classes without source, are left out.
    """
    found: dict[str, str] = {}
    package = cls.__module__.partition(".")[0]
    for each in reversed(cls.__mro__):
        if each.__module__.partition(".")[0] == package:
            found |= _module_docstrings(each.__module__).get(each.__qualname__, {})
    return found


@cache
def _module_docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Class name to field name to text, for the classes at the top of a module."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    return {
        node.name: _class_docstrings(node)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _class_docstrings(node: ast.ClassDef) -> Mapping[str, str]:
    found = {}
    for field, below in pairwise(node.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[field.target.id] = " ".join(below.value.value.split())
    return found
