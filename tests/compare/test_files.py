"""A comparison's files: what is written can be read again, nothing is half there, and nothing in it does harm."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.compare.comparisons import EVIL, audio, comparison

from twopass.audio import decode_file
from twopass.compare.page.files import JSON, PAGE, RANKING, RECORDINGS, read, write
from twopass.compare.page.sound import embedded, mp3
from twopass.compare.results import Comparison
from twopass.errors import ConfigError

MADE = comparison()
BARE = replace(MADE, scores=(), conditions={}, pairs=())
"""Without plots, which take their time."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the fixture."""
    folder = tmp_path_factory.mktemp("compared") / "report"
    write(MADE, folder, audio())
    return folder


def rows(path: Path) -> Sequence[dict[str, str]]:
    """A CSV's lines."""
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_json_has_every_figure(folder: Path) -> None:
    """What is read back is equal to what was written but for the revisions, and nothing else is in the folder."""
    assert read(folder / JSON) == replace(MADE, cells=tuple(replace(cell, seen=()) for cell in MADE.cells))
    assert {JSON, PAGE, RANKING, RECORDINGS} == {path.name for path in folder.iterdir()}


def test_no_comparison_says_what_to_give(tmp_path: Path) -> None:
    """A file that is missing, no JSON, or some other JSON is refused with what to do."""
    other = tmp_path / "other.json"
    for content in (None, "{", '{"made": 1}'):
        if content is not None:
            other.write_text(content)
        with pytest.raises(ConfigError) as caught:
            read(other)
        assert ("no_comparison", True) == (caught.value.code, JSON in caught.value.fix)


def test_ranking_has_every_score(folder: Path) -> None:
    """One line for each system over all recordings and for each condition, with the figures of the scores."""
    lines = rows(folder / RANKING)
    scores = [("all", score) for score in MADE.scores]
    scores += [(name, score) for name, many in MADE.conditions.items() for score in many]
    assert [(name, score.system) for name, score in scores] == [(line["condition"], line["system"]) for line in lines]
    for line, (_, score) in zip(lines, scores, strict=True):
        assert score.wer is not None
        assert abs(float(line["wer"]) - score.wer.value) < 1e-6
        assert score.final is not None
        assert abs(float(line["final_p95_ms"]) - score.final.p95) < 1e-6
        assert (line["cost_per_hour"] == "") == (score.cost_per_hour is None)


def test_recordings_have_every_cell_with_its_text(folder: Path) -> None:
    """One line for each cell; a consensus is called one; what was not measured is empty, not 0."""
    lines = rows(folder / RECORDINGS)
    assert [(cell.recording, cell.system, cell.text) for cell in MADE.cells] == [
        (line["recording"], line["system"], line["text"]) for line in lines
    ]
    assert {"reference", "consensus"} == {line["truth_is"] for line in lines}
    failed = next(line for line in lines if line["failed"])
    assert ("", "", "1") == (failed["first_word_ms"], failed["final_p50_ms"], failed["wer"])


def test_no_text_is_a_formula(tmp_path: Path) -> None:
    """A transcript that begins like a formula is text in a spreadsheet."""
    evil = replace(BARE, cells=tuple(replace(cell, text="=1+1", failed="@x") for cell in MADE.cells))
    write(evil, tmp_path, {})
    assert {("'=1+1", "'@x")} == {(line["text"], line["failed"]) for line in rows(tmp_path / RECORDINGS)}


def test_files_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails on the way leaves what was there before."""
    write(BARE, tmp_path, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="No space left") as caught:
        write(replace(BARE, version="2"), tmp_path, {})
    assert caught.value.fix
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_an_empty_comparison_has_its_files(tmp_path: Path) -> None:
    """Nothing compared: files without figures, no error."""
    empty = Comparison("2026-11-21T15:04:05Z", "twopass compare", "0", {}, "USD", (), (), ())
    write(empty, tmp_path, {})
    assert read(tmp_path / JSON) == empty
    assert (tmp_path / RANKING).read_text() == ""
    assert "<h1>" in (tmp_path / PAGE).read_text()


def test_json_names_what_a_reader_looks_for(folder: Path) -> None:
    """Every field that the page tells to ask for is there."""
    data = json.loads((folder / JSON).read_text())
    assert data["scores"][0]["errors"]["substitutions"] == 2
    assert EVIL in data["recordings"][-1]["truth"]


def test_sound_is_the_recording() -> None:
    """The embedded MP3 lasts as long as the recording, within a frame, and is as loud."""
    pcm = audio()["roadmap"]
    heard = b"".join(channels[0] for channels in decode_file(mp3(pcm)))
    assert abs(len(heard) - len(pcm)) < 2 * 16 * 60
    middle = len(pcm) // 4 * 2
    assert max(memoryview(heard[middle : middle + 3200]).cast("h")) in range(2500, 3500)


def test_sound_stops_where_the_page_is_full() -> None:
    """Recordings are taken in order until the limit; those after it are named, those without sound are not."""
    sound = audio()
    names = [*sound, "nobody has it"]
    whole = embedded(names, sound)
    assert (set(sound), ()) == (set(whole.by_name), whole.left_out)
    assert all(base64.b64decode(address.partition(",")[2]) for address in whole.by_name.values())
    first_two = sum(len(whole.by_name[name]) for name in names[:2])
    some = embedded(names, sound, first_two)
    assert (set(names[:2]), tuple(names[2:-1])) == (set(some.by_name), some.left_out)


def test_sound_that_finds_no_room_is_not_decoded() -> None:
    """Hours of audio are not read for a page that is full."""
    asked: list[str] = []

    class Asked(dict[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            asked.append(name)
            return super().__getitem__(name)

    sound = Asked(audio())
    embedded(list(sound), sound, limit=1)
    assert list(sound)[:1] == asked
