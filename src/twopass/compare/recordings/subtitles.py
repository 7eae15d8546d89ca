"""The spoken words of subtitles, SubRip and WebVTT: without times, tags, speakers and sounds."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from twopass.errors import ConfigError

_TIMES = re.compile(r"^\s*(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}\s*-->\s*(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
"""<i>, <v Ann>, <font color=…>; a word's time in WebVTT; {\\an8}. Not "a < b"."""
_SOUND = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|[♪♫#]+(?=\s|$)|[♪♫]")
_SPEAKER = re.compile(r"^(?:[A-Z][A-Z0-9 .'-]{0,30}|[Ss]peaker \w{1,3}):(?=\s|$)")
"""ANN: and Speaker 1: at the beginning of a line. "Remember:" is left alone, and so is "Ann:", which looks like it."""
_DASH = re.compile(r"^(?:[-–—]+|>>+)\s*")


def text_in(path: Path, content: str) -> str:
    """
    All cues as one line, in the order of the file.

    Raises ConfigError if there is not one cue.
    """
    blocks = [_cue(block) for block in re.split(r"\n[ \t]*\n", content)]
    found = [cue for cue in blocks if cue is not None]
    if not found:
        fix = "A cue has a line like 00:00:01,000 --> 00:00:02,500 and then its text."
        raise ConfigError(f"{path} has no subtitles in it.", code="bad_reference", fix=fix)
    return " ".join(word for cue in found for line in cue for word in _spoken(line).split())


def _cue(block: str) -> list[str] | None:
    """The lines below the times; None of a block without: a header, a note, a style."""
    lines = block.split("\n")
    below = (lines[at + 1 :] for at, line in enumerate(lines) if _TIMES.match(line))
    return next(below, None)


def _spoken(line: str) -> str:
    bare = _SOUND.sub(" ", unescape(_TAG.sub("", line))).strip()
    return _SPEAKER.sub("", _DASH.sub("", bare))
