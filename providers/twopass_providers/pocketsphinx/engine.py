"""
The decoders, in their own processes: pocketsphinx holds the GIL while it searches. Runs in the child only.

Settings are measured (word error rate against CPU time): the first pass searches forward with 3,000 states per frame
and no second search, which would take up to a second at the end of an utterance; the full search of the
fallback second pass uses a decoder of its own, since one streamed block spoils a decoder's cepstral mean.
"""

from __future__ import annotations

import time

from pocketsphinx import Decoder

from twopass.modelhost import Connection, Serve
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE
from twopass_providers.pocketsphinx.messages import FRAME_MS, Segment, StreamResult, StreamStart, UtteranceResult

_BYTES_PER_FRAME = SAMPLE_RATE * FRAME_MS // 1000 * BYTES_PER_SAMPLE


def load_streaming(*, max_states: int = 3000) -> Serve:
    """A decoder for one stream after the other, each in the fork that serves it."""
    decoder = Decoder(maxhmmpf=max_states, fwdflat=False, bestpath=False, loglevel="FATAL")
    nobodys_mean = decoder.get_cmn(False)

    def serve(connection: Connection) -> None:
        while True:
            _decode_stream(decoder, connection, nobodys_mean)

    return serve


def load_full_search(*, max_states: int = 5000) -> Serve:
    """A decoder for whole utterances: forward, flat and best path search."""
    decoder = Decoder(maxhmmpf=max_states, loglevel="FATAL")

    def serve(connection: Connection) -> None:
        while True:
            batch: tuple[bytes, ...] = connection.receive()
            connection.send(tuple(_decode_utterance(decoder, pcm) for pcm in batch))

    return serve


def _decode_stream(decoder: Decoder, connection: Connection, nobodys_mean: str) -> None:
    start: StreamStart = connection.receive()
    decoder.set_cmn(start.cepstral_mean or nobodys_mean)  # it still has the last speaker's
    began = time.process_time()
    heard, received = None, 0
    decoder.start_utt()
    try:
        while chunk := connection.receive():
            received += len(chunk)
            decoder.process_raw(chunk)
            hypothesis = decoder.hyp()
            if hypothesis is not None and hypothesis.hypstr != heard:
                heard = hypothesis.hypstr
                connection.send(StreamResult(_segments(decoder), received // _BYTES_PER_FRAME))
    finally:
        decoder.end_utt()
    busy = time.process_time() - began
    mean = decoder.get_cmn(False)
    connection.send(StreamResult(_segments(decoder), received // _BYTES_PER_FRAME, True, mean, busy))


def _decode_utterance(decoder: Decoder, pcm: bytes) -> UtteranceResult:
    began = time.process_time()
    if len(pcm) < _BYTES_PER_FRAME * 10:
        return UtteranceResult((), len(pcm) // _BYTES_PER_FRAME, 0.0)
    decoder.reinit_feat()  # back to the cepstral mean of the whole utterance
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    return UtteranceResult(_segments(decoder), len(pcm) // _BYTES_PER_FRAME, time.process_time() - began)


def _segments(decoder: Decoder) -> tuple[Segment, ...]:
    found = decoder.seg()
    return tuple((s.word, s.start_frame, s.end_frame, s.prob) for s in found) if found is not None else ()
