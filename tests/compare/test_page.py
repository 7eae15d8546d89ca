"""What the page says: verdict, standings and labels follow from the figures; transcripts stay text."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from rich.console import Console
from tests.compare.comparisons import EVIL, SYSTEMS, audio, comparison

from twopass.compare.measures.timeline import Seen
from twopass.compare.page import parts
from twopass.compare.page.figures import Figures
from twopass.compare.page.page import page
from twopass.compare.page.score_tables import LATENCY, PLANS, TWO_PASSES, table
from twopass.compare.page.takes import in_html, views
from twopass.compare.page.terminal import ranking
from twopass.compare.page.verdict import Standing, judged, standings, verdict
from twopass.compare.results import Comparison, Interval, Pair, Score
from twopass.cost.prices.rates import Money
from twopass.types import Pass, Revision, Status, Word

FIGURES = Figures()
MADE = comparison()


def findings(made: Comparison) -> dict[str, tuple[str, str]]:
    """The verdict: who, and what it says, by label."""
    return {finding.label: (finding.name, finding.says) for finding in verdict(made, FIGURES)}


def with_p(p: float | None) -> Comparison:
    """The fixture with another p of every pair."""
    return replace(MADE, pairs=tuple(replace(pair, p=p) for pair in MADE.pairs))


def unreferenced() -> Comparison:
    """The fixture without any reference."""

    def blind(score: Score) -> Score:
        return replace(score, wer=None, agreement_wer=score.wer)

    return replace(
        MADE,
        scores=tuple(map(blind, MADE.scores)),
        recordings=tuple(replace(played, consensus=True) for played in MADE.recordings),
    )


def test_verdict_names_best_cheapest_and_fastest() -> None:
    """Each finding names the system that the figures name, with the figures."""
    found = findings(MADE)
    assert ["Fewest errors", "Cheapest of the best", "Fastest final text"] == list(found)
    name, says = found["Fewest errors"]
    assert name == "local"
    assert "2.9 %" in says
    assert "0.7–6.0 %" in says
    name, says = found["Cheapest of the best"]
    assert name == "local"
    assert "$0.05" in says
    assert "whisper would cost is not known" in says
    assert found["Fastest final text"][0] == "pocketsphinx"


@pytest.mark.parametrize(
    ("p", "standing", "says"),
    [
        (0.31, Standing.EQUAL, "may be chance (p = 0.31)"),
        (0.049, Standing.WORSE, "significantly more (p = 0.049)"),
        (0.0002, Standing.WORSE, "significantly more (p < 0.001)"),
        (None, Standing.UNKNOWN, "too few recordings"),
    ],
)
def test_whether_the_next_is_worse_follows_from_p(p: float | None, standing: Standing, says: str) -> None:
    """Below 0.05 it is worse, above no difference is shown, without a test nothing is claimed."""
    made = with_p(p)
    assert {"local": Standing.BEST, "whisper": standing, "pocketsphinx": standing} == standings(made)
    assert says in findings(made)["Fewest errors"][1]


def test_cheapest_is_among_those_that_are_not_worse() -> None:
    """A system that is significantly worse is not recommended for its price; one that is not worse is."""
    assert findings(with_p(0.5))["Cheapest of the best"][0] == "pocketsphinx"
    worse = findings(with_p(0.01))["What the best costs"]
    assert worse[0] == "local"
    assert "pocketsphinx costs less ($0.02), with 35.7 % of words wrong" in worse[1]


def test_few_recordings_recommend_nobody_for_his_price() -> None:
    """Where nothing can be significant, a system with many errors is not as good as the best one and cheaper."""
    few = (replace(pair, p=0.25, difference=Interval(pair.difference.value)) for pair in MADE.pairs if pair.difference)
    made = replace(MADE, pairs=tuple(few))
    assert {Standing.BEST, Standing.UNKNOWN} == set(standings(made).values())
    assert findings(made)["What the best costs"][0] == "local"
    assert "too few recordings to say" in findings(made)["Fewest errors"][1]


def test_who_has_as_many_errors_is_not_called_worse() -> None:
    """Two systems without a mistake differ in nothing, not even by chance."""
    made = replace(MADE, scores=tuple(replace(score, wer=Interval(0.0)) for score in MADE.scores))
    says = findings(made)["Fewest errors"][1]
    assert "has as many" in says
    assert "chance" not in says


def test_stand_ins_are_not_judged_unless_there_is_nothing_else() -> None:
    """A stand-in that looks best wins nothing; a comparison of stand-ins alone is judged as such."""
    perfect = tuple(replace(s, wer=Interval(0.0)) if s.system == "google" else s for s in MADE.scores)
    made = replace(MADE, scores=tuple(sorted(perfect, key=lambda score: score.wer.value if score.wer else 1)))
    assert made.scores[0].system == "google"
    assert findings(made)["Fewest errors"][0] == "local"
    places = {row.system: row.place for row in parts.ranking(made, FIGURES)}
    assert {"google": "–", "local": "1", "whisper": "2", "pocketsphinx": "3"} == places
    alone = replace(made, systems=tuple(replace(system, stand_in=True) for system in SYSTEMS))
    assert [score.system for score in judged(alone)] == [score.system for score in made.scores]


def test_without_references_nobody_is_called_right() -> None:
    """Against a consensus the verdict speaks of agreement, and so does the page, loudly."""
    made = unreferenced()
    assert "Fewest errors" not in findings(made)
    name, says = findings(made)["Nearest to the consensus"]
    assert name == "local"
    assert "differ from what most systems heard" in says
    worse = replace(made, pairs=tuple(replace(pair, p=0.01) for pair in made.pairs))
    assert "of words that differ from the consensus" in findings(worse)["What the best costs"][1]
    shown = page(made, {})
    assert "<b>No recording has a reference: agreement with the consensus, not accuracy.</b>" in shown
    assert "Differs from consensus" in shown
    assert "Words wrong<small>with" not in shown


def test_without_any_truth_the_page_says_so() -> None:
    """Two systems and no reference: no verdict, no consensus, but why not, and how many words both have."""
    scores = tuple(replace(score, wer=None, errors=None, agreement_wer=None) for score in MADE.scores)
    played = tuple(replace(each, truth=None, consensus=False) for each in MADE.recordings)
    cells = tuple(replace(cell, words=None, steps=()) for cell in MADE.cells)
    shown = page(replace(MADE, scores=scores, recordings=played, cells=cells, conditions={}), {})
    assert "6 of 6 recordings have no reference, and too few systems heard them" in shown
    assert 'class="findings"' not in shown
    assert "Differs from consensus" not in shown


def test_page_labels_stand_ins_and_consensus() -> None:
    """Who is no vendor and what is no reference stands above the verdict."""
    shown = page(MADE, {})
    above = shown[: shown.index('class="findings"')]
    assert "google: a stand-in, not the vendor" in above
    assert "1 of 6 recordings has no reference" in above
    assert "1 of 24 transcripts is missing" in above


def test_what_people_say_and_call_things_stays_text() -> None:
    """Markup in transcripts, names, titles, commands and troubles never becomes markup, nor ends a script."""
    cells = tuple(
        replace(
            cell,
            system=f"{cell.system}{EVIL}",
            recording=f"{cell.recording}{EVIL}",
            text=f"{EVIL}</script>",
            failed=EVIL,
            troubles=(EVIL,),
            seen=(Seen(1.0, Revision("u", 1, Status.FINAL, 0, 9, (Word(f"{EVIL}</script><!--", 0, 9),), Pass.FIRST)),),
        )
        for cell in MADE.cells
    )
    made = replace(
        MADE,
        command=EVIL,
        settings={EVIL: EVIL},
        version=EVIL,
        made=EVIL,
        systems=tuple(replace(s, name=f"{s.name}{EVIL}", title=EVIL, notes=(EVIL,)) for s in SYSTEMS),
        recordings=tuple(
            replace(r, name=f"{r.name}{EVIL}", path=EVIL, condition=EVIL, truth=EVIL) for r in MADE.recordings
        ),
        scores=tuple(replace(s, system=f"{s.system}{EVIL}", unpriced=(EVIL,)) for s in MADE.scores),
        conditions={
            EVIL: tuple(replace(s, system=f"{s.system}{EVIL}") for s in MADE.scores),
        },
        pairs=tuple(Pair(f"{p.left}{EVIL}", f"{p.right}{EVIL}", p.difference, p.p) for p in MADE.pairs),
        cells=cells,
    )
    shown = page(made, {f"{name}{EVIL}": pcm for name, pcm in audio().items()})
    scripts = re.findall(r"<script[^>]*>", shown)
    assert ['<script type="application/json">'] * len(MADE.recordings) + ["<script>"] == scripts
    assert shown.count("</script") == len(scripts)
    assert "<!--" not in shown


def test_figures_that_are_missing_are_dashes_not_zero() -> None:
    """A score without anything but its name shows no figure at all."""
    bare = replace(MADE, scores=(Score("local", 0),), cells=(), pairs=(), conditions={})
    row = parts.ranking(bare, FIGURES)[0]
    assert {"–", "unknown"} == {row.place, row.rate, row.first, row.final, row.unstable, row.cost}
    assert "<h1>" in page(bare, {})


def test_figures_are_written_for_people() -> None:
    """Percent, points, seconds, money and probabilities look as one writes them."""
    assert "6.2 %" == FIGURES.percent(0.0619)
    assert "4.1–8.9 %" == FIGURES.ends(Interval(0.06, 0.041, 0.089))
    assert "" == FIGURES.ends(Interval(0.06))
    assert ("+1.2", "−0.4", "+0.0") == tuple(map(FIGURES.points, (0.012, -0.004, -0.0001)))
    assert ("0.42 s", "–") == (FIGURES.seconds(419), FIGURES.seconds(None))
    assert ("11.0 s", "3 min 42 s", "2 h 5 min") == tuple(map(FIGURES.length, (11_000, 222_000, 7_500_000)))
    assert ("0.31", "0.004", "< 0.001", "–") == tuple(map(FIGURES.probability, (0.31, 0.004, 0.0003, None)))
    assert "unknown" == FIGURES.money(None)


def test_a_narrow_terminal_cuts_nothing() -> None:
    """Of long names, alike at their beginnings, and of intervals every sign is there, whatever stands in brackets."""
    scores = tuple(replace(score, system=f"twopass:profiles[/x]#{score.system}") for score in MADE.scores)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(ranking(replace(MADE, scores=scores)))
    shown = console.export_text()
    assert "…" not in shown
    names = "".join(line.split()[0] for line in shown.splitlines() if line.split())
    assert all(f"twopass:profiles[/x]#{score.system}" in names for score in MADE.scores)


def test_percentiles_of_few_values_are_marked() -> None:
    """Of six values p90 and more say little and are marked; of a thousand they are not."""
    few = table(LATENCY, MADE, FIGURES)
    assert few is not None
    texts: Mapping[str, str] = {cell.label: cell.text for cell in few.rows[0].cells}
    assert ("0.99 s", "1.01 s*", "1.01 s*") == (texts["Final p50"], texts["Final p95"], texts["Final p99"])
    assert few.few
    scores = tuple(
        replace(s, final=replace(s.final, count=1000), first_partial=None, emission=None, first_word=None)
        for s in MADE.scores
        if s.final
    )
    many = table(LATENCY, replace(MADE, scores=scores), FIGURES)
    assert many is not None
    assert not many.few
    assert "First words p50" not in {column.label for column in many.columns}


def test_tables_show_only_those_whom_they_concern() -> None:
    """The two-pass table has the two-pass system alone; its definitions name fields that scores have."""
    shown = table(TWO_PASSES, MADE, FIGURES)
    assert shown is not None
    assert ["local"] == [row.system for row in shown.rows]
    fields = {column.field.partition(".")[0] for plan in PLANS for column in plan.columns}
    assert fields <= set(Score.__dataclass_fields__)


def test_pairs_say_who_has_fewer_errors() -> None:
    """The sign of the difference and p decide what is said."""

    def says(difference: float, p: float | None) -> str:
        pair = Pair("a", "b", Interval(difference, difference - 0.3, difference + 0.3), p)
        return parts.duels(replace(MADE, pairs=(pair,)), FIGURES)[0].says

    assert ("a has fewer errors", "b has fewer errors") == (says(-0.1, 0.01), says(0.1, 0.01))
    assert ("no difference shown", "too little to tell") == (says(-0.1, 0.2), says(0.1, None))


def test_a_view_has_the_differences_and_what_was_seen() -> None:
    """Struck and put words are the alignment's, frames are what was shown, in order, with what was rewritten."""
    view = views(MADE, {}, FIGURES)[2]
    local = view.takes[0]
    changed = [([w.text for w in p.removed], [w.text for w in p.put]) for p in local.pieces if p.kind != "equal"]
    assert [(["spent"], ["spend"])] == changed
    assert ("6.2 %", "1 substituted") == (local.rate, local.counts)
    frames = json.loads(view.data)["takes"][0]
    cell = next(cell for cell in MADE.cells if (cell.recording, cell.system) == ("roadmap", "local"))
    assert [round(seen.at) for seen in cell.seen] == [frame[0] for frame in frames]
    at, number, status, second, text, rewritten = frames[-1]
    assert (0, 2, 1, cell.text) == (number, status, second, text)
    assert ["much"] == [text[start:end] for start, end in rewritten]
    assert at <= view.end


def test_what_was_not_played_in_real_time_has_no_timeline() -> None:
    """Its times mean nothing, so none are shown."""
    made = replace(MADE, cells=tuple(replace(cell, realtime=False) for cell in MADE.cells))
    view = views(made, {}, FIGURES)[0]
    assert view.end == MADE.recordings[0].ms
    assert all(not take.marks and not take.latency for take in view.takes)
    assert [[]] * len(SYSTEMS) == json.loads(view.data)["takes"]


def test_scripts_get_what_was_said_whatever_it_is() -> None:
    """JSON within HTML has no character that could end it, and is what it was."""
    said = f"{EVIL}</script><!-- & \u2028\u2029 日本 𝄞"
    written = in_html({"said": said})
    assert not set("<>&\u2028\u2029") & set(written)
    assert {"said": said} == json.loads(written)


def test_costs_in_another_currency_keep_it() -> None:
    """A cost is written with the sign of its own currency."""
    money = MADE.scores[0].cost_per_hour
    assert money is not None
    assert "€0.05" == FIGURES.money(Money(money.amount, "EUR"))
