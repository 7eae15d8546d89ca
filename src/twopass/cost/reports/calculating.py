"""Products and quotients of a row's figures, written as a + b * c / d. Exact; nothing else can be written."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(formula: str, row: Mapping[str, Any]) -> Fraction | None:
    """Its value; None if a figure is missing or a divisor is 0. Raises ValueError if it is no such formula."""
    if any(row[name] is None for name in names_in(formula)):
        return None
    try:
        return _value(_tree(formula), row)
    except ZeroDivisionError:
        return None


def names_in(formula: str) -> list[str]:
    """The figures that it needs."""
    return [node.id for node in ast.walk(_tree(formula)) if isinstance(node, ast.Name)]


@lru_cache(maxsize=256)
def _tree(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def _value(node: ast.expr, row: Mapping[str, Any]) -> Fraction:
    if isinstance(node, ast.Name):
        return Fraction(row[node.id])
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, row), _value(node.right, row))
    raise ValueError(f"{ast.unparse(node)} is no figure, sum, difference, product or quotient")
