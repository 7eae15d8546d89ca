"""One program that runs as long as the cluster: started again whenever it ends, and ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twopass.cluster.local.programs import Program
from twopass.errors import ConfigError

_LOOK_SECONDS = 0.1
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 15.0
_STEADY_SECONDS = 30.0
_GIVE_UP_SECONDS = 300.0
_LAST_LINES = 12
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
# Looked up here: between fork and exec, nothing may be loaded.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Died:
    """A program has ended without being asked to, and is started again after so many seconds."""

    name: str
    pid: int
    code: int
    again_seconds: float

    @property
    def how(self) -> str:
        """For people."""
        if self.code >= 0:
            return f"has ended (exit status {self.code})"
        with contextlib.suppress(ValueError):
            return f"was killed ({signal.Signals(-self.code).name})"
        return f"was killed (signal {-self.code})"


@dataclass(frozen=True, slots=True)
class Back:
    """It does its work again."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """It did not end when it was told to, and was killed."""

    name: str
    pid: int
    seconds: float


Event = Died | Back | Stuck
Tell = Callable[[Event], None]


class Kept:
    """
    A program, from one process to the next.

    Args:
        temporary: Where it may put temporary files.
        log: What it writes goes there.
        tell: Is told whenever it dies, when it is back, and if it does not end.
    """

    def __init__(self, program: Program, temporary: Path, log: Path, tell: Tell) -> None:
        self.program = program
        self.log = log
        self._temporary = temporary
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of its process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def open(self) -> None:
        """Start it and wait until it does its work. Raises ConfigError with what it said if it does not."""
        if self.program.before:
            process = await self._run(self.program.before)
            if await process.wait() != 0:
                raise self._failure()
        self._process = await self._run(self.program.command)
        if not await self._works(self._process):
            raise self._failure()
        self._keeping = asyncio.create_task(self._keep(self._process))

    async def close(self, seconds: float) -> None:
        """SIGTERM, and after so many seconds SIGKILL to whatever is left of it."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self._tell(Stuck(self.program.name, self._process.pid, seconds))
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """SIGKILL to it and the processes that it has started; it is not started again."""
        if self._keeping is not None:
            self._keeping.cancel()
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        loop, wait = asyncio.get_running_loop(), _FIRST_WAIT_SECONDS
        began = loop.time()
        while True:
            code = await process.wait()
            wait = _FIRST_WAIT_SECONDS if loop.time() - began > _STEADY_SECONDS else wait
            self._tell(Died(self.program.name, process.pid, code, wait))
            await asyncio.sleep(wait)
            began, wait = loop.time(), min(2 * wait, _LONGEST_WAIT_SECONDS)
            with contextlib.suppress(OSError):  # no memory, for one; then it goes round once more
                self._process = process = await self._run(self.program.command)
                if await self._works(process):
                    self._tell(Back(self.program.name, process.pid))

    async def _works(self, process: asyncio.subprocess.Process) -> bool:
        """Wait until it does; False if it has ended, or takes for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                while process.returncode is None:
                    if await self.program.ready():
                        return True
                    await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def _run(self, command: tuple[str, ...]) -> asyncio.subprocess.Process:
        with self.log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(self._temporary), **self.program.environment},
                start_new_session=True,  # Ctrl-C is for us, who end all in order
                preexec_fn=end_with_parent,
            )

    def _failure(self) -> ConfigError:
        last = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        message = f"{self.program.name} did not start ({self.program.command[0]})."
        return ConfigError(message, code="not_started", fix="\n".join(["It said:", *last]))


def end_with_parent() -> None:
    """Whatever ends us ends it too (on Linux, which can do that)."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
