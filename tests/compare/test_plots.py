"""The plots: the right systems are on the Pareto front, and what a plot shows is there in words too."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from tests.compare.comparisons import comparison

from twopass.compare.page.drawings import drawings
from twopass.compare.page.figures import Figures
from twopass.compare.page.plots import Look, Point, against, pareto

FIGURES = Figures()
DRAWN = drawings(comparison(), FIGURES)
SOME = st.integers(0, 4).map(float)


def point(x: float, y: float, name: str = "", counts: bool = True) -> Point:
    """A system there."""
    return Point(name, x, y, None, None, Look(0), counts)


@given(st.lists(st.tuples(SOME, SOME, st.booleans()), max_size=7))
def test_front_is_what_nobody_beats(places: list[tuple[float, float, bool]]) -> None:
    """The front's places are those that no other is at least as good as both ways and better than one way."""
    points = [point(x, y, counts=counts) for x, y, counts in places]
    rivals = [(p.x, p.y) for p in points if p.counts]
    unbeaten = {(x, y) for x, y in rivals if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in rivals)}
    front = [(p.x, p.y) for p in pareto(points)]
    assert unbeaten == set(front)
    assert front == sorted(front)


def test_plots_are_svg_with_a_text_for_those_who_cannot_see() -> None:
    """Each plot is well-formed, in the page's colours, and its text has every system and its figures."""
    assert ["cost", "latency", "conditions"] == list(DRAWN)
    for drawing in DRAWN.values():
        root = ElementTree.fromstring(re.sub(r"\bxlink:", "", str(drawing.svg)))
        words = root.get("aria-label") or ""
        assert root.get("role") == "img"
        assert "local" in words
        assert "google (stand-in)" in words
        assert "var(--c1)" in drawing.svg
        assert not re.search(r"#0[1-8]0a0b|#0[1-4]0[1-4]0[1-4]", drawing.svg)
    assert "local: 0.99 s, 2.9 %" in DRAWN["latency"].svg


def test_what_is_not_known_is_not_plotted_but_named() -> None:
    """A system without a price is no point at 0; the caption says that it is missing."""
    cost = DRAWN["cost"]
    assert "whisper" not in cost.svg
    assert "whisper" in cost.caption


def test_stand_ins_are_not_on_the_front() -> None:
    """The stand-in has the fastest finals of all, but does not count."""
    assert "On the Pareto front: pocketsphinx, local." in DRAWN["latency"].svg


def test_one_point_is_no_plot() -> None:
    """With fewer than two systems that have a figure there is nothing to plot."""
    made = comparison()
    alone = replace(made, scores=made.scores[:1], conditions={})
    assert {} == drawings(alone, FIGURES)


def test_costs_of_different_magnitude_and_of_nothing_are_drawn() -> None:
    """Costs over factors of a thousand, costs of 0 and systems at one place make a plot with all names."""
    for xs in ((0.001, 0.1, 9.0), (0.0, 0.0, 5.0), (0.0, 0.0, 0.0)):
        points = [point(x, 0.1 * number, f"n{number}") for number, x in enumerate(xs)]
        svg = against("p", points, "cost", "errors", str, "Cost.")
        assert all(f">n{number}<" in svg for number in range(3))
