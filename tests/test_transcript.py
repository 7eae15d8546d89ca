"""Transcripts: every word in every format, in cues that can be read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import numbered

from twopass.transcript import CUE_LINES, CUE_MS, LINE_CHARACTERS, Format, cues, ordered, write
from twopass.types import Pass, Revision, Status, Word, Words

TIME = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)([.,])(\d{3})")
letters = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters="<>&-"), min_size=1, max_size=20)


@st.composite
def spoken(draw: st.DrawFn, longest: int = 40) -> Words:
    """Words one after the other, from anywhere within some hours."""
    at = draw(st.integers(0, 20_000_000))
    words = []
    for _ in range(draw(st.integers(1, longest))):
        start = at + draw(st.integers(0, 500))
        at = start + draw(st.integers(0, 3_000))
        words.append(Word(draw(letters), start, at, glued=draw(st.booleans())))
    return tuple(words)


def revision(words: Words, identity: str = "u", number: int = 1, channel: int = 0) -> Revision:
    """A final of these words."""
    start, end = (words[0].start, words[-1].end) if words else (0, 0)
    return Revision(identity, number, Status.FINAL, start, end, words, Pass.SECOND, channel=channel)


transcripts = st.lists(spoken(8), max_size=4).map(
    lambda all_words: [revision(words, str(number), channel=number % 2) for number, words in enumerate(all_words)]
)


def milliseconds(time: str) -> int:
    """A subtitle's time."""
    found = TIME.fullmatch(time)
    assert found
    return ((int(found[1]) * 60 + int(found[2])) * 60 + int(found[3])) * 1000 + int(found[5])


def parsed(document: str) -> list[tuple[int, int, str]]:
    """The cues of an SRT or VTT file, as a player reads them."""
    found = []
    for block in re.split(r"\n\n+", document.strip()):
        lines = block.split("\n")
        timing = next((i for i, line in enumerate(lines) if " --> " in line), None)
        if timing is not None:
            start, end = lines[timing].split(" --> ")
            found.append((milliseconds(start), milliseconds(end), "\n".join(lines[timing + 1 :])))
    return found


@given(spoken())
def test_cues_hold_every_word_once(words: Words) -> None:
    """The cues of an utterance, put together, are its words; they begin and end with words and do not overlap."""
    made = list(cues(words))
    said = "".join(line for cue in made for line in cue.lines)
    assert "".join(word.text for word in words) == said.replace(" ", "")
    assert words[0].start == made[0].start
    assert made[-1].end >= words[-1].end
    for before, after in pairwise(made):
        assert before.start < before.end
        assert before.end <= max(after.start, before.start + 1)


@given(spoken())
def test_cues_can_be_read(words: Words) -> None:
    """No cue has more lines, longer lines or more seconds than the rules for subtitles allow, but for single words."""
    longest = max(len(word.text) for word in words)
    for cue in cues(words):
        assert 1 <= len(cue.lines) <= CUE_LINES
        assert max(map(len, cue.lines)) <= max(LINE_CHARACTERS, longest)
        assert cue.end - cue.start <= CUE_MS or sum(cue.start <= word.start < cue.end for word in words) <= 1


@given(transcripts)
def test_subtitles_hold_what_was_said(revisions: list[Revision]) -> None:
    """SRT and VTT hold the same cues, SRT numbered from 1, VTT with its header and without tags."""
    expected = [(cue.start, cue.end, "\n".join(cue.lines)) for known in ordered(revisions) for cue in cues(known.words)]
    srt, vtt = write(revisions, Format.SRT), write(revisions, Format.VTT)
    assert expected == parsed(srt)
    unescaped = [
        (start, end, text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        for start, end, text in parsed(vtt)
    ]
    assert expected == unescaped
    assert [str(number + 1) for number in range(len(expected))] == [
        block.split("\n")[0] for block in srt.split("\n\n") if block.strip()
    ]
    assert vtt.startswith("WEBVTT\n")
    assert not any(re.search(r"[<>]", text) for _, _, text in parsed(vtt))


@given(transcripts)
def test_text_has_a_line_for_each_utterance(revisions: list[Revision]) -> None:
    """Plain text: one utterance a line, in the order of time."""
    lines = write(revisions, Format.TXT).splitlines()
    assert [known.text for known in ordered(revisions)] == lines


@given(transcripts)
def test_json_holds_everything(revisions: list[Revision]) -> None:
    """JSON: every word with its times, and the whole text."""
    document = json.loads(write(revisions, Format.JSON))
    known = ordered(revisions)
    assert " ".join(one.text for one in known) == document["text"]
    assert [(one.utterance, one.start, one.end, one.channel, one.text) for one in known] == [
        tuple(segment[name] for name in ("id", "start", "end", "channel", "text")) for segment in document["segments"]
    ]
    assert [(word.text, word.start, word.end) for one in known for word in one.words] == [
        (word["text"], word["start"], word["end"]) for segment in document["segments"] for word in segment["words"]
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), spoken(3) | st.just(())), max_size=12))
def test_highest_revision_counts(said: list[tuple[int, int, Words]]) -> None:
    """Of each utterance only the highest revision is written, the first of equals, and none without words."""
    revisions = [revision(words, str(identity), number) for identity, number, words in said]
    latest: dict[str, Revision] = {}
    for one in revisions:
        if one.utterance not in latest or latest[one.utterance].order < one.order:
            latest[one.utterance] = one
    made = ordered(revisions)
    assert sorted(made, key=lambda one: one.start) == made
    assert {one.utterance: one for one in made} == {name: one for name, one in latest.items() if one.words}


def test_a_final_counts_whatever_its_number() -> None:
    """A server that goes on for a lost one may number lower: its final is taken, and never replaced."""
    final, interim = revision(numbered(2), number=2), replace(revision(numbered(1), number=5), status=Status.INTERIM)
    later = replace(interim, revision=9)
    assert Status.FINAL is final.status
    assert [final] == ordered([interim, final, later])
    assert final.order > later.order > interim.order


@pytest.mark.parametrize(
    ("style", "empty"),
    [
        (Format.TXT, ""),
        (Format.SRT, ""),
        (Format.VTT, "WEBVTT\n"),
        (Format.JSON, '{\n "text": "",\n "segments": []\n}\n'),
    ],
)
def test_nothing_said(style: Format, empty: str) -> None:
    """An empty transcript is a valid document of its format."""
    assert empty == write([], style)
    assert empty == write([revision(())], style)


def test_formats_look_as_players_expect() -> None:
    """The exact form of a short subtitle file, from an hour on and with a character that VTT escapes."""
    words = (Word("Q&A:", 3_600_000, 3_600_500), Word("yes.", 3_600_500, 3_601_000))
    assert "1\n01:00:00,000 --> 01:00:01,000\nQ&A: yes.\n" == write([revision(words)], Format.SRT)
    assert "WEBVTT\n\n01:00:00.000 --> 01:00:01.000\nQ&amp;A: yes.\n" == write([revision(words)], Format.VTT)
