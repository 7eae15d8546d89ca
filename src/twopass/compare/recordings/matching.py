"""Which reference belongs to which recording."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from twopass.compare.recordings import references
from twopass.compare.recordings.finding import Found
from twopass.compare.recordings.reference import Named, Reference
from twopass.errors import ConfigError

_SHOWN = 5
"""Names that a message lists before it says how many more there are."""


def matched(names: Sequence[str], found: Sequence[Found], files: Sequence[Path]) -> tuple[Reference | None, ...]:
    """
    What was said in each recording: as a file of references has it, or else its manifest.

    A reference belongs to the recording that its manifest names or that it lies beside, else to the one of its name.
    References may be left over only where every recording has one: otherwise a misspelt name would pass unseen.

    Raises ConfigError if a reference fits none or several, or two that differ fit the same.
    """
    keys = _keys(names, found)
    chosen: dict[int, Named] = {}
    left: list[Named] = []
    for file in files:
        fitting = [(one, _owner(one, keys, names, found)) for one in references.read(file, keys)]
        missed = [one for one, owner in fitting if owner is None]
        for one, owner in fitting:
            if owner is not None:
                _choose(chosen, owner, one, names)
        if not fitting:
            raise ConfigError(f"{file} has no references in it.", code="bad_reference", fix="Leave it out.")
        if len(missed) == len(fitting):
            raise _unmatched(missed, names)
        left += missed
    said = tuple(chosen[i].reference if i in chosen else one.reference for i, one in enumerate(found))
    silent = [name for name, reference in zip(names, said, strict=True) if reference is None]
    if left and silent:
        raise _unmatched(left, silent)
    return said


def _keys(names: Sequence[str], found: Sequence[Found]) -> dict[str, set[int]]:
    """All that a recording may be called: its name, its file's with and without the suffix."""
    keys: dict[str, set[int]] = {}
    for i, (name, one) in enumerate(zip(names, found, strict=True)):
        for key in (name, one.id or name, one.path.name, one.path.stem):
            keys.setdefault(key, set()).add(i)
    return keys


def _owner(one: Named, keys: dict[str, set[int]], names: Sequence[str], found: Sequence[Found]) -> int | None:
    beside = {i for i, recording in enumerate(found) if one.beside is not None and recording.place == one.beside}
    owners = beside or {i for i, name in enumerate(names) if name == one.key} or keys.get(one.key, set())
    if len(owners) > 1:
        fits = ", ".join(names[i] for i in sorted(owners))
        fix = "Call it as one of them is called here."
        raise ConfigError(f"{one.where} fits several recordings: {fits}.", code="unmatched_reference", fix=fix)
    return next(iter(owners), None)


def _choose(chosen: dict[int, Named], owner: int, one: Named, names: Sequence[str]) -> None:
    before = chosen.setdefault(owner, one)
    if before.reference.text != one.reference.text:
        message = f"{names[owner]} has two references: {before.where} and {one.where}."
        raise ConfigError(message, code="two_references", fix="Leave one of them out.")


def _unmatched(left: Sequence[Named], names: Sequence[str]) -> ConfigError:
    listed = "; ".join(_hint(one, names) for one in left[:_SHOWN])
    more = f"; and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    fix = f"Call a reference as its recording is called ({_some(names)}), or leave it out."
    return ConfigError(f"No recording fits {listed}{more}.", code="unmatched_reference", fix=fix)


def _hint(one: Named, names: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(one.key.casefold(), folded, n=1)
    meant = f"; is it {folded[near[0]]}?" if near else ""
    return f"“{one.key}” ({one.where}{meant})"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
