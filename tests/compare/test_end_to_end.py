"""
A whole comparison, and its figures worked out again by other code: from the transcripts, the usage and the moments that
lie on disk, without anything of `twopass.compare`.
"""

from __future__ import annotations

import csv
import json
import wave
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.compare.delayed import VOICE, Delayed, alone
from tests.compare.test_campaign import Watched
from tests.scripted import numbered, spoken
from tests.virtual_time import virtually

from twopass.compare.charging import charging
from twopass.compare.comparing import About, comparison
from twopass.compare.page.files import write
from twopass.compare.recordings.recordings import Sound, gather
from twopass.compare.running import campaign as campaigns
from twopass.compare.running.campaign import Campaign, Plan
from twopass.compare.running.hearer import Hearer
from twopass.compare.running.opening import Room
from twopass.compare.running.schedule import Limits
from twopass.compare.running.specs import Spec, parse
from twopass.compare.running.store import Store
from twopass.compare.scoring import Chance
from twopass.cost.prices.cards import cards_of
from twopass.cost.prices.exchange import load_exchange
from twopass.cost.prices.rates import Rate, RateCard, Tier
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.session_meter import NOWHERE
from twopass.cost.usage.treasury import NOBODY
from twopass.errors import RecognizerCrashed
from twopass.recognizers import StreamOptions
from twopass.types import Clock, Hypothesis, Usage

_HOUR_PRICE = {"good": Decimal("0.96"), "gone": Decimal("1.50")}
_SAID = {name: numbered(3 + 2 * n, start=960, length=192, gap=64 + 512 * (n % 2)) for n, name in enumerate("abcdef")}


class _Gone(Delayed):
    """Breaks where German is spoken."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        if options.language == "de":
            raise RecognizerCrashed("It is gone.", provider=self.name)
        async for answer in super().stream(audio, options):
            yield answer


_SYSTEMS = {
    "good": Delayed(150, 650, name="good"),
    "bad": Delayed(90, 910, wrong=[("2", "too"), ("5", "6 6")], name="bad"),
    "gone": _Gone(110, 1_210, name="gone"),
}


@asynccontextmanager
async def _opened(specs: Sequence[Spec], room: Room) -> AsyncIterator[list[Hearer]]:
    yield [alone(_SYSTEMS[spec.name]) for spec in specs]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder: six recordings, one of which is German; three systems."""
    folder = tmp_path_factory.mktemp("end")
    lines = []
    for name, said in _SAID.items():
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(spoken(said, said[-1].end + 2_000))
        text = " ".join(word.text for word in said)
        lines.append(json.dumps({"file": f"{name}.wav", "text": text, "language": "de" if name == "c" else "en"}))
    (folder / "refs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rates = {
        name: RateCard(name, (Rate("audio", Clock.AUDIO_SENT, tiers=(Tier(Decimal(0), price),)),))
        for name, price in _HOUR_PRICE.items()
    }
    cards = cards_of(rates, {}, load_exchange(None))
    plan = Plan(parse(_SYSTEMS), gather([folder / "refs.jsonl"]), StreamOptions(), False, Limits(2, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaigns, "opened", _opened)
        campaign = Campaign(plan, Room(VOICE, cards, NOWHERE), Store(folder / "report"), Watched())
        systems, heard = virtually(campaign.run(Pricer(cards.cards, {}), NOBODY))
    about = About("now", "twopass compare", "0", {}, "USD")
    made = comparison(heard, systems, charging(cards, "USD", date(2026, 11, 1)), Chance(200), about)
    write(made, folder / "report", Sound(plan.recordings))
    return folder / "report"


def test_word_error_rates(report: Path) -> None:
    """Of the transcripts in recordings.csv: the fewest edits by plain dynamic programming, over all words said."""
    edits, words = dict.fromkeys(_SYSTEMS, 0), dict.fromkeys(_SYSTEMS, 0)
    for row in _rows(report / "recordings.csv"):
        said = [word.text for word in _SAID[row["recording"]]]
        edits[row["system"]] += _edits(said, row["text"].split())
        words[row["system"]] += len(said)
    scores = _scores(report)
    assert {name: scores[name]["wer"]["value"] for name in _SYSTEMS} == {
        name: pytest.approx(edits[name] / words[name]) for name in _SYSTEMS
    }
    assert 0 == edits["good"] < edits["gone"] == len(_SAID["c"])
    assert ["good", "gone", "bad"] == [
        row["system"] for row in _rows(report / "ranking.csv") if row["condition"] == "all"
    ]


def test_costs_of_an_hour(report: Path) -> None:
    """Seconds that were sent, as the hearings have them, by the price; of what failed nothing counts."""
    scores = _scores(report)
    for name, price in _HOUR_PRICE.items():
        whole = [hearing for hearing in _hearings(report, name) if not hearing.get("failed")]
        seconds = sum(Decimal(str(usage["seconds"])) for hearing in whole for usage in hearing["usage"])
        hours = Decimal(sum(hearing["audio_ms"] for hearing in whole)) / 3_600_000
        cost = scores[name]["cost_per_hour"]
        assert "USD" == cost["currency"]
        assert pytest.approx(float(price * seconds / 3600 / hours), abs=1e-4) == float(cost["amount"])
    assert (None, ["bad audio"]) == (scores["bad"]["cost_per_hour"], scores["bad"]["unpriced"])
    assert 1 == scores["gone"]["failed"]


def test_latencies_of_finals(report: Path) -> None:
    """The median over stretches of speech, from their ends to the last final of their words, as they lie on disk."""
    scores = _scores(report)
    for name, system in _SYSTEMS.items():
        latencies = [latency for hearing in _hearings(report, name) for latency in _final_latencies(report, hearing)]
        assert len(latencies) == scores[name]["final"]["count"]
        assert pytest.approx(median(latencies)) == scores[name]["final"]["p50"]
        assert pytest.approx(system.final_ms, abs=5) == median(latencies)


def _final_latencies(report: Path, hearing: Mapping[str, Any]) -> Iterator[float]:
    (path,) = (report / "speech").glob(f"{hearing['recording']}.*.json")
    shown = [(seen["at"], seen["revision"]) for seen in hearing.get("seen", ())]
    finals = [(at, revision) for at, revision in shown if revision["status"] == "final"]
    for start, end in json.loads(path.read_bytes()):
        of_it = [
            at for at, revision in finals if any(start <= w["start"] and w["end"] <= end for w in revision["words"])
        ]
        if of_it:
            yield max(of_it) - end


def _edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Wagner and Fischer's."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, start=1):
        above, row = row, [i]
        for j, other in enumerate(heard, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other)))
    return row[-1]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _scores(report: Path) -> dict[str, Any]:
    return {score["system"]: score for score in json.loads((report / "comparison.json").read_bytes())["scores"]}


def _hearings(report: Path, system: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in (report / "hearings" / system).glob("*.json")]
