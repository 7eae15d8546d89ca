"""The command in processes of its own, with real recognizers: it gives the report, however often it is stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests import speech
from tests.conftest import PATIENCE

from twopass.compare.page.files import read
from twopass.compare.results import Comparison, Score

_COMMAND = [sys.executable, "-m", "twopass.cli", "compare"]
_ROOT = Path(__file__).parent.parent.parent
_INTERRUPTIONS = int(os.environ.get("TWOPASS_INTERRUPTIONS", "2"))
_RECORDINGS = ("short_kal", "short_en_us")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of some short recordings that the bundled Whisper understands."""
    folder = tmp_path_factory.mktemp("recordings")
    lines = [json.loads(line) for line in (speech.FOLDER / "manifest.jsonl").read_text().splitlines()]
    wanted = [line for line in lines if Path(line["file"]).stem in _RECORDINGS]
    for line in wanted:
        line["file"] = str(speech.FOLDER / line["file"])
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in wanted))
    return path


def compared(*options: str | Path, folder: Path, ledger: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [*_COMMAND, *map(str, options), "-o", str(folder)]
    environment = {**os.environ, "TWOPASS_LEDGER": ledger}
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, cwd=_ROOT)


def test_one_command_gives_the_report(recordings: Path, tmp_path: Path) -> None:
    """A first pass alone, a profile with both passes and a vendor's stand-in: figures, page, tables, and an account."""
    names = "pocketsphinx,twopass:configs/local.yaml#demo,standin:google"
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    done = compared(recordings, "-p", names, folder=tmp_path / "report", ledger=ledger)
    assert (0, "") == (done.returncode, done.stdout)
    made = read(tmp_path / "report" / "comparison.json")
    scores = {score.system: score for score in made.scores}
    assert {"pocketsphinx", "twopass:local#demo", "standin:google"} == scores.keys()
    assert "twopass:local#demo" == made.scores[0].system
    two_pass = scores["twopass:local#demo"]
    assert two_pass.wer is not None
    assert two_pass.wer.value < 0.1
    assert (two_pass.rewrite_gain or 0) > 0
    assert [True] == [system.stand_in for system in made.systems if system.name == "standin:google"]
    assert all(score.emission is not None and score.final is not None for score in made.scores)
    assert {"index.html", "ranking.csv", "recordings.csv"} <= {path.name for path in (tmp_path / "report").iterdir()}
    with sqlite3.connect(tmp_path / "ledger.sqlite") as book:
        billed = book.execute(
            "select distinct tenant, provider, reason from usage where clock = 'audio_sent'"
        ).fetchall()
    assert [("compare", "google", "shadow")] == billed


def test_stopped_and_taken_up_again(recordings: Path, tmp_path: Path) -> None:
    """Ctrl-C or kill -9 at random points: what was heard is kept, and the report is that of a run without a stop."""
    options = (recordings, "-p", "twopass:configs/local.yaml#demo", "--perturb", "noise:10", "--fast")
    assert 0 == compared(*options, folder=tmp_path / "whole").returncode
    chance, stops = random.Random(1), 0
    for _ in range(10 * _INTERRUPTIONS):
        how = signal.SIGINT if stops % 2 else signal.SIGKILL
        if _stopped(options, tmp_path / "cut", how, chance.randrange(3), chance.uniform(0, 0.5)):
            stops += 1
        else:  # it came to its end: begin anew
            shutil.rmtree(tmp_path / "cut")
        if stops == _INTERRUPTIONS:
            break
    assert _INTERRUPTIONS == stops
    assert 0 == compared(*options, folder=tmp_path / "cut").returncode
    whole, cut = (_without_times(read(tmp_path / name / "comparison.json")) for name in ("whole", "cut"))
    assert whole == cut


def _stopped(options: tuple[str | Path, ...], folder: Path, how: signal.Signals, more: int, later: float) -> bool:
    """Stop the command some time after it has heard so many more recordings; False if it ended before."""
    hearings = folder / "hearings"
    enough = len(list(hearings.rglob("*.json"))) + more
    command = [*_COMMAND, *map(str, options), "-o", str(folder)]
    with subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible) as process:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and len(list(hearings.rglob("*.json"))) < enough:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(later)
        process.send_signal(how)
        _, said = process.communicate(timeout=PATIENCE)
    # -SIGINT: it had not begun to listen to Ctrl-C yet.
    assert process.returncode in (0, 128 + signal.SIGINT, -signal.SIGINT, -signal.SIGKILL), said
    return process.returncode != 0


def _interruptible() -> None:
    """Who runs the tests in the background may have them ignore Ctrl-C, and so all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_what_cannot_be_done_says_how(tmp_path: Path) -> None:
    """No recordings, no systems, an unknown provider: an error with its fix."""
    for options, fix in (
        (["-p", "pocketsphinx"], "Name audio files"),
        ([str(speech.FOLDER / "short_kal.flac")], "--providers"),
        ([str(speech.FOLDER / "short_kal.flac"), "-p", "nobody"], "Installed:"),
    ):
        done = compared(*options, folder=tmp_path)
        assert (1, True) == (done.returncode, fix in done.stderr), done.stderr


def _without_times(made: Comparison) -> Comparison:
    """What depends on when and how fast it was made is left out."""
    cells = tuple(replace(cell, wall_ms=0.0, cpu_seconds=0.0, cost=None) for cell in made.cells)
    conditions = {name: tuple(map(_timeless, scores)) for name, scores in made.conditions.items()}
    scores = tuple(map(_timeless, made.scores))
    return replace(made, made="", command="", settings={}, cells=cells, scores=scores, conditions=conditions)


def _timeless(score: Score) -> Score:
    return replace(score, cpu_seconds_per_hour=None, real_time_factor=None, cost_per_hour=None)
