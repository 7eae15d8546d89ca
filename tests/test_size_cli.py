"""`twopass size`: from a configuration and measured figures to tables and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from twopass import cli
from twopass.errors import ConfigError
from twopass.sizing import measured
from twopass.sizing import measuring as size_measuring
from twopass.sizing.measured import FirstPassFigure, GatewayFigure, SecondPassFigure, TrafficFigure

CONFIGS = Path(__file__).parent.parent / "configs"
GOOGLE = ("--config", str(CONFIGS / "google-whisper.yaml"))
GPU = """
measurements:
- what: second_pass
  command: twopass size --measure
  machine: one that has a GPU
  date: 2026-11-01
  provider: whisper
  model: auto
  machine_kind: gpu
  busy: 0.02
  batch_factor: 6
"""


def run(*arguments: str) -> Result:
    """The command."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, ["size", *arguments])


def answer(*arguments: str) -> Any:
    """What it answers as JSON."""
    result = run(*arguments, "--format", "json")
    assert result.exception is None, result.output
    return json.loads(result.stdout)


def test_the_table_says_what_is_needed_assumed_measured_and_missing() -> None:
    """Machines, money, every assumption with its option, every figure with its command, and what is missing."""
    shown = run("--streams", "5000", "--profile", "demo").stdout
    options = "speech headroom batch-factor streams-per-gateway cores-per-worker spare again network partition-mb load"
    for text in ("5000 streams at once", "gateway processes", "Kafka partitions", "cost, USD", "not measured"):
        assert text in shown
    for option in options.split():
        assert f"--{option}" in shown
    assert "twopass size --measure --profile demo -o measured.yaml" in shown


def test_json_has_the_same_for_programs() -> None:
    """Counts are numbers, money and shares are decimals in words, and the figures name their origin."""
    found = answer("--streams", "5000", "--profile", "demo")
    assert found["gateways"]["machines"]["cpu_core"] > found["workers"][0]["machines"] > 1
    assert float(found["total"]["per_hour"]) == pytest.approx(sum(float(line["per_hour"]) for line in found["costs"]))
    assert {"gateway", "traffic", "first_pass", "second_pass"} == {figure["what"] for figure in found["used"]}
    assert all(figure["command"] and figure["date"] for figure in found["used"])


@pytest.mark.parametrize(
    ("option", "value"),
    [("--speech", "0.9"), ("--headroom", "0.6"), ("--spare", "9"), ("--again", "0.9"), ("--batch-factor", "0.5")],
)
def test_every_assumption_changes_the_answer(option: str, value: str) -> None:
    """More is asked for, more workers are needed, and the answer says what was assumed."""
    usual, changed = (
        answer("--streams", "500", "--profile", "demo"),
        answer("--streams", "500", "--profile", "demo", option, value),
    )
    assert changed["workers"][0]["machines"] > usual["workers"][0]["machines"]
    assert value == changed["assumptions"][option.removeprefix("--")]


def test_a_vendor_is_paid_by_its_rate_card_and_an_unknown_price_is_null() -> None:
    """Google's product has a price; nobody said what a core costs there, and real Whisper was not measured."""
    found = answer("--streams", "100", *GOOGLE, "--sku", "google=v2-standard")
    costs = {line["what"]: line["per_hour"] for line in found["costs"]}
    # 21,900 hours a month: 1,314,000 minutes, by tiers 8,000 + 5,000 + 2,512 dollars
    assert 15_512 / 21_900 * 100 == pytest.approx(float(costs.pop("first pass, google")))
    assert {"gateways, cpu_core": None, "second pass, cpu_core": None} == costs
    assert found["total"]["per_hour"] is None
    assert ["second pass whisper auto on cpu_core", "second pass whisper auto on gpu"] == [
        each["what"] for each in found["missing"]
    ]
    assert all(f"-c {GOOGLE[1]} --profile live" in each["command"] for each in found["missing"])


def test_without_its_key_it_is_not_guessed_which_product_a_vendor_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google sells several: the price is unknown until one is named, and the answer says so in words."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    shown = run("--streams", "100", *GOOGLE).stdout
    assert "unknown: first pass, google" in shown
    assert "--sku" in shown


def test_own_figures_stand_before_the_packaged_ones(tmp_path: Path) -> None:
    """A file with a GPU makes an answer with GPUs, whose price is unknown as long as nobody says it."""
    file = tmp_path / "gpu.yaml"
    file.write_text(GPU)
    found = answer("--streams", "5000", "--profile", "live", "--measured", str(file), "--machine", "gpu")
    gpus = next(each for each in found["workers"] if each["machine_kind"] == "gpu")
    assert 19 == gpus["machines"] == gpus["processes"]  # 5000 x 0.6 x 1.2 x 0.02 / 6 / 0.7, and a spare one
    assert gpus["memory_mb"] is None
    assert {"second pass, gpu"} == {line["what"] for line in found["costs"] if line["per_hour"] is None}


def test_two_who_race_are_both_counted(tmp_path: Path) -> None:
    """The second recognizer of a race takes the gateways' cores, too."""
    document = yaml.safe_load((CONFIGS / "local.yaml").read_text())
    document["profiles"]["demo"]["first_pass"]["race"] = {"provider": "sarvam"}
    file = tmp_path / "race.yaml"
    file.write_text(yaml.safe_dump(document))
    one, both = (answer("--streams", "1000", "--profile", "demo", *more) for more in ((), ("-c", str(file))))
    assert both["gateways"]["machines"]["cpu_core"] > one["gateways"]["machines"]["cpu_core"]
    assert "first pass, sarvam" in {line["what"] for line in both["costs"]}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "no_streams"),
        (("--streams", "1", "-o", "x"), "no_measure"),
        (("--streams", "1", "--profile", "none"), "unknown_profile"),
        (("--streams", "1", "--machine", "abacus"), "no_machine"),
        (("--streams", "1", "--sku", "google"), "bad_sku"),
        (("--streams", "1", "--headroom", "1"), "bad_share"),
        (("--streams", "1", "--speech", "0"), "bad_share"),
        (("--streams", "1", "--load", "nan"), "bad_figure"),
        (("--streams", "1", "--batch-factor", "0"), "bad_figure"),
        (("--streams", "1", "--measured", "nowhere.yaml"), "bad_config"),
        (("--measure", "-o", "nowhere/x.yaml"), "no_output"),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(arguments: tuple[str, ...], code: str) -> None:
    """A wrong option is an error with a code and a fix, before anything is measured."""
    error = run(*arguments).exception
    assert isinstance(error, ConfigError)
    assert code == error.code
    assert error.fix


def test_this_machine_can_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The beginning of the sample through a real gateway: every figure of the profile comes out, is written, and is what
    the answer rests on.
    """
    whole = size_measuring.sample

    async def beginning() -> bytes:
        return (await whole())[: 7 * 32_000]

    monkeypatch.setattr(size_measuring, "sample", beginning)
    file = tmp_path / "measured.yaml"
    found = answer("--measure", "--profile", "demo", "--streams", "50", "-o", str(file))
    gateway, traffic, first, second = measured.read(file).figures
    assert isinstance(gateway, GatewayFigure)
    assert isinstance(traffic, TrafficFigure)
    assert isinstance(first, FirstPassFigure)
    assert isinstance(second, SecondPassFigure)
    assert ("pocketsphinx", "speech") == (first.provider, first.hears)
    assert ("whisper", "demo", "cpu_core") == (second.provider, second.model, second.machine_kind)
    assert gateway.busiest_process is not None
    assert 0 < gateway.busiest_process <= gateway.cores_per_stream
    assert 1 < traffic.utterance_seconds < 7
    assert 0.3 < traffic.flac_share < 1
    assert [str(second.busy)] == [each["busy"] for each in found["used"] if each["what"] == "second_pass"]
    assert "twopass size --measure --profile demo" == second.command
