"""Recordings are found, named, matched with their references and made harder; mistakes say what to do."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import speech

from twopass.compare.recordings.finding import Found, names
from twopass.compare.recordings.perturbing import parse
from twopass.compare.recordings.recordings import Recording, Sound, gather, pcm
from twopass.errors import AudioError, ConfigError

SPEECH = Path(speech.__file__).parent
SHORT = SPEECH / "short_slt.flac"


def wav(path: Path, ms: int = 500, rate: int = 16_000) -> Path:
    """A recording of something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(ms).integers(-3_000, 3_000, ms * rate // 1000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def manifest(path: Path, *lines: dict[str, object]) -> Path:
    """A manifest of these lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def text(path: Path, content: str) -> Path:
    """A file with a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def said(recordings: tuple[Recording, ...]) -> dict[str, str | None]:
    """What was said in which."""
    return {one.name: one.reference.text if one.reference else None for one in recordings}


@pytest.fixture(scope="module")
def listed() -> tuple[Recording, ...]:
    """What the manifest of the test speech lists, also at half the speed."""
    return gather([SPEECH / "manifest.jsonl"], perturbations=[parse("speed:0.5")])


# Finding


def test_a_directory_with_references_from_a_manifest(tmp_path: Path) -> None:
    """All recordings in it, in the order of their names, as long as they are, each with the text of its own file."""
    wanted = [*speech.names("short"), "two_channels", "silence_5s"]
    for name in wanted:
        (tmp_path / f"{name}.flac").symlink_to(SPEECH / f"{name}.flac")
    found = gather([tmp_path], [SPEECH / "manifest.jsonl"])
    assert [one.name for one in found] == sorted(wanted)
    for one in found:
        recording = speech.load(one.name)
        assert one.ms == recording.duration_ms
        assert one.condition == recording.kind
        assert one.reference is not None
        assert sorted(one.reference.text.split()) == sorted(recording.text.split())


def test_a_manifest_is_recordings_and_references(listed: tuple[Recording, ...]) -> None:
    """The manifest alone gives the same as the directory with it, in its own order."""
    alone = [one for one in listed if one.perturbation is None]
    assert [one.name for one in alone] == speech.names()
    wanted = [name for name in speech.names() if name.startswith("short")]
    beside = gather([SPEECH / f"{name}.flac" for name in wanted], [SPEECH / "manifest.jsonl"])
    assert [one for one in alone if one.name in wanted] == list(beside)


def test_times_of_another_recording_are_told(tmp_path: Path) -> None:
    """Words that begin after the end have times in another unit, or of another recording."""
    words = [["one", 0.0, 0.2], ["two", 300, 400]]
    line: dict[str, object] = {"file": wav(tmp_path / "a.wav").name, "text": "one two", "words": words}
    with pytest.raises(ConfigError, match=r"begin at up to 300 s, but it ends at 0\.5 s"):
        gather([manifest(tmp_path / "refs.jsonl", line)])


def test_what_is_hidden_is_no_recording(tmp_path: Path) -> None:
    """What macOS leaves beside files has their suffixes and is no audio; what is named is taken all the same."""
    wav(tmp_path / "a.wav")
    text(tmp_path / "._a.wav", "Mac OS X")
    wav(tmp_path / ".b.wav")
    assert ["a"] == [one.name for one in gather([tmp_path])]
    assert ["b"] == [one.name for one in gather([tmp_path / ".b.wav"])]


def test_each_file_once_as_its_manifest_has_it(tmp_path: Path) -> None:
    """A file that is named, in a directory and in a manifest is one recording, with what the manifest knows."""
    first, second = wav(tmp_path / "a.wav"), wav(tmp_path / "deep" / "b.WAV", 700)
    text(tmp_path / "notes.md", "no recording")
    lines = manifest(tmp_path / "all.jsonl", {"file": "deep/b.WAV", "id": "bee", "text": "Hm.", "condition": "noise"})
    found = gather([first, tmp_path, lines, second], language="en-US")
    assert [(one.name, one.ms, one.condition, one.language) for one in found] == [
        ("a", 500, "", "en-US"),
        ("bee", 700, "noise", "en-US"),
    ]
    assert said(found) == {"a": None, "bee": "Hm."}


def test_languages(tmp_path: Path) -> None:
    """A recording's own language comes before the one for all."""
    wav(tmp_path / "a.wav")
    lines = manifest(tmp_path / "all.jsonl", {"file": "a.wav", "language": "de-DE"})
    assert [one.language for one in gather([lines], language="en-US")] == ["de-DE"]


@given(st.lists(st.tuples(st.text(max_size=80), st.sampled_from("xy"), st.booleans()), max_size=12))
def test_names_are_unique_and_safe(files: list[tuple[str, str, bool]]) -> None:
    """Whatever files and ids are called: no two alike on any file system, no character that means something."""
    found = [
        Found(Path(folder) / f"{name}.wav", Path("/") / folder / name, name or None if named else None)
        for name, folder, named in files
    ]
    chosen = names(found)
    assert len({name.casefold() for name in chosen}) == len(files)
    for name in chosen:
        assert 0 < len(name) <= 70
        assert not set(name) & set('~/\\:*?"<>| \n\0')
        assert name[0] not in ".-"


def test_files_called_alike_have_their_folders_in_their_names(tmp_path: Path) -> None:
    """The same file name in two folders; a third in a folder of the same name gets a number."""
    for folder in ("ann", "bob", "x/ann"):
        wav(tmp_path / folder / "call 1.wav")
    assert [one.name for one in gather([tmp_path])] == ["ann-call-1", "bob-call-1", "ann-call-1-2"]


@pytest.mark.parametrize("name", ["missing.wav", "empty", "empty.jsonl"])
def test_nothing_to_hear(name: str, tmp_path: Path) -> None:
    """A path that is not there, a directory and a manifest without recordings."""
    (tmp_path / "empty").mkdir()
    text(tmp_path / "empty.jsonl", "\n")
    with pytest.raises(ConfigError) as caught:
        gather([tmp_path / name])
    assert caught.value.code == "no_recordings"
    assert caught.value.fix


@pytest.mark.parametrize("line", [{"id": "a", "text": "No file."}, {"file": "missing.wav"}])
def test_manifest_of_recordings_needs_their_files(line: dict[str, object], tmp_path: Path) -> None:
    """A line without a file, or with one that is not there, is named."""
    with pytest.raises(ConfigError, match=r"all\.jsonl, line 1: there is no file"):
        gather([manifest(tmp_path / "all.jsonl", line)])


def test_what_cannot_be_heard_is_told_before_the_start(tmp_path: Path) -> None:
    """No audio, and audio of no length: the file is named, and what to do."""
    noise = text(tmp_path / "noise.wav", "RIFF, but not really")
    with pytest.raises(AudioError, match=r"noise\.wav.*Leave it out"):
        gather([noise])
    with pytest.raises(AudioError, match=r"none\.wav"):
        gather([wav(tmp_path / "none.wav", 0)])


# References


def test_references_belong_to_the_recording_of_their_name(tmp_path: Path) -> None:
    """By the file's name, by lines with names, by the suffix too; a reference says more than a manifest."""
    for name in ("a", "b", "c"):
        wav(tmp_path / f"{name}.wav")
    lines = manifest(tmp_path / "all.jsonl", {"file": "a.wav", "text": "old"}, {"file": "b.wav"}, {"file": "c.wav"})
    one, others = text(tmp_path / "refs" / "a.txt", "new"), text(tmp_path / "list.txt", "b bee\nc.wav see\n")
    assert said(gather([lines], [one, others])) == {"a": "new", "b": "bee", "c": "see"}


def test_references_beside_recordings_called_alike(tmp_path: Path) -> None:
    """The text in the same folder belongs to it, also where another folder has a recording of that name."""
    texts = []
    for folder in ("ann", "bob"):
        wav(tmp_path / folder / "call.wav")
        texts.append(text(tmp_path / folder / "call.txt", f"I am {folder}."))
    assert said(gather([tmp_path], texts)) == {"ann-call": "I am ann.", "bob-call": "I am bob."}
    elsewhere = text(tmp_path / "texts" / "call.txt", "Who?")
    with pytest.raises(ConfigError, match="several recordings: ann-call, bob-call"):
        gather([tmp_path], [elsewhere])


def test_a_misspelt_name_is_told_with_the_one_that_is_meant(tmp_path: Path) -> None:
    """Otherwise a recording would silently be without its reference."""
    wav(tmp_path / "interview.wav")
    with pytest.raises(ConfigError, match=r"“Intervew”.*is it interview") as caught:
        gather([tmp_path], [text(tmp_path / "Intervew.srt", "00:01.0 --> 00:02.0\nHm.")])
    assert "interview" in caught.value.fix
    wav(tmp_path / "other.wav")
    half = manifest(tmp_path / "refs.jsonl", {"id": "interview", "text": "Hm."}, {"id": "othr", "text": "Oh."})
    with pytest.raises(ConfigError, match=r"“othr”.*line 2.*is it other"):
        gather([tmp_path], [half])


def test_more_references_than_recordings_are_fine(tmp_path: Path) -> None:
    """Where every recording has its own, the rest of a large file is for others."""
    refs = manifest(tmp_path / "refs.jsonl", {"id": "a", "text": "Hm."}, {"id": "b", "text": "Oh."})
    assert said(gather([wav(tmp_path / "a.wav")], [refs])) == {"a": "Hm."}


def test_two_references_must_not_differ(tmp_path: Path) -> None:
    """Two files that say the same are fine; two that differ are named both."""
    audio = wav(tmp_path / "a.wav")
    first, same = text(tmp_path / "a.txt", "Hm."), text(tmp_path / "list.stm", "a 1 s 0 1 Hm.")
    assert said(gather([audio], [first, same])) == {"a": "Hm."}
    with pytest.raises(ConfigError, match=r"a\.txt and .*other\.stm"):
        gather([audio], [first, text(tmp_path / "other.stm", "a 1 s 0 1 Oh.")])


def test_a_file_without_references(tmp_path: Path) -> None:
    """An empty manifest is a mistake."""
    with pytest.raises(ConfigError, match="has no references"):
        gather([wav(tmp_path / "a.wav")], [text(tmp_path / "refs.jsonl", "")])


# Playing


def test_pcm_is_the_recording() -> None:
    """The clean recording plays sample by sample what is in the file."""
    (recording,) = gather([SHORT])
    assert pcm(recording) == speech.load("short_slt").pcm


def test_sound_is_decoded_when_it_is_asked_for(tmp_path: Path) -> None:
    """Names need no file; the bytes are those that are played."""
    (recording,) = gather([wav(tmp_path / "a.wav")])
    sound, played = Sound([recording]), pcm(recording)
    assert played == sound["a"]
    recording.path.unlink()
    assert (["a"], 1, True, False) == (list(sound), len(sound), "a" in sound, "b" in sound)


@pytest.mark.parametrize("effect", ["telephone", "noise:0:babble", "noise:0:pink", "loss:0.5:40", "speed:2", "gain:60"])
@pytest.mark.parametrize("ms", [1, 21])
def test_a_moment_can_be_made_harder(effect: str, ms: int, tmp_path: Path) -> None:
    """A recording that is shorter than a frame, a packet or a filter is perturbed like any other."""
    _, harder = gather([wav(tmp_path / "a.wav", ms)], perturbations=[parse(effect)])
    assert harder.ms * 32 == pytest.approx(len(pcm(harder)), abs=32)


def test_other_rates_become_ours(tmp_path: Path) -> None:
    """8 kHz plays as long as before."""
    (recording,) = gather([wav(tmp_path / "a.wav", 1_000, 8_000)])
    assert (recording.ms, len(pcm(recording))) == (1_000, 32_000)


def test_every_recording_clean_and_with_each_perturbation() -> None:
    """Once as it is, once for each, in that order; names, conditions and lengths are those of what plays."""
    faster, noise = parse("speed:1.25"), parse("noise:10")
    clean, fast, loud = gather([SHORT], perturbations=[faster, noise, faster])
    assert [one.name for one in (clean, fast, loud)] == ["short_slt", "short_slt~speed-1.25", "short_slt~noise-10"]
    assert {one.source for one in (clean, fast, loud)} == {"short_slt"}
    assert [one.condition for one in (clean, fast, loud)] == ["", "speed × 1.25", "noise 10 dB"]
    for one in (clean, fast, loud):
        assert len(pcm(one)) == pytest.approx(one.ms * 32, abs=32)
    assert fast.ms == round(clean.ms / 1.25)


def test_word_times_move_with_the_speed(listed: tuple[Recording, ...]) -> None:
    """Each word of the reference stands where it is heard; the manifest's condition is the clean recording's only."""
    clean, slow = (next(one for one in listed if one.name == name) for name in ("short_slt", "short_slt~speed-0.5"))
    assert clean.reference is not None
    assert slow.reference is not None
    assert [(2 * w.start, 2 * w.end) for w in clean.reference.words] == [(w.start, w.end) for w in slow.reference.words]
    assert (clean.condition, slow.condition) == ("short", "speed × 0.5")
    assert clean.reference.text == slow.reference.text


def test_noise_is_the_recordings_own() -> None:
    """The same bytes each time; another recording or another seed has other noise."""
    noise = [parse("noise:10")]
    _, one = gather([SHORT], perturbations=noise, seed=1)
    _, other = gather([SHORT], perturbations=noise, seed=2)
    assert pcm(one) == pcm(one)
    assert pcm(one) == pcm(gather([SHORT], perturbations=noise, seed=1)[1])
    assert pcm(one) != pcm(other)
    assert pcm(one) != pcm(replace(one, source="another"))
