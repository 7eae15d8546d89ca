"""The command line as people use it: in a process of its own, with its output, its exit code and its signals."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
import typer
from tests.conftest import PATIENCE, Server, running_server
from tests.gateway.stream_driver import REFERENCE, Heard, begun, chunks, folded, opened, say, start
from tests.speech import load
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed

from twopass.cli import app, main

SHORT = load("short_slt")
FILE = Path(__file__).parent / "speech" / "short_slt.flac"
OTHER = Path(__file__).parent / "speech" / "short_rms.flac"
Run = Callable[..., "Said"]


@dataclass(frozen=True)
class Said:
    """What a command wrote."""

    stdout: str
    stderr: str


def command(*arguments: str | Path) -> list[str]:
    """twopass with these arguments."""
    return [sys.executable, "-m", "twopass.cli", *map(str, arguments)]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run twopass to its end, in a process of its own. Whatever happens, nobody is shown a traceback."""

    def go(*arguments: str | Path, data: bytes = b"", code: int = 0) -> Said:
        done = subprocess.run(command(*arguments), input=data, capture_output=True, env=environment, timeout=PATIENCE)
        said = Said(done.stdout.decode(), done.stderr.decode())
        assert code == done.returncode, said.stderr
        assert "Traceback" not in said.stderr
        return said

    return go


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run twopass to its end in this process, for what needs no models of its own: that is quicker."""
    monkeypatch.setenv("COLUMNS", "200")
    before = signal.getsignal(signal.SIGTERM)

    def go(*arguments: str | Path, code: int = 0) -> Said:
        monkeypatch.setattr(sys, "argv", ["twopass", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = Said(*capsys.readouterr())
        assert code == ended.value.code, said.stderr
        return said

    yield go
    signal.signal(signal.SIGTERM, before)
    structlog.reset_defaults()


@pytest.fixture(scope="module", autouse=True)
def demo(
    tmp_path_factory: pytest.TempPathFactory, config_file: Path, environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`twopass demo` and what it writes. It takes as long as the sample, so it runs beside all other tests."""
    log = tmp_path_factory.mktemp("demo") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command("demo", "--config", config_file), stderr=output, env=environment)
    with process:
        yield process, log
        process.kill()


def wav(pcm: bytes) -> bytes:
    """A WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(pcm)
    return file.getvalue()


# Help


def every_command(group: Any = None, path: Sequence[str] = ()) -> list[list[str]]:
    """The names of all commands and groups."""
    group = group or typer.main.get_command(app)
    found = [list(path)]
    for name, each in getattr(group, "commands", {}).items():
        found += every_command(each, [*path, name])
    return found


@pytest.mark.parametrize("names", every_command(), ids=" ".join)
def test_help_teaches(names: list[str]) -> None:
    """Every command says what it does, and what each of its options means."""
    shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
    assert 0 == shown.exit_code
    known: Any = typer.main.get_command(app)
    for name in names:
        known = known.commands[name]
    assert known.help.splitlines()[0] in shown.output
    for parameter in known.params:
        assert getattr(parameter, "help", None), f"{parameter.name} is not explained"


def test_without_a_command_help_is_shown() -> None:
    """Who types only the name sees what there is."""
    shown = CliRunner().invoke(app, [])
    for name in ("serve", "demo", "transcribe", "doctor"):
        assert name in shown.output


# Transcribe


def _words_of_json(text: str) -> str:
    return str(json.loads(text)["text"])


def _words_of_cues(text: str) -> str:
    return re.sub(r"WEBVTT|^\d+$|^.* --> .*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("style", "read"), [("txt", str), ("srt", _words_of_cues), ("vtt", _words_of_cues), ("json", _words_of_json)]
)
def test_file_in_every_format(run_here: Run, server_url: str, style: str, read: Callable[[str], str]) -> None:
    """At full speed: the transcript alone on stdout, in the format asked for, the cost on stderr."""
    done = run_here("transcribe", FILE, "--fast", "--profile", "demo", "--format", style, "--server", server_url)
    assert folded(SHORT.text) == folded(read(done.stdout))
    assert "Cost of" in done.stderr


def test_server_of_its_own(run: Run, config_file: Path) -> None:
    """Without a server it starts one, with the second pass that is asked for, and no line of its log disturbs."""
    done = run(
        "transcribe", FILE, "--fast", "--profile", "live", "--second-pass-model", "demo", "--config", config_file
    )
    assert folded(SHORT.text) == folded(done.stdout)
    assert "whisper" in done.stderr
    assert '"event"' not in done.stderr


def test_several_files_into_one(run_here: Run, server_url: str, tmp_path: Path) -> None:
    """Files are transcribed one after the other; names that look like markup are only names."""
    odd = tmp_path / "[red] :smile: [" / "red].flac"
    odd.parent.mkdir()
    odd.write_bytes(FILE.read_bytes())
    output = tmp_path / "out.txt"
    done = run_here("transcribe", odd, OTHER, "--fast", "--output", output, "--server", server_url)
    assert "" == done.stdout
    assert f"{folded(SHORT.text)} {folded(load('short_rms').text)}" == folded(output.read_text())


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (wav(SHORT.pcm), []),
        (SHORT.pcm, ["--fast", "--encoding", "pcm_s16le", "--rate", "16000"]),
    ],
    ids=["wav", "pcm"],
)
def test_standard_input(run: Run, server_url: str, data: bytes, options: list[str]) -> None:
    """A dash reads a file, or raw sound, from a pipe."""
    done = run("transcribe", "-", *options, "--server", server_url, data=data)
    assert folded(SHORT.text) == folded(done.stdout)


def test_live_captions(run_here: Run, server_url: str) -> None:
    """In real time: who speaks, the captions and the figures on stderr, the transcript on stdout."""
    done = run_here("transcribe", FILE, "--server", server_url)
    assert folded(SHORT.text) == folded(done.stdout)
    assert "tiny-whisper (bundled demo model)" in done.stderr
    assert "0:00  Let's start" in done.stderr
    assert "final after speech end" in done.stderr
    assert "USD" in done.stderr


def test_separate_channels(run_here: Run, server_url: str, tmp_path: Path) -> None:
    """Left and right are transcribed each for itself."""
    both = begun(load("two_channels"), 2)
    path = tmp_path / "call.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(both.pcm)
    options = ["--fast", "--separate-channels", "--format", "json", "--server", server_url]
    segments = json.loads(run_here("transcribe", path, *options).stdout)["segments"]
    heard = [(segment["channel"], folded(segment["text"])) for segment in segments]
    assert [(sentence.channel, folded(sentence.text)) for sentence in both.sentences] == heard


def test_ctrl_c_keeps_what_was_said(server_url: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C ends the listening, not the program: the transcript is written, although the input never ended."""
    log = tmp_path / "log"
    arguments = ["transcribe", "-", "--encoding", "pcm_s16le", "--server", server_url]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
        )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(SHORT.pcm + bytes(32_000))
        process.stdin.flush()
        _until(lambda: "new office" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(PATIENCE)
        assert folded(SHORT.text) == folded(process.stdout.read().decode())


# Mistakes


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        ("no_file", "There is no file nothing[/].wav.", ["transcribe", "nothing[/].wav"]),
        ("no_file", "There is no file .", ["transcribe", "."]),
        ("no_output", "/nowhere/x cannot be written.", ["transcribe", FILE, "--output", "/nowhere/x"]),
        ("connection_lost", "cannot be reached", ["transcribe", FILE, "--server", "ws://127.0.0.1:9"]),
        ("connection_lost", "is no address of a server", ["transcribe", FILE, "--server", "nonsense"]),
        ("bad_config", "nowhere.yaml cannot be read", ["serve", "--config", "nowhere.yaml"]),
        ("bad_config", "is not YAML", ["demo", "--config", __file__]),
        ("bad_config", "Cannot listen on 192.0.2.1", ["serve", "--host", "192.0.2.1"]),
    ],
)
def test_mistake_is_explained(run_here: Run, code: str, said: str, arguments: list[str | Path]) -> None:
    """A mistake: its code, what is wrong and what to do, nothing on stdout, and exit code 1."""
    done = run_here(*arguments, code=1)
    lines = done.stderr.strip().splitlines()
    assert lines[0].startswith(f"{code}: ")
    assert said in lines[0]
    assert len(lines) >= 2
    assert "" == done.stdout


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown_profile", ["--fast", "--profile", "nonsense"]),
        ("unknown_language", ["--fast", "--profile", "live", "--language", "de-DE"]),
        ("bad_audio", ["--fast"]),
        ("bad_audio", []),
    ],
)
def test_refusal_is_explained(run_here: Run, server_url: str, tmp_path: Path, code: str, options: list[str]) -> None:
    """What the server or the decoder refuses is told in the same form, live and at full speed."""
    path = FILE
    if code == "bad_audio":
        path = tmp_path / "noise.mp3"
        path.write_bytes(bytes(range(256)) * 99)
    done = run_here("transcribe", path, *options, "--server", server_url, code=1)
    assert re.search(rf"^{code}: \w.*\.\n\w", done.stderr, flags=re.MULTILINE)


def test_second_pass_that_is_not_there(run: Run, config_file: Path) -> None:
    """A model that is no model ends the command with how to get one."""
    arguments = ["transcribe", FILE, "--fast", "--second-pass-model", "/nonexistent", "--config", config_file]
    done = run(*arguments, code=1)
    assert "not_a_model: /nonexistent is not a converted Whisper" in done.stderr
    assert "ct2-transformers-converter" in done.stderr


def test_port_that_is_taken(run_here: Run) -> None:
    """A port in use is told with how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_here("serve", "--port", str(taken.getsockname()[1]), code=1)
    assert "Address already in use" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["serve", "--port", "70000"], ["transcribe"], ["transcribe", "x", "--format", "doc"], ["nonsense"]]
)
def test_wrong_usage(run_here: Run, arguments: list[str]) -> None:
    """Options that cannot be are refused as usual, with exit code 2."""
    assert "Usage" in run_here(*arguments, code=2).stderr


# What is here


def test_providers_are_listed(run: Run) -> None:
    """Every provider with what it is and what it can do, or why it cannot."""
    shown = re.sub(r"[\s│]+", " ", run("providers").stdout)
    assert "pocketsphinx" in shown
    assert "US English only" in shown
    assert "twopass models pull base" in shown or "large-v3-turbo" in shown


def test_doctor_names_the_command_that_helps(run: Run) -> None:
    """What is missing is shown with one line to run, and is no failure."""
    shown = run("doctor").stdout
    assert re.search(r"ok +pocketsphinx: version", shown)
    assert re.search(r"missing +Whisper \S+ weights: .*\n +Run: twopass models pull", shown)


def test_model_that_nobody_knows(run: Run) -> None:
    """A name that is no Whisper is refused in a sentence that repeats it."""
    assert "nonsense" in run("models", "pull", "nonsense", code=1).stderr


# Signals


def _until(ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.05)


async def _interrupted(server: Server, number: signal.Signals) -> Heard:
    """
    Stop a server while somebody speaks; what the client hears.

    A wrong message is answered in its turn: the answer shows that the server has read all before it. If it had not, the
    system would reset the connection, and the client might never see why it was closed.
    """
    heard = Heard()
    async with asyncio.timeout(PATIENCE), opened(server.url) as socket:
        await say(socket, [start(), *chunks(SHORT.pcm), "{"])
        while not heard.errors:
            heard.take(await socket.recv())
        server.process.send_signal(number)
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard.take(await socket.recv())
        heard.code = socket.close_code or 0
    return heard


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_server_ends_in_order(
    tmp_path: Path, small_config: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    """Ctrl-C, or SIGTERM, in a session: the client gets its finals, and no process and no file stays behind."""
    with running_server(tmp_path, small_config, environment) as server:
        models = server.children()
        assert len(models) >= 3
        heard = asyncio.run(_interrupted(server, number))
        assert 0 == server.process.wait(PATIENCE)
    assert (1000, ["server_stopping"]) == (heard.code, [c for c in heard.codes if c != "bad_message"])
    assert heard.messages[-1] == heard.ended
    assert [] == psutil.wait_procs(models, timeout=PATIENCE)[1]
    assert [] == list(server.temporary.glob("twopass*"))
    assert "Traceback" not in server.log.read_text()


def test_command_that_is_terminated(tmp_path: Path, small_config: Path, environment: dict[str, str]) -> None:
    """SIGTERM ends a command with a server of its own as it ends any program, and nothing stays behind."""
    log = tmp_path / "log"
    arguments: list[str | Path] = ["transcribe", "-", "--encoding", "pcm_s16le", "--config", small_config]
    with log.open("wb") as errors:
        env = environment | {"TMPDIR": str(tmp_path)}
        process = subprocess.Popen(command(*arguments), stdin=subprocess.PIPE, stderr=errors, env=env)
    with process:
        _until(lambda: "second pass" in log.read_text())
        models = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert 128 + signal.SIGTERM == process.wait(PATIENCE)
    assert [] == psutil.wait_procs(models, timeout=PATIENCE)[1]
    assert [] == list(tmp_path.glob("twopass*"))
    assert "Traceback" not in log.read_text()


def test_killed_server_leaves_no_process(tmp_path: Path, small_config: Path, environment: dict[str, str]) -> None:
    """Even kill -9 of the server ends its models."""
    with running_server(tmp_path, small_config, environment) as server:
        models = server.children()
        asyncio.run(_interrupted(server, signal.SIGKILL))
        server.process.wait(PATIENCE)
        assert [] == psutil.wait_procs(models, timeout=PATIENCE)[1]


def test_demo(demo: tuple[subprocess.Popen[bytes], Path]) -> None:
    """The demo shows the whole sample as it was spoken, in real time, and ends."""
    process, log = demo
    assert 0 == process.wait(PATIENCE)
    said = log.read_text()
    captions = " ".join(re.findall(r"^ +\d+:\d\d  (.*)$", said, flags=re.MULTILINE))
    assert folded(REFERENCE) == folded(captions)
    assert "words rewritten by the second pass" in said
    assert "Traceback" not in said
