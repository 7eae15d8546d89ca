"""The segmenter: from probabilities to utterances, as a state machine."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twopass.segmenter import (
    FRAME_MS,
    Ended,
    Paused,
    Resumed,
    Segmenter,
    SegmenterSettings,
    SegmentEvent,
    Started,
)

SETTINGS = SegmenterSettings(max_utterance=6_000, cut_search=3_000, cut_margin=512, min_cut=1_000)


def run(frames: list[tuple[float, float]], settings: SegmenterSettings = SETTINGS) -> list[SegmentEvent]:
    """All events of a recording."""
    segmenter = Segmenter(settings)
    events = [event for probability, loudness in frames for event in segmenter.push(probability, loudness)]
    return events + segmenter.finish()


def speech(ms: int, loudness: float = 0.5) -> list[tuple[float, float]]:
    """Frames in which somebody speaks."""
    return [(0.9, loudness)] * (ms // FRAME_MS)


def silence(ms: int) -> list[tuple[float, float]]:
    """Frames in which nobody does."""
    return [(0.1, 0.0)] * (ms // FRAME_MS)


def test_an_utterance_is_started_paused_and_ended_with_rolls_on_both_sides() -> None:
    """Speech between silences: pre-roll before it, post-roll after it, a pause before the end."""
    events = run(silence(960) + speech(960) + silence(960))
    start, end = 960 - SETTINGS.pre_roll, 1_920 + SETTINGS.post_roll
    assert [Started(start), Paused(start, end), Ended(start, end, 960)] == events


def test_a_click_is_not_an_utterance() -> None:
    """Less speech than `min_speech` starts nothing."""
    assert [] == run(silence(500) + speech(96) + silence(500) + speech(64) + silence(500))


def test_speech_with_dropouts_still_starts() -> None:
    """A few weak frames at the onset do not restart the count."""
    events = run(silence(320) + speech(96) + silence(32) + speech(128) + silence(800))
    assert [Started, Paused, Ended] == [type(event) for event in events]
    assert Started(0) == events[0]


def test_a_short_silence_is_taken_back() -> None:
    """Speculation begins on the short silence and is revoked when speech goes on."""
    events = run(speech(640) + silence(320) + speech(640) + silence(800))
    assert [Started, Paused, Resumed, Paused, Ended] == [type(event) for event in events]


def test_hysteresis_keeps_a_fading_voice() -> None:
    """Between `release` and `threshold` running speech goes on, but none begins."""
    fading = [(0.4, 0.2)] * 40
    assert [] == run(fading)
    assert [Started, Ended] == [type(event) for event in run(speech(640) + fading)]


def test_endless_speech_is_cut_at_the_quietest_place() -> None:
    """At the maximum length the cut goes to the least loud 96 ms of the search window, in the middle of it."""
    frames = speech(4_000) + speech(96, loudness=0.01) + speech(4_000)
    ended = next(event for event in run(frames) if isinstance(event, Ended))
    assert ended.cut
    assert 4_000 <= ended.end <= 4_096


def test_both_sides_of_a_cut_touch_and_are_marked() -> None:
    """A forced cut ends one utterance and starts the next at the same millisecond."""
    events = run(speech(14_000) + silence(800))
    cuts = [(a, b) for a, b in pairwise(events) if isinstance(a, Ended) and a.cut]
    assert 2 == len(cuts)
    assert all(b == Started(a.end, cut=a.cut) for a, b in cuts)


def test_finish_in_the_middle_of_speech_ends_the_utterance() -> None:
    """Nothing is left open when the audio is over."""
    assert Ended(0, 640, 640) == run(speech(640))[-1]


frame_lists = st.lists(
    st.tuples(st.sampled_from([0.05, 0.4, 0.6, 0.95]), st.integers(1, 40)), min_size=1, max_size=40
).map(lambda runs: [(p, p) for p, count in runs for _ in range(count)])


@given(frame_lists)
def test_utterances_are_ordered_bounded_and_paired(frames: list[tuple[float, float]]) -> None:
    """For any probabilities: starts and ends alternate, nothing overlaps, nothing is longer than allowed or empty."""
    spans = []
    open_start: int | None = None
    for event in run(frames):
        if isinstance(event, Started):
            assert open_start is None
            open_start = event.start
        elif isinstance(event, Ended):
            assert event.start == open_start
            spans.append((event.start, event.end))
            open_start = None
        else:
            assert event.start == open_start
    assert open_start is None
    assert all(0 <= start < end <= len(frames) * FRAME_MS for start, end in spans)
    assert all(end - start <= SETTINGS.max_utterance for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))


@given(frame_lists)
def test_settled_is_a_promise(frames: list[tuple[float, float]]) -> None:
    """No utterance ever starts before a time that was called settled, and settled time never goes back."""
    segmenter, settled = Segmenter(SETTINGS), 0
    for probability, loudness in frames:
        for event in segmenter.push(probability, loudness):
            assert not isinstance(event, Started) or event.start >= settled
        assert segmenter.settled >= settled
        settled = segmenter.settled


@given(frame_lists)
def test_speech_is_never_outside_of_an_utterance_unless_it_was_a_click(frames: list[tuple[float, float]]) -> None:
    """Every run of clear speech that is long enough lies within utterances."""
    spans = [(e.start, e.end) for e in run(frames) if isinstance(e, Ended)]
    at = 0
    while at < len(frames):
        length = next((i for i, (p, _) in enumerate(frames[at:]) if p < 0.5), len(frames) - at)
        if length * FRAME_MS >= SETTINGS.min_speech:
            middle = (at + length / 2) * FRAME_MS
            assert any(start <= middle <= end for start, end in spans)
        at += max(1, length)
