"""One child process of the supervisor: its log, its readiness and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aione.errors import ServiceUnavailable

_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """Return a loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however that ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A process that the supervisor started; its output goes to ``logs/<name>.log`` of the home.

    It has a process group of its own: a Ctrl-C in the terminal reaches the supervisor alone, which ends its parts in
    the order in which they need each other.
    """

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path, directory: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environ = dict(environ)
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_alive(self) -> bool:
        """Return whether the process was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        """Return the exit status, None before the end."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Start the process; its output is appended to the log."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environ,
                cwd=self._directory,
                preexec_fn=die_with_parent,
                start_new_session=True,
            )

    async def ready(self, probe: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
        """Wait until ``probe`` says yes.

        Raises
        ------
        ServiceUnavailable
            The process ended before, or the time is over; the message ends with the log's last line.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not await probe():
            if not self.is_alive:
                raise ServiceUnavailable(f"{self.name} ended with status {self.returncode}: {self.last_words()}")
            if loop.time() > deadline:
                raise ServiceUnavailable(f"{self.name} was not ready after {timeout_s:.0f} s: {self.last_words()}")
            await asyncio.sleep(0.1)

    async def finished(self) -> int:
        """Wait for the end and return the exit status."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self, grace_s: float = 8.0) -> None:
        """End the process: a request first, after ``grace_s`` by force."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def last_words(self) -> str:
        """Return the last line of the log that is not empty."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
                lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        except FileNotFoundError:
            return "no log"
        return lines[-1] if lines else f"see {self.log}"


__all__ = ["Child", "die_with_parent", "free_port"]
