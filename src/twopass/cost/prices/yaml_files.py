"""
YAML with money in it: decimals are taken as they are written, never by way of binary fractions.

What cannot be used is a ConfigError that names the file, the line and the place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from twopass.errors import ConfigError

_Model = TypeVar("_Model", bound=BaseModel)


class Readable(Protocol):
    """A file on disk or in a package."""

    @property
    def name(self) -> str: ...

    def read_text(self, encoding: str) -> str: ...


def read_documents(source: Readable, model: type[_Model], fix: str) -> list[_Model]:
    """
    The file's YAML documents (several are divided by ---) as models. Every scalar reaches the model as written.

    `fix` says how such a file looks; it ends every error. Raises ConfigError.
    """
    try:
        nodes = list(yaml.compose_all(_text(source, fix), Loader=yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise ConfigError(f"{source.name} is not YAML: {' '.join(str(error).split())}.", fix=fix) from None
    return [_checked(source, node, model, fix) for node in nodes]


def _text(source: Readable, fix: str) -> str:
    try:
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{source.name} cannot be read: {reason}.", fix=fix) from None


def _checked(source: Readable, node: yaml.Node, model: type[_Model], fix: str) -> _Model:
    try:
        return model.model_validate(_plain(node))
    except _Twice as error:
        raise ConfigError(f"{source.name}, line {error.line}: {error.key} stands there twice.", fix=fix) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f"{source.name}, line {_line(node, first['loc'])}" + (f", {place}" if place else "")
        raise ConfigError(f"{where}: {first['msg'].removeprefix('Value error, ')}.", fix=fix) from None


class _Twice(Exception):
    def __init__(self, key: str, line: int) -> None:
        super().__init__(key)
        self.key, self.line = key, line


def _plain(node: yaml.Node) -> Any:
    """Mappings, lists and strings."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return node.value
    found: dict[str, Any] = {}
    for key, value in node.value:
        if key.value in found:
            raise _Twice(key.value, key.start_mark.line + 1)
        found[key.value] = _plain(value)
    return found


def _line(node: yaml.Node, place: Sequence[str | int]) -> int:
    """The line (from 1) of what the place names, as far as it can be followed."""
    for part in place:
        inner = _inner(node, part)
        if inner is None:
            break
        node = inner
    return int(node.start_mark.line) + 1


def _inner(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    return None
