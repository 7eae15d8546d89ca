"""Which Whisper: names, directories, what is missing, and how it is fetched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import PATIENCE
from tests.providers import hub

from twopass.errors import ConfigError, RecognizerUnavailable
from twopass_providers.whisper import models

REPOSITORY = "somebody/tiny"
SAMPLE = Path(models.demo_directory()).parent / "sample.wav"


def command(*arguments: str, endpoint: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """`twopass` in a process that knows only this hub and this cache."""
    return subprocess.run(
        [sys.executable, "-m", "twopass.cli", *arguments],
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_weights_are_pulled_with_one_command_and_then_used(tmp_path: Path) -> None:
    """`models pull` downloads a converted model from a hub; `transcribe` then decodes with it."""
    with hub.serving(models.demo_directory(), REPOSITORY) as endpoint:
        pulled = command("models", "pull", REPOSITORY, endpoint=endpoint, cache=tmp_path)
        assert (0, True) == (pulled.returncode, f"Whisper {REPOSITORY}" in pulled.stderr), pulled.stderr
    arguments = ["transcribe", str(SAMPLE), "--fast", "--second-pass-model", REPOSITORY]
    heard = command(*arguments, endpoint="http://127.0.0.1:9", cache=tmp_path)
    assert "We spent eight thousand dollars on the roadmap." in heard.stdout, heard.stderr


SERVED = f"""
default: live
profiles:
  live:
    first_pass: {{provider: pocketsphinx}}
    second_pass: {{provider: whisper, model: {REPOSITORY}, fallback: {{provider: pocketsphinx}}}}
"""


def test_a_server_downloads_what_it_lacks_and_then_uses_it(tmp_path: Path) -> None:
    """Weights that a profile names are fetched in the background; until then the fallback speaks, with a notice."""
    config = tmp_path / "served.yaml"
    config.write_text(SERVED)
    with hub.serving(models.demo_directory(), REPOSITORY) as endpoint:
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        command_line = [sys.executable, "-m", "twopass.cli", "serve", "--config", str(config), "--port", "0"]
        with subprocess.Popen(command_line, env=environment, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr is not None
                said = next(line for line in server.stderr if "http://" in line)
                speakers = [*_second_passes(re.findall(r"http://[\d.:]+", said)[0])]
            finally:
                server.terminate()
                server.communicate()
    assert "whisper" == speakers[-1]["provider"]
    assert all("stands in for it" in speaker["notice"] for speaker in speakers[:-1])


def _second_passes(url: str) -> Iterator[dict[str, str]]:
    """Who does the second pass, asked again and again until it is the one that was wanted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/v1/profiles") as answer:
            (profile,) = json.load(answer)["profiles"]
        yield profile["second_pass"]
        if profile["second_pass"]["notice"] is None:
            return
        time.sleep(0.2)


def test_a_hub_out_of_reach_is_said_with_the_command_that_helps(tmp_path: Path) -> None:
    """No network: one clear line with the fix, no traceback."""
    pulled = command("models", "pull", "base", endpoint="http://127.0.0.1:9", cache=tmp_path)
    assert 1 == pulled.returncode
    assert "Whisper base could not be downloaded" in pulled.stderr
    assert "twopass models pull base" in pulled.stderr
    assert "Traceback" not in pulled.stderr


def test_a_directory_that_is_no_model_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    """A wrong directory is told from a model that is not there."""
    with pytest.raises(RecognizerUnavailable, match=r"model\.bin and config\.json missing"):
        models.locate(str(tmp_path))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """A typo costs no download."""
    with pytest.raises(ConfigError, match="large-v3-turbo"):
        models.locate("lage-v3")


def test_the_bundled_model_is_always_there() -> None:
    """`demo` needs nothing but the package, and says what it cannot do."""
    weights = models.locate(models.DEMO)
    assert (Path(weights.directory) / "model.bin").is_file()
    assert "nonsense" in weights.understands
