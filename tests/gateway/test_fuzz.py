"""
Nonsense, made by machines: whatever is sent, the answer is one that the published schema knows, and the server lives.

TWOPASS_FUZZ=long makes many times more of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.conftest import CONFIG, PATIENCE, Server
from tests.gateway.schema_strategy import JUNK, nearly, valid
from tests.gateway.stream_driver import END, Heard, chunks, encoded, folded, in_order, start, talk, transcribed
from tests.speech import load

from twopass.audio import Encoding
from twopass.config import parse
from twopass.gateway.app import create_app
from twopass.gateway.messages import Framing, schema

LONG = os.environ.get("TWOPASS_FUZZ") == "long"
pytestmark = pytest.mark.timeout(7_200 if LONG else 300)
SHORT = load("short_slt")
API = schemathesis.openapi.from_dict(create_app(parse(CONFIG)).openapi())
OPERATIONS: list[Any] = [operation.ok() for operation in API.get_all_operations()]  # type: ignore[union-attr]
CLIENT: dict[str, Any] = schema()["client"]  # type: ignore[assignment]
CLOSE_CODES = {1000, 1009, 4400, 4404, 4503}
Frames: TypeAlias = list[str | bytes]

PIECES = list(chunks(SHORT.pcm, 30_000))


@dataclass(frozen=True)
class Speech:
    """A piece of the recording, with a sample index in front or without."""

    piece: int
    index: int | None

    @property
    def frame(self) -> bytes:
        """As it is sent."""
        return (b"" if self.index is None else struct.pack(">Q", self.index)) + PIECES[self.piece]


speech = st.builds(Speech, st.integers(0, 3), st.none())
indexed = st.builds(Speech, st.integers(0, 3), st.integers(0, 1 << 17) | st.integers(0, (1 << 64) - 1))
noise = st.binary(max_size=3_000)
said = nearly(CLIENT).map(json.dumps) | JUNK.map(json.dumps) | st.text(max_size=50)
starts = st.builds(
    lambda audio, realtime, separate: start(audio=audio, realtime=realtime, separate_channels=separate),
    st.fixed_dictionaries(
        {
            "encoding": st.sampled_from(list(Encoding)),
            "framing": st.sampled_from([Framing.RAW, Framing.RAW, Framing.INDEXED]),
            "sample_rate": st.integers(8_000, 48_000),
            "channels": st.integers(1, 2),
        }
    ),
    st.booleans(),
    st.booleans(),
)


@pytest.fixture(scope="module", autouse=True)
def still_alive(server: Server) -> Iterator[None]:
    """After all this the server logged no failure of its own, holds no session, and still understands speech."""
    before = len(server.log.read_text())
    yield
    heard = asyncio.run(transcribed(server.url, chunks(SHORT.pcm)))
    assert folded(SHORT.text) == folded(heard.text())
    log = server.log.read_text()[before:]
    assert "Traceback" not in log
    assert "connection failed" not in log


@pytest.fixture(scope="module")
def published(server_url: str) -> jsonschema_rs.Validator:
    """Checks what the server says against its own schema."""
    return jsonschema_rs.validator_for(
        httpx.get(f"{server_url}/v1/stream/schema.json", timeout=PATIENCE).json()["server"]
    )


def check(heard: Heard, published: jsonschema_rs.Validator) -> None:
    """What must hold of every answer."""
    for message in heard.messages:
        published.validate(json.loads(message.model_dump_json(by_alias=True)))
    assert heard.code in CLOSE_CODES
    assert heard.messages or heard.code == 1009
    assert all(error.fix for error in heard.errors)
    if heard.code == 1000:
        in_order(heard)
    elif heard.code == 4400:
        assert heard.errors[-1].fatal


@settings(max_examples=2_000 if LONG else 40)
@given(first=st.just(start()) | starts, rest=st.lists(speech | indexed | noise | said, max_size=12))
def test_sessions_of_nonsense(
    server_url: str, published: jsonschema_rs.Validator, first: str, rest: Sequence[str | bytes | Speech]
) -> None:
    """After a good start: audio, noise, wrong indexes, valid and broken messages in any order."""
    frames = [each.frame if isinstance(each, Speech) else each for each in rest]
    check(asyncio.run(talk(server_url, [first, *frames, END])), published)


@settings(max_examples=2_000 if LONG else 40)
@given(frames=st.lists(said | valid(CLIENT).map(json.dumps) | st.binary(max_size=99), min_size=1, max_size=4))
def test_beginnings_of_nonsense(server_url: str, published: jsonschema_rs.Validator, frames: Frames) -> None:
    """Any message may come first; most of them end the matter."""
    check(asyncio.run(talk(server_url, [*frames, END])), published)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@settings(max_examples=300 if LONG else 15)
@given(data=st.data())
def test_rest_keeps_its_promises(server_url: str, operation: Any, data: st.DataObject) -> None:
    """Valid and invalid requests, made from the OpenAPI document, get only answers that it describes."""
    modes = GenerationMode if operation.body else [GenerationMode.POSITIVE]
    for mode in modes:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.call_and_validate(base_url=server_url, excluded_checks=[positive_data_acceptance])


@settings(max_examples=100 if LONG else 5)
@given(data=st.data())
def test_good_uploads_are_answered_as_described(server_url: str, data: st.DataObject) -> None:
    """A recording with any valid options is transcribed, or its options are refused, as the document says."""
    upload = next(operation for operation in OPERATIONS if operation.body)
    case = data.draw(upload.as_strategy())
    case.body["file"] = encoded(SHORT, "flac", "flac")
    case.body["profile"] = data.draw(st.sampled_from(["demo", "live", "nonsense"]))
    case.call_and_validate(base_url=server_url, excluded_checks=[positive_data_acceptance])
