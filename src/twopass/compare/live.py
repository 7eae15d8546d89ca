"""Live sessions that had a shadow, as a comparison: nobody knows what was said, but two heard it at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from twopass.compare.cells import Heard
from twopass.compare.records import Hearing
from twopass.compare.results import Played, System
from twopass.shadow.record import About

_SHADOW = "It heard live sessions beside what was shown, and nothing of it reached anybody."
_LIVE = "What was shown to the clients of live sessions."


def compared(records: Iterable[tuple[About, list[Hearing]]]) -> tuple[list[System], list[Heard]]:
    """
    The systems of some records, and what each heard.

    Where somebody spoke is taken from the utterances that were shown: latencies of both are measured from these.
    """
    systems: dict[str, System] = {}
    heard = []
    for about, (shown, shadow) in records:
        systems.setdefault(shown.system, System(shown.system, about.profile, two_pass=True, notes=(_LIVE,)))
        systems.setdefault(shadow.system, System(shadow.system, about.model, shadow=True, notes=(_SHADOW,)))
        heard.append(Heard(_played(about, shown), None, [_named(each, about.session) for each in (shown, shadow)]))
    return list(systems.values()), heard


def _played(about: About, shown: Hearing) -> Played:
    spoken = tuple((each.start, each.end) for each in shown.timeline.finals() if each.words)
    return Played(
        name=about.session,
        source=about.session,
        path="",
        ms=shown.audio_ms,
        condition=f"{about.tenant}, {about.profile}",
        language=about.language,
        speech=spoken,
    )


def _named(hearing: Hearing, session: str) -> Hearing:
    return replace(hearing, recording=session)
