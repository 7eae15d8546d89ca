"""
Azure's speech protocol ("USP") as its server speaks it: frames, and the messages in them. Pure.

Nothing here was compared with the real service: the shapes come from what the SDK sends and what it accepts.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twopass.types import Hypothesis, Word

Fields = dict[str, Any]
_TICKS_PER_MS = 10_000
_PUNCTUATION = ".,?!;:…"
_RIFF_BYTES = 44
# Assumption: how sure the service is.
_CONFIDENCE = 0.9


class Malformed(Exception):
    """
    What the client sent breaks the protocol.

    Attributes:
        code: With which the service closes the connection.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Frame:
    """
    What the client sent.

    Attributes:
        request: The id of its turn.
        body: The JSON of a text frame, the audio of a binary one.
    """

    path: str
    request: str
    headers: Mapping[str, str]
    body: bytes


def frame(message: str | bytes) -> Frame:
    """Take a frame apart. Raises Malformed."""
    if isinstance(message, str):
        head, blank, body = message.partition("\r\n\r\n")
        if not blank:
            raise Malformed(1007, "No blank line after the headers.")  # Assumption: the text.
        return _framed(head, body.encode())
    if len(message) < 2 or len(message) < 2 + (size := struct.unpack(">H", message[:2])[0]):
        raise Malformed(1007, "The headers are cut off.")  # Assumption: the text.
    return _framed(message[2 : 2 + size].decode("utf-8", "replace"), message[2 + size :])


def _framed(head: str, body: bytes) -> Frame:
    pairs = (line.partition(":") for line in head.split("\r\n") if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    path = headers.get("path", "").lower()
    request = headers.get("x-requestid", "")
    if not path or (path != "speech.config" and not request):
        raise Malformed(1002, "A header is missing: Path or X-RequestId.")  # Assumption: the text.
    return Frame(path, request, headers, body)


def content(of: Frame) -> Fields:
    """The JSON of a text frame. Raises Malformed."""
    try:
        data = json.loads(of.body or b"{}")
    except ValueError:
        raise Malformed(1007, "The body is no JSON.") from None  # Assumption: the text.
    return data if isinstance(data, dict) else {}


def sample_rate(header: bytes) -> int:
    """What the RIFF header says that begins the audio of every turn. Raises Malformed if it is none of ours."""
    if len(header) < _RIFF_BYTES or header[:4] != b"RIFF":
        raise Malformed(1007, "The audio does not begin with a RIFF header.")  # Assumption: the text.
    channels, rate, _, _, bits = struct.unpack("<HIIHH", header[22:36])
    if (channels, bits) != (1, 16):
        raise Malformed(1007, "The stand-in hears 16 bit mono only.")  # the service knows more
    return int(rate)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a client asked for, in the `speech.context` of a turn.

    Attributes:
        language: The only one, or the first of several.
        detects: Whether there are several.
        stable: Only words that were in so many hypotheses before are to be shown; 0: all.
        silence_ms: After so much silence the service says that nothing was said.
        options: All of it, as people read it.
    """

    language: str = ""
    detects: bool = False
    diarization: bool = False
    word_times: bool = False
    stable: int = 0
    silence_ms: int = 15_000
    options: Fields = field(default_factory=dict)


def asked(context: Fields) -> Asked:
    """Read a `speech.context`."""
    detection, output, asks = (_part(context, name) for name in ("phraseDetection", "phraseOutput", "languageId"))
    mode = str(detection.get("mode", ""))
    several = [str(tag) for tag in asks.get("languages", [])]
    language = several[0] if several else str(detection.get("language", ""))
    detailed = _part(_part(output, "detailed"), "options") or []
    stable = int(_part(output, "interimResults").get("stableThreshold", 0))
    return Asked(
        language=language,
        detects=bool(several),
        diarization="speakerDiarization" in detection,
        word_times="WordTimings" in detailed,
        stable=stable,
        # Documented by Microsoft's people in 2020: 15 s in conversation mode.
        silence_ms=int(detection.get("initialSilenceTimeout") or 15_000),
        options={
            "mode": mode,
            "language": language,
            "languages": several,
            "detection": str(asks.get("mode", "")),
            "phrases": _phrases(context),
            "diarization": "speakerDiarization" in detection,
            "word_times": "WordTimings" in detailed,
            "stable_threshold": stable,
            "segmentation_silence_ms": _segmentation(detection, mode),
            "initial_silence_ms": detection.get("initialSilenceTimeout"),
            "context": context,
        },
    )


def _part(fields: Fields, name: str) -> Any:
    return fields.get(name) or {}


def _phrases(context: Fields) -> list[str]:
    groups: Sequence[Fields] = _part(context, "dgi").get("Groups", [])
    return [str(item.get("Text", "")) for group in groups for item in group.get("Items", [])]


def _segmentation(detection: Fields, mode: str) -> Any:
    return _part(_part(detection, mode.upper()), "segmentation").get("segmentationSilenceTimeoutMs")


# -- what the server says ---------------------------------------------------------------------------------------------


def message(path: str, request: str, body: Fields | None = None) -> str:
    """A text frame."""
    text = "" if body is None else json.dumps(body, ensure_ascii=False)
    kind = "Content-Type:application/json; charset=utf-8"
    return f"X-RequestId:{request}\r\n{kind}\r\nPath:{path}\r\n\r\n{text}"


def interim(believed: Hypothesis, asks: Asked) -> Fields | None:
    """A `speech.hypothesis`; None if there is nothing to say yet."""
    # Assumption: with a threshold, words that may still change are held back.
    words = believed.words[: believed.stable] if asks.stable else believed.words
    if not words:
        return None
    end = words[-1].end if asks.stable else believed.end
    span = _span(words[0].start, end)
    return {**_told(asks, words), "Text": lexical(words), **span}


def final(said: Hypothesis, asks: Asked) -> Fields:
    """A `speech.phrase` with words, in the detailed format."""
    words = said.words
    start = words[0].start
    # Assumption: what the ear writes is the display form, without it capitals and punctuation the lexical one.
    best: Fields = {
        "Confidence": _CONFIDENCE,
        "Lexical": lexical(words),
        "ITN": lexical(words),
        "MaskedITN": lexical(words),
        "Display": said.text,
    }
    if asks.word_times:
        best["Words"] = [_word(word) for word in words]
    status = {"RecognitionStatus": "Success", "DisplayText": said.text}
    return {**_told(asks, words), **status, **_span(start, max(said.end, words[-1].end)), "NBest": [best]}


def nothing(status: str, start: int, end: int) -> Fields:
    """A `speech.phrase` without words: it acknowledges audio."""
    return {"RecognitionStatus": status, **_span(start, end)}


def lexical(words: Sequence[Word]) -> str:
    """Words as they are spoken, not as they are written."""
    return " ".join(_spoken(word) for word in words)


def _spoken(word: Word) -> str:
    return word.text.strip(_PUNCTUATION).lower() or word.text


def _word(word: Word) -> Fields:
    return {"Word": _spoken(word), **_span(word.start, word.end), "Confidence": word.confidence or _CONFIDENCE}


def _told(asks: Asked, words: Sequence[Word]) -> Fields:
    """What stands beside the words."""
    fields: Fields = {"Channel": 0}
    if asks.detects:
        # Assumption: the stand-in cannot tell languages apart, and says the first.
        fields["PrimaryLanguage"] = {"Language": asks.language, "Confidence": "High"}
    if asks.diarization:
        # Assumption: nor speakers, unless the ear can.
        fields["SpeakerId"] = words[0].speaker or "Guest-1"
    return fields


def _span(start: int, end: int) -> Fields:
    return {"Offset": start * _TICKS_PER_MS, "Duration": max(0, end - start) * _TICKS_PER_MS}


def offset(ms: int) -> Fields:
    """Where speech begins or ends."""
    return {"Offset": ms * _TICKS_PER_MS}
