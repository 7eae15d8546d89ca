"""The messages of the socket: what is read, what is refused, and that the published schema tells the truth."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.schema_strategy import nearly, valid

from twopass.cost.prices.rates import Money
from twopass.cost.prices.running import CostLine, CostSummary
from twopass.errors import ProtocolError, TooManySessions
from twopass.gateway import messages
from twopass.gateway.encoding import encoded, error
from twopass.gateway.messages import End, Finalize, Start, parse_client, parse_server
from twopass.outbox import (
    Acknowledged,
    AudioSkipped,
    CostChanged,
    Event,
    Expiring,
    GapMarked,
    Problem,
    ProviderTrouble,
    SessionEnded,
    SpeechChanged,
)
from twopass.types import Clock, Pass, Revision, Status, Word

SCHEMA: dict[str, Any] = messages.schema()
CLIENT, SERVER = SCHEMA["client"], SCHEMA["server"]
WORD = Word("Hello,", 10, 300, confidence=0.5, speaker="A")
REVISION = Revision(
    "0-10", 3, Status.FINAL, 10, 900, (WORD, Word("there", 300, 900, glued=True)), Pass.SECOND, 2, None, (1,), 1, "en"
)
EVENTS: list[Event] = [
    REVISION,
    Revision("0-10", 1, Status.INTERIM, 10, 10, (), Pass.FIRST, degraded="timeout"),
    SpeechChanged("started", 10, 0),
    Acknowledged(16_000),
    ProviderTrouble(Pass.SECOND, "whisper", "retrying", "it died", 1),
    CostChanged(
        1000,
        CostSummary(
            (
                CostLine(Pass.FIRST, "pocketsphinx", "cpu", Clock.CPU_BUSY, 0.1, Money(Decimal("1e-9"), "USD")),
                CostLine(Pass.SECOND, "vendor", "std", Clock.AUDIO_SENT, 2.0, None),
            ),
            (Money(Decimal("1e-9"), "USD"),),
            ("vendor std",),
        ),
    ),
    Problem(ProtocolError("No.", fix="Yes."), fatal=False),
    SessionEnded(1000, 2, 3, 1),
    GapMarked(10, 20),
    AudioSkipped(10, 900, 5_000, channel=1),
    AudioSkipped(10, 900, 0, over=True),
    Expiring(60.0),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_is_a_message_of_the_schema(event: Event) -> None:
    """Whatever a session tells can be written, fits the published schema, and is read back the same."""
    message = encoded(7, event)
    text = message.model_dump_json(by_alias=True)
    jsonschema_rs.validator_for(SERVER).validate(json.loads(text))
    assert message == parse_server(text)
    assert 7 == message.event


def test_errors_tell_programs_and_people_what_to_do() -> None:
    """Code and retryable for programs, message and fix for people."""
    message = error(1, TooManySessions("All 3 sessions are taken.", fix="Try again later."), fatal=True)
    told = ("too_many_sessions", "All 3 sessions are taken.", "Try again later.", True, True)
    assert told == (message.code, message.message, message.fix, message.retryable, message.fatal)


def test_small_amounts_are_no_zero_and_no_exponent() -> None:
    """Money is written as a plain decimal; without a price there is none."""
    message = encoded(1, EVENTS[5])
    assert isinstance(message, messages.Cost)
    assert ["0.00000000", None] == [line.amount for line in message.lines]
    assert ("vendor std",) == message.unpriced


@given(valid(CLIENT))
def test_what_fits_the_schema_is_understood(document: dict[str, Any]) -> None:
    """Everything that the published schema allows is read, to the last field."""
    message = parse_client(json.dumps(document)).model_dump(mode="json")
    assert document == {name: _only(value, document[name]) for name, value in message.items() if name in document}


def _only(value: Any, asked: Any) -> Any:
    return {name: value[name] for name in asked} if isinstance(asked, dict) else value


@given(nearly(CLIENT))
def test_schema_and_server_agree_on_what_is_wrong(document: Any) -> None:
    """What nearly fits is refused if, and only if, the published schema refuses it."""
    fits = jsonschema_rs.validator_for(CLIENT).is_valid(document)
    with contextlib.nullcontext() if fits else pytest.raises(ProtocolError):
        parse_client(json.dumps(document))


@given(
    st.text()
    | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(
        json.dumps
    )
)
def test_anything_else_is_a_protocol_error(text: str) -> None:
    """Any other text is refused with a sentence of bounded length."""
    with pytest.raises(ProtocolError) as caught:
        parse_client(text)
    assert "bad_message" == caught.value.code
    assert len(str(caught.value)) < 500


def test_defaults_are_those_of_live_audio() -> None:
    """The shortest start means 16 kHz mono PCM, in real time, with the server's default profile."""
    assert Start() == parse_client('{"type": "start"}')
    assert Start().audio == messages.ClientAudio()
    assert ("pcm_s16le", 16_000, 1, "raw") == tuple(Start().audio.model_dump().values())
    assert (None, None, True, False) == (Start().profile, Start().language, Start().realtime, Start().separate_channels)
    assert (End(), Finalize()) == (parse_client('{"type": "end"}'), parse_client('{"type": "finalize"}'))
