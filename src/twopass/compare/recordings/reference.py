"""The values that references are read into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

from twopass.errors import ConfigError
from twopass.types import Word, Words


@dataclass(frozen=True, slots=True)
class Reference:
    """
    What was said in one recording.

    Attributes:
        text: As it was written down. Empty: nothing was said.
        words: The same words with their times, if they are known.
        timed: Whether they are.
        condition: Telephone, noise, accent, …, as the one who wrote it down calls it; empty if not said.
        language: BCP 47; None if not said.
    """

    text: str
    words: Words = ()
    timed: bool = False
    condition: str = ""
    language: str | None = None

    def spoken(self, ms: int) -> Words:
        """The words: with their times, or else spread over a recording of `ms` milliseconds (`estimated`)."""
        return self.words if self.timed else spread(self.text, 0, ms)

    def moved(self, to: Callable[[int], int]) -> Reference:
        """The same with other times: of a recording that is played faster or slower."""
        return replace(self, words=tuple(replace(w, start=to(w.start), end=to(w.end)) for w in self.words))


@dataclass(frozen=True, slots=True)
class Named:
    """
    A reference, and what is known of the recording it belongs to.

    Attributes:
        key: The recording's name, or that of its file.
        where: File and line it was read from, for messages.
        beside: The recording's path without its suffix, if it is known.
    """

    key: str
    reference: Reference
    where: str
    beside: Path | None = None


def spread(text: str, start: int, end: int) -> Words:
    """The words of a text, sharing the time between `start` and `end` (ms) by their letters; times are estimated."""
    written = text.split()
    letters = sum(map(len, written)) or 1
    borders = [start + (end - start) * n // letters for n in accumulate(map(len, written), initial=0)]
    return tuple(Word(word, a, b, estimated=True) for word, (a, b) in zip(written, pairwise(borders), strict=True))


def read_text(path: Path) -> str:
    """Read a text file. Raises ConfigError if it cannot be read or is not UTF-8."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8.", code="bad_reference", fix="Save it as UTF-8.") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        fix = "Check the path and the permissions."
        raise ConfigError(f"{path} cannot be read: {why}.", code="no_reference", fix=fix) from None
