"""References are read from every format that people have them in, and mistakes in them are named with their line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import speech

from twopass.compare.recordings import subtitles, transcripts
from twopass.compare.recordings.reference import Reference, spread
from twopass.compare.recordings.references import read
from twopass.errors import ConfigError
from twopass.transcript import LINE_CHARACTERS, Format, write
from twopass.types import Pass, Revision, Status, Word, Words, text_of

MANIFEST = Path(speech.__file__).parent / "manifest.jsonl"
TIMES = "00:00:01,000 --> 00:00:02,500"


def said(*texts: str) -> Words:
    """One word a second."""
    return tuple(Word(text, 1_000 * i, 1_000 * i + 900) for i, text in enumerate(texts))


def spoken(words: Words, number: int = 0, language: str | None = "en-US") -> Revision:
    """An utterance as `transcribe` has it at the end."""
    return Revision(f"u{number}", 3, Status.FINAL, 60_000 * number, 60_000, words, Pass.SECOND, language=language)


def file(folder: Path, name: str, content: str) -> Path:
    """A file with something in it."""
    path = folder / name
    path.write_text(content, "utf-8")
    return path


def only(path: Path) -> Reference:
    """The one reference in a file."""
    (one,) = read(path)
    assert one.key == path.stem
    assert one.beside == path.resolve().with_suffix("")
    return one.reference


def mistake(path: Path) -> ConfigError:
    """What is said of a file that cannot be used; it is named, and there is something to do."""
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(path) in caught.value.message
    assert caught.value.fix
    return caught.value


# Manifests


def test_manifest_of_the_test_speech_is_read_as_it_is() -> None:
    """Text, condition and the times of all words, as the other reader of this file has them."""
    found = {one.key: one.reference for one in read(MANIFEST)}
    assert set(found) == set(speech.names())
    for name in ("short_slt", "meeting_120s", "two_channels"):
        recording, reference = speech.load(name), found[name]
        times = [(w.text, w.start_ms, w.end_ms) for w in recording.words]
        assert [(w.text, w.start, w.end) for w in reference.words] == times
        assert reference.timed
        assert reference.condition == recording.kind
    assert found["silence_5s"] == Reference("", condition="silence")


def test_manifest_with_every_way_to_say_it(tmp_path: Path) -> None:
    """Each key by each of its names, words as objects or lists, files relative to the manifest, lines without text."""
    lines = [
        {"id": "one", "audio": "wav/a.wav", "reference": "Yes.", "condition": "read", "language": "en-GB", "note": 1},
        {"file": "b.wav", "text": "No no", "words": [["No", 0.5, 0.75], {"word": "no", "start": 1, "end": 1.5}]},
        {"audio_filepath": "c.wav", "words": [{"text": "Hm.", "start": 0, "end": 1}]},
        {"file": "d.wav"},
    ]
    path = file(tmp_path, "refs.jsonl", "\n\n".join(map(json.dumps, lines)))
    one, two, three = read(path)
    assert (one.key, one.reference) == ("one", Reference("Yes.", condition="read", language="en-GB"))
    assert one.beside == tmp_path.resolve() / "wav" / "a"
    assert two.reference == Reference("No no", (Word("No", 500, 750), Word("no", 1000, 1500)), timed=True)
    assert (three.key, three.reference.text) == ("c", "Hm.")
    assert three.where.endswith("refs.jsonl, line 5")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "JSON"),
        ('["a.wav"]', "object"),
        ('{"text": "who?"}', "neither a file nor an id"),
        ('{"file": ""}', "file"),
        ('{"file": "a.wav", "text": "the rest", "offset": 3.5}', "part of a file"),
        ('{"file": "fine.wav", "text": "the rest"}', "line 1"),
        ('{"file": "a", "text": 3}', "text"),
        ('{"file": "a", "text": "one two", "words": [["one", 0, 1]]}', "differ"),
        ('{"file": "a", "words": [["one", 2, 1]]}', "ends before"),
        ('{"file": "a", "words": [["one", 2]]}', "end"),
    ],
)
def test_mistakes_in_a_manifest_name_the_line(line: str, what: str, tmp_path: Path) -> None:
    """The second line is wrong, and is said to be, with what is wrong in it."""
    error = mistake(file(tmp_path, "refs.jsonl", f'{{"file": "fine.wav", "text": "Yes."}}\n{line}\n'))
    assert "line 2" in error.message
    assert what in error.message


# What transcribe writes


@given(
    st.lists(st.lists(st.text("abé'.,1好", min_size=1, max_size=9), min_size=1, max_size=12), min_size=1, max_size=4)
)
def test_own_transcripts_are_references(utterances: list[list[str]]) -> None:
    """What `transcribe` writes in any format, with lines and cues of its own, is read back word for word."""
    revisions = [spoken(said(*texts), i) for i, texts in enumerate(utterances)]
    text = " ".join(revision.text for revision in revisions)
    path = Path("x")
    assert transcripts.from_json(path, write(revisions, Format.JSON)).text == text
    assert subtitles.text_in(path, write(revisions, Format.SRT)) == text
    assert subtitles.text_in(path, write(revisions, Format.VTT)) == text
    assert " ".join(write(revisions, Format.TXT).split()) == text


@given(st.lists(st.tuples(st.text("ab<>&/", max_size=5).map("x".__add__), st.booleans()), min_size=1, max_size=8))
def test_transcript_keeps_times_and_spaces(parts: list[tuple[str, bool]]) -> None:
    """JSON gives back the words with their times, and which are glued; WebVTT gives back what looks like tags."""
    words = tuple(Word(text, 100 * i, 100 * i + 90, glued=glued and i > 0) for i, (text, glued) in enumerate(parts))
    reference = transcripts.from_json(Path("x"), write([spoken(words)], Format.JSON))
    assert (text_of(reference.words), reference.text) == (text_of(words), text_of(words))
    assert [(w.text, w.start, w.end) for w in reference.words] == [(w.text, w.start, w.end) for w in words]
    assert reference.timed
    assert reference.language == "en-US"
    shown = subtitles.text_in(Path("x"), write([spoken(words)], Format.VTT))
    assert shown.split() == text_of(words).split() or len(text_of(words)) > LINE_CHARACTERS  # glued words may be cut
    assert shown.replace(" ", "") == text_of(words).replace(" ", "")


def test_corrected_transcript(tmp_path: Path) -> None:
    """A segment whose text was corrected has no true times any more; the others keep theirs."""
    data = json.loads(write([spoken(said("Hello", "word.")), spoken(said("Bye."), 1, "de")], Format.JSON))
    data["segments"][0]["text"] = "Hello dear world."
    del data["text"]
    reference = only(file(tmp_path, "a.json", json.dumps(data)))
    assert reference.text == "Hello dear world. Bye."
    assert [(w.text, w.estimated) for w in reference.words] == [
        ("Hello", True),
        ("dear", True),
        ("world.", True),
        ("Bye.", False),
    ]
    assert reference.language is None


def test_half_corrected_transcript_is_refused(tmp_path: Path) -> None:
    """If only one of two copies of the text was corrected, nobody knows which is right."""
    data = json.loads(write([spoken(said("Hello", "word."))], Format.JSON))
    data["segments"][0]["text"] = "Hello world."
    assert "differ" in mistake(file(tmp_path, "a.json", json.dumps(data))).message


def test_transcript_without_word_times_is_untimed(tmp_path: Path) -> None:
    """Estimated times are no truth."""
    words = spread("one two", 0, 1_000)
    assert only(file(tmp_path, "a.json", write([spoken(words)], Format.JSON))) == Reference("one two", language="en-US")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"text": 1}', '{"segments": [{"text": "a"}]}'])
def test_other_json_is_refused(content: str, tmp_path: Path) -> None:
    """It names the command that writes a right one."""
    assert "transcribe" in mistake(file(tmp_path, "a.json", content)).fix


# Text


def test_text_of_one_recording(tmp_path: Path) -> None:
    """All lines of it, as one."""
    assert only(file(tmp_path, "jfk.txt", "\ufeffAsk not\n\n what  your country\n")) == Reference(
        "Ask not what your country"
    )


def test_text_with_names(tmp_path: Path) -> None:
    """If its lines begin with names of recordings, each is a reference: LibriSpeech's way, with a space or a tab."""
    path = file(tmp_path, "84-1.trans.txt", "84-1-0 GO ON\n\n84-1-1\tTHEN  STOP\n84-1-2\n")
    found = read(path, {"84-1-1", "other"})
    texts = [(one.key, one.reference.text) for one in found]
    assert texts == [("84-1-0", "GO ON"), ("84-1-1", "THEN STOP"), ("84-1-2", "")]
    assert found[1].where.endswith("line 3")
    assert read(path, {"84-1.trans", "84-1-1"})[0].reference.text.startswith("84-1-0 GO ON 84-1-1")


# Subtitles


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('<i>Hello,</i> <font color="red">you</font>', "Hello, you"),
        ("{\\an8}Up here", "Up here"),
        ("ANN: Hi.", "Hi."),
        ("- MR. O'NEIL 2: Hi.", "Hi."),
        (">> Speaker 1: Hi.", "Hi."),
        ("Remember: it is 12:30", "Remember: it is 12:30"),
        ("[door slams] What? (laughs)", "What?"),
        ("♪ la la ♪", "la la"),
        ("We're #1, a < b", "We're #1, a < b"),
        ("AT&amp;T &lt;3", "AT&T <3"),
        ("2", "2"),
    ],
)
def test_subtitles_are_bared_to_what_is_said(line: str, text: str, tmp_path: Path) -> None:
    """Tags, speakers and sounds are no words; everything else is."""
    assert only(file(tmp_path, "a.srt", f"1\r\n{TIMES}\r\n{line}\r\nand more\r\n")).text == f"{text} and more"


def test_webvtt_with_everything(tmp_path: Path) -> None:
    """Header, notes, styles, cue names and settings, voices and times within the text are left out."""
    content = (
        "WEBVTT - Title\nKind: captions\n\nNOTE\nnobody says this\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start\n<v.loud Ann Lee>One <00:01.500><c>two</c></v>\n- three\n\n"
        "01:00:03.000 --> 01:00:04.000\n\n01:00:05.000 --> 01:00:06.000\nfour\n"
    )
    assert only(file(tmp_path, "a.vtt", content)).text == "One two three four"


def test_no_subtitles(tmp_path: Path) -> None:
    """A file that has none is a mistake, not silence."""
    assert "subtitles" in mistake(file(tmp_path, "a.srt", "Hello.\n")).message


# STM


def test_stm(tmp_path: Path) -> None:
    """Segments in the order of time; what NIST's scorer ignores is left out."""
    content = """\
;; a comment
;; LABEL "male" "Male" ""
talk 1 ann 5.00 7.00 <o,f0,female> then {gonna / going to} {@ / uh} stop
talk 2 bob 1.00 2.50 <o,f0,male> go (uh) on <unk> [noise]
talk 1 inter_segment_gap 2.50 5.00 <o,,unknown>
talk 1 ann 7.00 8.00 <o,f0,female> IGNORE_TIME_SEGMENT_IN_SCORING
other A x 0.0 1.0 no label here
quiet A inter_segment_gap 0.0 1.0
"""
    found = {one.key: one.reference for one in read(file(tmp_path, "a.stm", content))}
    assert found == {
        "talk": Reference("go on then gonna stop"),
        "other": Reference("no label here"),
        "quiet": Reference(""),
    }


@pytest.mark.parametrize("line", ["talk 1 ann 0.5", "talk 1 ann here there words", "talk 1 ann 2.0 1.0 words"])
def test_mistakes_in_stm_name_the_line(line: str, tmp_path: Path) -> None:
    """Too few fields, times that are none, times that go back."""
    assert "line 2" in mistake(file(tmp_path, "a.stm", f";;\n{line}\n")).message


# All


@pytest.mark.parametrize("name", ["a.docx", "a", "missing.txt", "folder.txt"])
def test_what_cannot_be_read(name: str, tmp_path: Path) -> None:
    """Another format, a file that is not there, a directory."""
    (tmp_path / "folder.txt").mkdir()
    mistake(tmp_path / name)


def test_other_encodings_are_told(tmp_path: Path) -> None:
    """Not guessed: a guess makes wrong words of right ones."""
    (tmp_path / "a.txt").write_bytes("größer".encode("latin-1"))
    assert "UTF-8" in mistake(tmp_path / "a.txt").message


@given(st.text("ab 好", max_size=30), st.integers(0, 5_000))
def test_words_without_times_share_the_recording(text: str, ms: int) -> None:
    """They are spread from its begin to its end, in order, none lost, marked as estimated."""
    words = Reference(text).spoken(ms)
    assert [word.text for word in words] == text.split()
    borders = [border for word in words for border in (word.start, word.end)]
    assert borders == sorted(borders)
    assert not words or (borders[0], borders[-1]) == (0, ms)
    assert all(word.estimated for word in words)
