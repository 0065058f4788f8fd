"""Processes of a system that was killed: found by the mark that every part of a home carries, and ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

MARK: Final = "AIONE_PART_OF"
"""The environment variable that every part carries: the home it belongs to."""
WAIT_S: Final = 5.0


def end_leftovers(home: Path) -> list[int]:
    """Kill every process that belongs to a home and return their ids; only the home's owner may ask.

    Parts of a killed system may have children of their own that outlive them and still hold its files. Where the
    kernel shows no process environments (not Linux) there is nothing to find.
    """
    found = _parts_of(home)
    for pid in found:
        _kill(pid)
    deadline = time.monotonic() + WAIT_S
    while _parts_of(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _parts_of(home: Path) -> list[int]:
    wanted = f"{MARK}={home}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and wanted in _environment(pid)]


def _pids() -> list[int]:
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except FileNotFoundError:
        return []


def _environment(pid: int) -> list[bytes]:
    """Return a process's variables; none for one that has ended or is another user's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has just ended by itself


__all__ = ["MARK", "end_leftovers"]
