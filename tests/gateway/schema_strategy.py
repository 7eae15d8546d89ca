"""
Values for any JSON Schema that pydantic writes, as Hypothesis strategies.

`valid` fits the schema. `nearly` may do one thing wrong anywhere: a wrong type, a bound crossed, a field more or less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from hypothesis import strategies as st

Schema: TypeAlias = Mapping[str, Any]
Values: TypeAlias = st.SearchStrategy[Any]

JUNK: Values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


def valid(schema: Schema) -> Values:
    """Values that fit."""
    return _Writer(schema, spoil=False).values(schema)


def nearly(schema: Schema) -> Values:
    """Values that fit, or nearly."""
    return _Writer(schema, spoil=True).values(schema)


class _Writer:
    def __init__(self, root: Schema, *, spoil: bool) -> None:
        self._root = root
        self._spoil = spoil

    def values(self, schema: Schema) -> Values:
        good = self._good(schema)
        if not self._spoil:
            return good
        return st.integers(0, 9).flatmap(lambda dice: JUNK if dice == 0 else good)

    def _good(self, schema: Schema) -> Values:
        if "$ref" in schema:
            return self._good(self._root["$defs"][schema["$ref"].rsplit("/", 1)[1]])
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for union in ("oneOf", "anyOf"):
            if union in schema:
                return st.one_of([self.values(each) for each in schema[union]])
        kind: Values = getattr(self, f"_{schema['type']}")(schema)
        return kind

    def _null(self, _: Schema) -> Values:
        return st.none()

    def _boolean(self, _: Schema) -> Values:
        return st.booleans()

    def _integer(self, schema: Schema) -> Values:
        beyond = 1 if self._spoil else 0
        return st.integers(schema["minimum"] - beyond, schema["maximum"] + beyond)

    def _string(self, schema: Schema) -> Values:
        longest = schema.get("maxLength", 50)
        if "pattern" in schema:
            fitting = st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)
            return fitting.filter(lambda text: len(text) <= longest)
        return st.text(st.characters(codec="utf-8"), max_size=longest + (1 if self._spoil else 0))

    def _array(self, schema: Schema) -> Values:
        return st.lists(self.values(schema["items"]), max_size=min(5, schema.get("maxItems", 5)))

    def _object(self, schema: Schema) -> Values:
        known = {name: self.values(each) for name, each in schema["properties"].items()}
        always = set(schema.get("required", ())) | {n for n, each in schema["properties"].items() if "const" in each}
        required = {name: known.pop(name) for name in schema["properties"] if name in always}
        fields = st.fixed_dictionaries(required, optional=known)
        if not self._spoil:
            return fields
        more = st.dictionaries(st.text(max_size=9), JUNK, max_size=1)
        return st.tuples(fields, st.just({}) | more).map(lambda drawn: drawn[0] | drawn[1])
