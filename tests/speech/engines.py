"""The voices: espeak-ng, flite and festival, each asked for the times of its words along with the sound.

    say("flite:slt", "Any questions so far?", speed=1.0)

espeak-ng and flite are used through their C libraries, festival through its command.
"""

import ctypes as c
import re
import subprocess
import tempfile
import wave
from collections.abc import Callable
from functools import cache
from itertools import accumulate, count, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from .spoken import Audio, Spoken, WordTime, finish

_FULL_SCALE = 32768.0
_ESPEAK_RATE = 155  # words a minute at speed 1.0


def say(voice: str, text: str, speed: float) -> Spoken:
    engine, name = voice.split(":")
    audio, rate, words = _engine(engine)(name, text, speed)
    return finish(voice, text, audio, rate, words)


def _floats(pcm: bytes) -> Audio:
    return np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(_FULL_SCALE)


# espeak-ng


class _Event(c.Structure):
    _fields_ = [
        ("type", c.c_int),
        ("unique_identifier", c.c_uint),
        ("text_position", c.c_int),
        ("length", c.c_int),
        ("audio_position", c.c_int),
        ("sample", c.c_int),
        ("user_data", c.c_void_p),
        ("id", c.c_longlong),
    ]


_SynthCallback = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))
_EVENT_END, _EVENT_WORD = 0, 1
_SYNCHRONOUS, _UTF8 = 2, 1
_PARAMETER_RATE = 1


class _Espeak:
    def __init__(self) -> None:
        self.library = c.CDLL("libespeak-ng.so.1")
        self.rate: int = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        self.library.espeak_Synth.argtypes = [
            *(c.c_void_p, c.c_size_t, c.c_uint, c.c_int),
            *(c.c_uint, c.c_uint, c.c_void_p, c.c_void_p),
        ]
        self.pcm = b""
        self.word_starts: dict[int, float] = {}
        self.callback = _SynthCallback(self._receive)
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples: Any, length: int, events: Any) -> int:
        if samples and length > 0:
            self.pcm += c.string_at(samples, length * 2)
        for event in takewhile(lambda event: event.type != _EVENT_END, map(events.__getitem__, count(0))):
            if event.type == _EVENT_WORD and event.text_position >= 1:
                self.word_starts.setdefault(event.text_position - 1, event.audio_position / 1000)
        return 0

    def __call__(self, name: str, text: str, speed: float) -> tuple[Audio, int, list[WordTime]]:
        self.pcm, self.word_starts = b"", {0: 0.0}
        if self.library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {name}")
        self.library.espeak_SetParameter(_PARAMETER_RATE, round(_ESPEAK_RATE * speed), 0)
        written = text.encode()
        self.library.espeak_Synth(written, len(written) + 1, 0, 1, 0, _UTF8, None, None)
        self.library.espeak_Synchronize()
        audio = _floats(self.pcm)
        return audio, self.rate, _shared_times(text, self.word_starts, len(audio) / self.rate)


def _shared_times(text: str, starts: dict[int, float], duration_s: float) -> list[WordTime]:
    """Times from espeak's events; words without one of their own ("of the") share an interval by their length."""
    groups: list[tuple[float, list[str]]] = []
    for match in re.finditer(r"\S+", text):
        if match.start() in starts:
            groups.append((starts[match.start()], []))
        groups[-1][1].append(match.group())
    words: list[WordTime] = []
    ends = [start for start, _ in groups[1:]] + [duration_s]
    for (start, group), end in zip(groups, ends, strict=True):
        per_letter = (end - start) / sum(map(len, group))
        for word, letters in zip(group, accumulate(map(len, group)), strict=True):
            word_end = start + letters * per_letter
            words.append((word, word_end - len(word) * per_letter, word_end))
    return words


# flite


class _Wave(c.Structure):
    _fields_ = [
        ("type", c.c_char_p),
        ("sample_rate", c.c_int),
        ("num_samples", c.c_int),
        ("num_channels", c.c_int),
        ("samples", c.POINTER(c.c_short)),
    ]


_FLITE_CALLS: dict[str, tuple[Any, list[Any]]] = {
    "flite_synth_text": (c.c_void_p, [c.c_char_p, c.c_void_p]),
    "utt_wave": (c.c_void_p, [c.c_void_p]),
    "utt_relation": (c.c_void_p, [c.c_void_p, c.c_char_p]),
    "relation_head": (c.c_void_p, [c.c_void_p]),
    "item_next": (c.c_void_p, [c.c_void_p]),
    "ffeature_float": (c.c_float, [c.c_void_p, c.c_char_p]),
    "feat_set_float": (None, [c.c_void_p, c.c_char_p, c.c_float]),
    "delete_utterance": (None, [c.c_void_p]),
}
_WORD_START = b"R:Token.daughter1.R:SylStructure.daughter1.daughter1.R:Segment.p.end"
_WORD_END = b"R:Token.daughtern.R:SylStructure.daughtern.daughtern.R:Segment.end"


class _Flite:
    def __init__(self) -> None:
        self.library = c.CDLL("libflite.so.1", mode=c.RTLD_GLOBAL)
        for name in ("libflite_cmulex.so.1", "libflite_usenglish.so.1"):
            c.CDLL(name, mode=c.RTLD_GLOBAL)
        self.library.flite_init()
        for name, (result, arguments) in _FLITE_CALLS.items():
            call = getattr(self.library, name)
            call.restype, call.argtypes = result, arguments

    @cache  # noqa: B019 - one engine lives as long as the program
    def _voice(self, name: str) -> Any:
        register = getattr(c.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
        register.restype, register.argtypes = c.c_void_p, [c.c_void_p]
        return register(None)

    def __call__(self, name: str, text: str, speed: float) -> tuple[Audio, int, list[WordTime]]:
        voice = self._voice(name)
        features = c.cast(voice, c.POINTER(c.c_void_p))[1]
        self.library.feat_set_float(features, b"duration_stretch", 1 / speed)
        utterance = self.library.flite_synth_text(text.encode(), voice)
        sound = c.cast(self.library.utt_wave(utterance), c.POINTER(_Wave)).contents
        audio = _floats(c.string_at(sound.samples, sound.num_samples * 2))
        words: list[WordTime] = []
        token = self.library.relation_head(self.library.utt_relation(utterance, b"Token"))
        for word in text.split():
            start, end = (self.library.ffeature_float(token, path) for path in (_WORD_START, _WORD_END))
            words.append((word, start, end))
            token = self.library.item_next(token)
        rate: int = sound.sample_rate
        self.library.delete_utterance(utterance)
        return audio, rate, words


# festival

_FESTIVAL_VOICES = {"kal": "kal_diphone", "ked": "ked_diphone", "slt_hts": "cmu_us_slt_arctic_hts"}
_FESTIVAL_SCRIPT = """(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch:.4f})
(set! utterance (utt.synth (Utterance Text "{text}")))
(utt.save.wave utterance "{path}" 'riff)
(set! token (utt.relation.first utterance 'Token))
(define (times word) (list (item.feat word "word_start") (item.feat word "word_end")))
(while token
  (format t "%l\\n" (mapcar times (item.daughters token)))
  (set! token (item.next token)))
"""


def _festival(name: str, text: str, speed: float) -> tuple[Audio, int, list[WordTime]]:
    with tempfile.TemporaryDirectory() as folder:
        path, script = Path(folder, "out.wav"), Path(folder, "say.scm")
        voice = _FESTIVAL_VOICES[name]
        script.write_text(_FESTIVAL_SCRIPT.format(voice=voice, stretch=1 / speed, text=text, path=path))
        told = subprocess.run(["festival", "-b", script], capture_output=True, text=True, check=True).stdout
        with wave.open(str(path)) as sound:
            audio, rate = _floats(sound.readframes(sound.getnframes())), sound.getframerate()
    words: list[WordTime] = []
    for word, line in zip(text.split(), told.splitlines(), strict=True):
        times = [float(number) for number in re.findall(r"[-+.\de]+", line)]
        words.append((word, times[0], max(times[1::2])))  # parts of a token without sound report 0 0
    return audio, rate, words


_Engine = Callable[[str, str, float], tuple[Audio, int, list[WordTime]]]


@cache
def _engine(name: str) -> _Engine:
    engines: dict[str, Callable[[], _Engine]] = {"espeak": _Espeak, "flite": _Flite, "festival": lambda: _festival}
    return engines[name]()
