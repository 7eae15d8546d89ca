"""What travels: any message comes out as it went in, and no bytes do harm."""

from __future__ import annotations

import contextlib
import random

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twopass import errors
from twopass.cluster.flac import from_flac, to_flac
from twopass.cluster.wire import (
    VERSION,
    DeadLetter,
    Failure,
    JobId,
    Message,
    Options,
    Result,
    Utterance,
    Wish,
    decode,
    encode,
)
from twopass.errors import RecognizerError, RecognizerTimeout, WireError
from twopass.recognizers import Profanity, StreamOptions
from twopass.types import Clock, Evidence, Hypothesis, Pass, Reason, Usage, Word

_ms = st.integers(-(2**40), 2**53)
_floats = st.floats(allow_nan=False)
_maybe = st.none() | _floats
_ids = st.builds(JobId, st.text(), st.integers(0, 2**53))
_words = st.builds(Word, st.text(), _ms, _ms, _maybe, st.booleans(), st.booleans(), st.none() | st.text())
_evidence = st.builds(Evidence, _maybe, _maybe, _maybe)
_hypotheses = st.builds(
    Hypothesis,
    _ms,
    _ms,
    st.lists(_words, max_size=4).map(tuple),
    st.booleans(),
    st.integers(0, 9),
    st.none() | st.text(),
    _evidence,
)
_texts = st.lists(st.text(), max_size=3).map(tuple)
_usages = st.builds(
    Usage,
    st.text(),
    st.text(),
    st.sampled_from(Clock),
    _floats,
    st.sampled_from(Pass),
    st.sampled_from(Reason),
    st.text(),
    _texts,
)
_options = st.builds(
    StreamOptions,
    st.none() | st.text(),
    st.text(),
    _texts,
    _texts,
    st.none() | st.booleans(),
    st.none() | st.sampled_from(Profanity),
    st.booleans(),
)
_numbers = st.integers(1, 1000)
_utterances = st.builds(
    Utterance,
    _ids,
    _numbers,
    st.text(),
    _options.map(Options.of),
    _ms,
    st.none() | _ms,
    st.booleans(),
    _numbers,
    st.binary(max_size=50),
)
_failures = st.builds(Failure, st.text(), st.text(), st.text(), st.text(), st.text(), st.booleans())
_results = st.builds(
    Result,
    _ids,
    _numbers,
    st.text(),
    _numbers,
    st.none() | _hypotheses,
    st.none() | _failures,
    st.lists(_usages, max_size=2).map(tuple),
)
_wishes = st.builds(Wish, _ids, st.none() | _ms)
_letters = st.builds(DeadLetter, st.text(), st.text(), st.text(), st.text(), _ms, st.binary(max_size=50))
_messages = _utterances | _results | _wishes | _letters


@given(_messages)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    """Every field of every kind, with its type."""
    again = decode(type(message), encode(message))
    assert (message, repr(message)) == (again, repr(again))


@given(st.binary(max_size=300) | _messages.map(encode), st.sampled_from([Utterance, Result, Wish, DeadLetter]))
@example(b"2P\x01\x01\xff\xff\xff\xff", Utterance)
@example(b"2P\x01\x03\x01\x00\x00\x00\x90", Wish)
def test_no_bytes_do_harm(data: bytes, wanted: type[Message]) -> None:
    """Anything is a message of the kind that is wanted or a WireError."""
    with contextlib.suppress(WireError):
        assert isinstance(decode(wanted, data), wanted)


@given(_messages, st.randoms(use_true_random=False))
def test_a_damaged_message_is_a_message_or_an_error(message: Message, chance: random.Random) -> None:
    """Bytes that changed or are missing never raise anything but WireError."""
    data = bytearray(encode(message))
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    cut = bytes(data[: chance.randrange(len(data) + 1)]) if chance.random() < 0.5 else bytes(data)
    with contextlib.suppress(WireError):
        assert isinstance(decode(type(message), cut), type(message))


def _packed(header: object, *, version: int = VERSION, kind: int = 3) -> bytes:
    packed: bytes = msgpack.packb(header)
    return b"2P" + bytes([version, kind]) + len(packed).to_bytes(4, "little") + packed


_WISH = {"id": {"gateway": "g", "number": 1}}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "garbage"),
        (b"GET / HTTP/1.1\r\n", "garbage"),
        (_packed(_WISH, version=2), "unknown_version"),
        (_packed(_WISH, kind=2), "wrong_kind"),
        (_packed(_WISH)[:-1], "truncated"),
        (_packed([1, 2, 3]), "bad_header"),
        (_packed({1: 2}), "bad_header"),
        (_packed({"id": {"gateway": "g", "number": "one"}}), "bad_field"),
        (_packed({}), "bad_field"),
    ],
)
def test_the_error_says_what_is_wrong(data: bytes, code: str) -> None:
    """The reason that will stand on the dead letter."""
    with pytest.raises(WireError) as caught:
        decode(Wish, data)
    assert code == caught.value.code


def test_fields_that_are_not_known_are_skipped() -> None:
    """A newer release may add fields without a new version."""
    assert decode(Wish, _packed(_WISH | {"mood": "good"})) == Wish(JobId("g", 1))


@given(_options)
def test_options_come_out_as_they_went_in(options: StreamOptions) -> None:
    """All that a recognizer may read of them."""
    assert options == Options.of(options).stream_options


def test_errors_come_out_as_what_they_were() -> None:
    """Every error of recognizers, with its class and fields."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RecognizerError)]
    assert RecognizerTimeout in kinds
    for kind in kinds:
        error = kind("It broke.", provider="p", code="c", fix="Mend it.")
        again = Failure.of(error).error
        assert (type(error), error.__dict__) == (type(again), again.__dict__)


@pytest.mark.parametrize("kind", ["NewerError", "annotations", "ConfigError"])
def test_an_error_that_is_not_known_is_a_recognizers_error(kind: str) -> None:
    """A newer worker may have kinds that this gateway does not know; and nothing else is ever made from a name."""
    assert type(Failure(kind, "c", "m", "", "p", False).error) is RecognizerError


@given(st.integers(0, 40_000), st.integers(0, 2**32), st.sampled_from([0, 3, 3_000, 32_767]))
@example(1, 0, 32_767)
def test_audio_comes_out_as_it_went_in(samples: int, seed: int, loudness: int) -> None:
    """Every sample, of silence and of noise, of any length."""
    noise = np.random.default_rng(seed).integers(-loudness, loudness + 1, samples).astype("<i2").tobytes()
    assert noise == from_flac(to_flac(noise), samples)


@given(st.binary(max_size=200), st.integers(0, 100))
@example(b"", 5)
@example(to_flac(bytes(64)), 31)
@example(to_flac(bytes(64)), 33)
@example(to_flac(bytes(64)), 10**9)
@example(to_flac(bytes(6400))[:-9], 3200)
def test_audio_that_is_not_as_announced_is_an_error(data: bytes, samples: int) -> None:
    """Garbage, too much, too little, and more than an utterance can have."""
    if (data, samples) == (b"", 0):
        return
    with pytest.raises(WireError):
        from_flac(data, samples)
