"""From everything that was heard to the comparison that the report shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twopass.compare.cells import Heard, Price, cells
from twopass.compare.results import Cell, Comparison, Played, Score, System
from twopass.compare.scoring import Chance, pairs, ranked, score


@dataclass(frozen=True, slots=True)
class About:
    """What a report says of itself; see `Comparison`."""

    made: str
    command: str
    version: str
    settings: Mapping[str, str]
    currency: str


def comparison(
    heard: Sequence[Heard],
    systems: Sequence[System],
    price: Price,
    chance: Chance,
    about: About,
) -> Comparison:
    """Work out all figures."""
    recordings: list[Played] = []
    made: list[Cell] = []
    for each in heard:
        played, of_it = cells(each, price)
        recordings.append(played)
        made += of_it
    names = [system.name for system in systems]
    by_name = {played.name: played for played in recordings}
    return Comparison(
        made=about.made,
        command=about.command,
        version=about.version,
        settings=about.settings,
        currency=about.currency,
        systems=tuple(systems),
        recordings=tuple(recordings),
        scores=_scores(names, made, by_name, chance),
        conditions=_by_condition(names, made, by_name, chance),
        pairs=tuple(pairs(names, made, by_name, chance)),
        cells=tuple(made),
    )


def _scores(
    names: Sequence[str], made: Sequence[Cell], played: Mapping[str, Played], chance: Chance
) -> tuple[Score, ...]:
    heard = {name: [cell for cell in made if cell.system == name] for name in names}
    return ranked(score(name, of_it, played, chance) for name, of_it in heard.items() if of_it)


def _by_condition(
    names: Sequence[str], made: Sequence[Cell], played: Mapping[str, Played], chance: Chance
) -> dict[str, tuple[Score, ...]]:
    """Nothing if there is only one."""
    found = dict.fromkeys(recording.condition for recording in played.values())
    if len(found) < 2:
        return {}
    return {
        condition or "not said": _scores(
            names, [cell for cell in made if played[cell.recording].condition == condition], played, chance
        )
        for condition in found
    }
