"""
The vendors' SDKs as their own examples use them, with nothing of twopass: what its overhead is measured against.

Each gives a function that writes audio and a dictionary of when each word was first shown (event loop's clock).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

Bare: TypeAlias = tuple[Callable[[bytes], None], dict[str, float]]


@asynccontextmanager
async def google(address: str) -> AsyncIterator[Bare]:
    """google-cloud-speech, v2, asyncio."""
    import grpc
    from google.cloud.speech_v2 import SpeechAsyncClient
    from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
    from google.cloud.speech_v2.types import cloud_speech as types

    channel = grpc.aio.insecure_channel(address)
    client = SpeechAsyncClient(transport=SpeechGrpcAsyncIOTransport(channel=channel))
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    shown: dict[str, float] = {}
    decoding = types.ExplicitDecodingConfig(encoding="LINEAR16", sample_rate_hertz=16_000, audio_channel_count=1)
    config = types.StreamingRecognitionConfig(
        config=types.RecognitionConfig(
            explicit_decoding_config=decoding,
            language_codes=["en-US"],
            model="long",
            features=types.RecognitionFeatures(enable_word_time_offsets=True),
        ),
        streaming_features=types.StreamingRecognitionFeatures(interim_results=True),
    )

    async def requests() -> AsyncIterator[Any]:
        yield types.StreamingRecognizeRequest(
            recognizer="projects/p/locations/global/recognizers/_", streaming_config=config
        )
        while (piece := await queue.get()) is not None:
            yield types.StreamingRecognizeRequest(audio=piece)

    async def read() -> None:
        async for response in await client.streaming_recognize(requests=requests()):
            for result in response.results:
                _note(shown, result.alternatives[0].transcript)

    reading = asyncio.create_task(read())
    try:
        yield queue.put_nowait, shown
        queue.put_nowait(None)
        await reading
    finally:
        await channel.close()


@asynccontextmanager
async def azure(address: str) -> AsyncIterator[Bare]:
    """azure-cognitiveservices-speech: a push stream and callbacks."""
    import azure.cognitiveservices.speech as sdk

    loop, shown = asyncio.get_running_loop(), dict[str, float]()
    stopped = asyncio.Event()
    config = sdk.SpeechConfig(endpoint=address)
    config.speech_recognition_language = "en-US"
    config.output_format = sdk.OutputFormat.Detailed
    config.request_word_level_timestamps()
    pushed = sdk.audio.PushAudioInputStream(sdk.audio.AudioStreamFormat(16_000, 16, 1))
    recognizer = sdk.SpeechRecognizer(config, audio_config=sdk.audio.AudioConfig(stream=pushed))

    def heard(event: Any) -> None:
        loop.call_soon_threadsafe(_note, shown, event.result.text)

    recognizer.recognizing.connect(heard)
    recognizer.recognized.connect(heard)
    recognizer.session_stopped.connect(lambda _: loop.call_soon_threadsafe(stopped.set))
    await asyncio.to_thread(recognizer.start_continuous_recognition)
    yield pushed.write, shown
    pushed.close()
    await stopped.wait()
    await asyncio.to_thread(recognizer.stop_continuous_recognition)


@asynccontextmanager
async def sarvam(address: str) -> AsyncIterator[Bare]:
    """sarvamai's realtime client."""
    from sarvamai import AsyncSarvamAI
    from sarvamai.environment import SarvamAIEnvironment
    from sarvamai.types import RealtimeAudioInput, RealtimeEnd

    place = SarvamAIEnvironment(base="http://127.0.0.1:1", creative="http://127.0.0.1:1", production=address)
    client = AsyncSarvamAI(api_subscription_key="stand-in", environment=place)
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    shown: dict[str, float] = {}
    connecting = client.speech_to_text_realtime_streaming.connect(
        language_code="en-IN", encoding="linear16", sample_rate="16000"
    )
    async with connecting as socket:

        async def write() -> None:
            while (piece := await queue.get()) is not None:
                sent = RealtimeAudioInput(audio=base64.b64encode(piece).decode())
                await socket.send_realtime_audio_input(sent)
            await socket.send_realtime_end(RealtimeEnd())

        async def read() -> None:
            async for message in socket:
                if message.event in ("transcript.partial", "transcript.final"):
                    _note(shown, message.text)

        tasks = [asyncio.create_task(write()), asyncio.create_task(read())]
        yield queue.put_nowait, shown
        queue.put_nowait(None)
        await asyncio.wait(tasks, timeout=10)
        for task in tasks:
            task.cancel()


def _note(shown: dict[str, float], text: str) -> None:
    now = asyncio.get_running_loop().time()
    for word in text.split():
        shown.setdefault(word.strip(".,").lower(), now)


BARE: Mapping[str, Callable[[str], AbstractAsyncContextManager[Bare]]] = {
    "google": google,
    "azure": azure,
    "sarvam": sarvam,
}
