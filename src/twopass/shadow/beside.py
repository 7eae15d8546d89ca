"""
What a session tells whoever hears it too. Nothing of it comes back: no call raises, waits, or changes the session.

Most sessions are heard by nobody else: `ALONE`.
"""

from __future__ import annotations

from typing import Protocol

from twopass.tape import Tape
from twopass.types import Revision, Usage, Utterance


class LaneBeside(Protocol):
    """For one channel, as its lane goes on."""

    def start(self) -> None:
        """Audio will come."""

    def opened(self, utterance: Utterance) -> None: ...

    def closed(self, utterance: Utterance) -> None: ...

    def listened(self, until: int) -> None:
        """The voice detector has heard everything before (ms)."""

    def finish(self) -> None:
        """No more utterances will be opened."""

    def shown(self, revision: Revision) -> None:
        """The client is told a revision."""

    def used(self, usage: Usage) -> None:
        """The session used something."""

    def needs(self, sample: int) -> int:
        """The first sample that is still needed, if the session needs this one."""


class Beside(Protocol):
    """
    For a session.

    Attributes:
        provider: Who hears it too; None for nobody.
    """

    @property
    def provider(self) -> str | None: ...

    def lane(self, channel: int, tape: Tape) -> LaneBeside:
        """For one of its channels. Called once for each, before anything else."""

    def arrived(self, samples: int) -> None:
        """So much audio has come."""

    def over(self, *, complete: bool) -> None:
        """Nothing more will be told; `complete`: every utterance is final."""


class _NobodyBeside:
    """Nobody hears it too."""

    provider = None

    def lane(self, channel: int, tape: Tape) -> LaneBeside:  # noqa: ARG002 - the contract's, as in the next ones
        return _ALONE

    def arrived(self, samples: int) -> None: ...

    def over(self, *, complete: bool) -> None: ...

    def start(self) -> None: ...

    def opened(self, utterance: Utterance) -> None: ...

    def closed(self, utterance: Utterance) -> None: ...

    def listened(self, until: int) -> None: ...

    def finish(self) -> None: ...

    def shown(self, revision: Revision) -> None: ...

    def used(self, usage: Usage) -> None: ...

    def needs(self, sample: int) -> int:
        return sample


_ALONE = _NobodyBeside()
ALONE: Beside = _ALONE
"""Nobody hears it too."""
