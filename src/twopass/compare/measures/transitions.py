"""
Word transition networks: several transcripts of one recording, laid side by side word by word. Pure.

Made as ROVER makes them (J. G. Fiscus, "A post-processing system to yield reduced word error rates: Recognizer Output
Voting Error Reduction (ROVER)", ASRU 1997, section 2.1): the first transcript is the network; each further one is
aligned with all that is there by dynamic programming, and becomes a part of it.

Where we differ: an arc's cost there is nothing if any transcript in the network has the word. Here it is the sum over
all transcripts in the network (a sum of pairs, with the costs of NIST's sclite: 4 for another word, 3 for one too many
or too few), so that a word goes where most have it. Among equally cheap alignments the one nearest in time is taken:
of a word said twice and heard once it is then the right one that was heard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from twopass.types import Word, Words

Slot: TypeAlias = tuple[Word | None, ...]
"""What each transcript has at one place; None: nothing (ROVER's NULL arc). At least one has a word."""
Network: TypeAlias = tuple[Slot, ...]

OTHER_WORD = 4
NO_WORD = 3
_COST = 1_000_000_000
"""One unit of cost: more than the times of any recording's words can add up to, as they only decide between equals."""
_FAR_MS = 2_000


class _Move(IntEnum):
    MEET = 0
    INSERT = 1
    SKIP = 2


def network(hypotheses: Sequence[Words]) -> Network:
    """
    Lay transcripts side by side, in this order: slot[i] is what hypotheses[i] has there.

    Words are compared by their text as it is: bring them normalized. Takes a byte for each pair of a word and a slot
    (80 MB for an hour of speech).
    """
    slots: Network = ()
    for voters, words in enumerate(hypotheses):
        slots = tuple(_joined(slots, words, voters))
    return slots


def _joined(slots: Network, words: Words, voters: int) -> Iterator[Slot]:
    nothing: Slot = (None,) * voters
    i = j = 0
    for move in _path(_moves(slots, words, voters)):
        word = None if move == _Move.SKIP else words[i]
        slot = nothing if move == _Move.INSERT else slots[j]
        i, j = i + (move != _Move.SKIP), j + (move != _Move.INSERT)
        yield (*slot, word)


def _path(moves: NDArray[np.uint8]) -> list[int]:
    """The moves of the cheapest alignment, from its begin."""
    i, j = moves.shape[0] - 1, moves.shape[1] - 1
    path = []
    while i or j:
        move = int(moves[i, j])
        path.append(move)
        i, j = i - (move != _Move.SKIP), j - (move != _Move.INSERT)
    return path[::-1]


def _moves(slots: Network, words: Words, voters: int) -> NDArray[np.uint8]:
    """For the first i words and the first j slots: the last move of their cheapest alignment."""
    meeting = _Meeting(slots)
    moves = np.full((len(words) + 1, len(slots) + 1), _Move.SKIP, np.uint8)
    skipped = np.cumsum([0, *meeting.skipping], dtype=np.int64)
    row = skipped
    for i, word in enumerate(words, start=1):
        met, inserted = row[:-1] + meeting.costs(word), row + voters * NO_WORD * _COST
        entered = inserted.copy()
        np.minimum(inserted[1:], met, out=entered[1:])
        # Slots are then skipped from the cheapest entry on the left: a running minimum, less what skipping costs.
        row = skipped + np.minimum.accumulate(entered - skipped)
        moves[i][row == inserted] = _Move.INSERT
        moves[i, 1:][row[1:] == met] = _Move.MEET
    return moves


class _Meeting:
    """
    What it costs that a word joins each of the slots; all slots at once, as this is done for every word.

    Attributes:
        skipping: What it costs that none does.
    """

    def __init__(self, slots: Network) -> None:
        filled = [[word for word in slot if word is not None] for slot in slots]
        words_there = np.array([len(words) for words in filled], np.int64)
        empty_there = np.array([len(slot) for slot in slots], np.int64) - words_there
        self.skipping = words_there * NO_WORD * _COST
        self._stranger = (words_there * OTHER_WORD + empty_there * NO_WORD) * _COST
        self._middles = np.array([sum(w.middle for w in words) / len(words) for words in filled], np.float64)
        friends = defaultdict(list)
        for j, words in enumerate(filled):
            for word in words:
                friends[word.text].append(j)
        self._friends = {text: np.array(places) for text, places in friends.items()}

    def costs(self, word: Word) -> NDArray[np.int64]:
        """One for each slot."""
        apart: NDArray[np.int64] = np.minimum(np.abs(self._middles - word.middle), _FAR_MS).astype(np.int64)
        costs = self._stranger + apart
        if (friends := self._friends.get(word.text)) is not None:
            np.subtract.at(costs, friends, OTHER_WORD * _COST)
        return costs
