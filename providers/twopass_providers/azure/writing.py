"""
The written words with the times of the spoken ones. Pure.

Azure says what was spoken, word by word with times ("twenty five dollars"), and beside it how that is written
("$25."). Capitals and punctuation belong to the words. Where as many words are written as were spoken, or one for
several, times are true; else they are shared out within what was spoken, and marked as estimated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from twopass.types import Word, Words

_MARKS = ".,?!;:…¿¡。，、？！；：·｡､"
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A spoken word; ms."""

    text: str
    start: int
    end: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the written text; `glued`: without a space before it."""

    text: str
    glued: bool = False


def written(text: str, spoken: Sequence[Spoken]) -> Words:
    """The words of a text, with the times of these spoken words."""
    return tuple(_aligned(_tokens(text), spoken)) if spoken else ()


def estimated(text: str, start: int, end: int) -> Words:
    """The words of a text of which only the times of the whole are known."""
    return tuple(_shared([piece for token in _tokens(text) for piece in _characters(token)], start, end))


def unpunctuated(text: str) -> str:
    """The same text without punctuation; what stands inside of a word stays ("it's", "3.5")."""
    tokens = (token.strip(_MARKS) for token in text.split())
    return " ".join((_WITHOUT_SPACES.search(t) and t.translate(_NO_MARKS)) or t for t in tokens if t)


_NO_MARKS = {ord(mark): None for mark in "。，、？！；：｡､"}


def _key(text: str) -> str:
    """What two writings of a word have in common."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _tokens(text: str) -> list[_Token]:
    """Split at spaces; punctuation that stands alone belongs to the word before it."""
    found: list[_Token] = []
    for part in text.split():
        if found and _only_punctuation(part):
            found[-1] = _Token(f"{found[-1].text} {part}")
        else:
            found.append(_Token(part))
    return found


def _only_punctuation(text: str) -> bool:
    stars = set(text) == {"*"}  # a masked word
    return not stars and all(unicodedata.category(character).startswith("P") for character in text)


def _characters(token: _Token) -> Iterator[_Token]:
    """One by one in scripts that write no spaces; punctuation belongs to the one before it."""
    if not _WITHOUT_SPACES.search(token.text):
        yield token
        return
    pieces: list[str] = []
    for character in token.text:
        follows = pieces and (
            unicodedata.category(character)[0] in "PM" or (_latin(character) and _latin(pieces[-1][-1]))
        )
        if follows:
            pieces[-1] += character
        else:
            pieces.append(character)
    for index, piece in enumerate(pieces):
        yield _Token(piece, glued=token.glued or index > 0)


def _latin(character: str) -> bool:
    return character.isalnum() and not _WITHOUT_SPACES.match(character)


def _aligned(tokens: Sequence[_Token], spoken: Sequence[Spoken], *, guessed: bool = False) -> Iterator[Word]:
    keys = [_key(token.text) for token in tokens], [_key(each.text) for each in spoken]
    for tag, i, i_end, j, j_end in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        part, said = tokens[i:i_end], spoken[j:j_end]
        if tag == "delete":  # nobody spoke it
            before = spoken[j - 1].end if j else spoken[0].start
            yield from _shared(part, before, spoken[j].start if j < len(spoken) else before)
        elif tag != "insert":  # what is spoken and not written has no word
            yield from _block(part, said, guessed)


def _block(tokens: Sequence[_Token], spoken: Sequence[Spoken], guessed: bool) -> Iterator[Word]:
    if len(tokens) == len(spoken):
        yield from (_word(token, said, guessed) for token, said in zip(tokens, spoken, strict=True))
        return
    letters = "".join(_key(token.text) for token in tokens)
    if letters and letters == "".join(_key(said.text) for said in spoken):
        yield from _cut(tokens, spoken, guessed)
        return
    finer = [piece for token in tokens for piece in _characters(token)]
    letters_said = [letter for said in spoken for letter in _spelled(said)]
    if len(finer) > len(tokens) and letters_said:
        yield from _aligned(finer, letters_said, guessed=True)
    elif len(tokens) == 1:
        yield _word(tokens[0], _span(spoken), guessed)
    else:
        yield from _shared(tokens, spoken[0].start, spoken[-1].end)


def _word(token: _Token, said: Spoken, guessed: bool) -> Word:
    return Word(token.text, said.start, said.end, said.confidence, estimated=guessed, glued=token.glued)


def _span(spoken: Sequence[Spoken]) -> Spoken:
    sure = [said.confidence for said in spoken if said.confidence is not None]
    return Spoken("", spoken[0].start, spoken[-1].end, min(sure, default=None))


def _spelled(said: Spoken) -> Iterator[Spoken]:
    """Its letters, which share its time."""
    letters = [_Token(letter) for letter in said.text if letter.isalnum()]
    for word in _shared(letters, said.start, said.end):
        yield Spoken(word.text, word.start, word.end, said.confidence)


def _shared(tokens: Sequence[_Token], start: int, end: int) -> Iterator[Word]:
    """Share out a span by the number of characters."""
    total, done = sum(len(token.text) for token in tokens), 0
    for token in tokens:
        left, done = done, done + len(token.text)
        times = (start + (end - start) * left // total, start + (end - start) * done // total)
        yield Word(token.text, *times, estimated=True, glued=token.glued)


def _cut(tokens: Sequence[_Token], spoken: Sequence[Spoken], guessed: bool) -> Iterator[Word]:
    """The same letters, but spaces in other places: cut at both. What is cut within a spoken word is estimated."""
    pieces = list(_pieces(tokens, [len(_key(said.text)) for said in spoken]))
    for index, said in enumerate(spoken):
        mine = [token for token, owner in pieces if owner == index]
        if len(mine) == 1:
            yield _word(mine[0], said, guessed)
        else:
            yield from _shared(mine, said.start, said.end)


def _pieces(tokens: Iterable[_Token], lengths: Sequence[int]) -> Iterator[tuple[_Token, int]]:
    """Pieces of the tokens, each with the number of the spoken word that it belongs to."""
    owner, left = 0, lengths[0]
    for token in tokens:
        text, glued = "", token.glued
        for character in token.text:
            size = len(_key(character))
            while size and left <= 0 and owner + 1 < len(lengths):
                if text:
                    yield _Token(text, glued), owner
                    text, glued = "", True
                owner += 1
                left = lengths[owner]
            text += character
            left -= size
        if text:
            yield _Token(text, glued), owner
