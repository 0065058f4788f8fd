"""JSON lines in a file that several processes write, that rotates by size, and that a crash leaves readable.

1. A batch is written under a lock of its own file (``<path>.lock``), in one call, by descriptors opened for appending.
2. A last line that has no end, for its writer died in it, gets one before the next line: one line is unreadable and
   none is mixed up.
3. A file that would outgrow its size is renamed to ``<path>.1``, those before it one further, the oldest removed.
4. Written means in the kernel's hands: a killed process loses none of it. A sync asks for the disk.
5. A reader opens all files under the same lock and reads them as they were then: no rotation makes a hole.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from aione.audit.record import AuditEvent, lines
from aione.errors import InvalidInput

MEGABYTE: Final = 1_000_000
READER_WAITS_S: Final = 2.0
"""A reader that gets no lock in this time (a writer was stopped in its write) reads without it."""


class JsonlSink:
    """Keeps events in a file of JSON lines.

    Parameters
    ----------
    path : Path
        Its directory is made.
    rotate_mb : float, optional
        Largest size in megabytes of 10^6; None never rotates.
    keep : int
        How many files that were put aside are kept.
    """

    name = "jsonl"

    def __init__(self, path: Path, rotate_mb: float | None = None, keep: int = 5) -> None:
        if rotate_mb is not None and not rotate_mb > 0:
            raise InvalidInput(f"jsonl_rotate_mb must be above 0, was {rotate_mb}")
        if keep < 1:
            raise InvalidInput(f"jsonl_keep must be at least 1, was {keep}")
        self.path = path
        self._most = None if rotate_mb is None else rotate_mb * MEGABYTE
        self._keep = keep

    def write(self, events: list[AuditEvent]) -> None:
        """Append the events in one piece; `OSError` where the file cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = lines(events)
        with _locked(self.path):
            if self._most is not None and _size(self.path) and _size(self.path) + len(text) > self._most:
                self._rotate()
            _append(self.path, text)

    def sync(self) -> None:
        """Ask the system to bring the file to the disk."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Nothing is held open."""

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            older = _aside(self.path, number)
            if older.exists():
                older.replace(_aside(self.path, number + 1))
        self.path.replace(_aside(self.path, 1))


def append_lines(path: Path, events: Iterable[AuditEvent], *, is_new: bool) -> Path:
    """Write events to a file, in place of what it holds or after it; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_new:
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(lines(events))
        part.replace(path)
    else:
        with _locked(path):
            _append(path, lines(events))
    return path


@dataclass(slots=True)
class JsonlFile:
    """Reads a file of events with those that were put aside, oldest first; ``unreadable`` counts bad lines."""

    path: Path
    unreadable: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[AuditEvent]:
        with ExitStack() as held:
            for file, size in _opened(self.path, held):
                seen = 0
                for line in file:
                    seen += len(line)
                    if seen > size:
                        break  # written since, and perhaps not to its end
                    if not line.strip():
                        continue
                    try:
                        yield AuditEvent.from_json(line)
                    except InvalidInput:
                        self.unreadable += 1  # a writer died in it; the reader is told how many there are


def files_of(path: Path) -> list[Path]:
    """Return the file and those that were put aside of it, oldest first."""
    numbered = []
    for other in path.parent.glob(f"{path.name}.*") if path.parent.is_dir() else ():
        number = other.name.removeprefix(f"{path.name}.")
        if number.isdigit():
            numbered.append((int(number), other))
    return [*(other for _, other in sorted(numbered, reverse=True)), *([path] if path.exists() else [])]


def _opened(path: Path, held: ExitStack) -> list[tuple[BinaryIO, int]]:
    """Return the files and their sizes, all of one moment, oldest first."""
    files: list[tuple[BinaryIO, int]] = []
    with _shared(path):
        for one in files_of(path):
            try:
                file = held.enter_context(one.open("rb"))
            except FileNotFoundError:
                continue  # without the lock, a rotation may have taken it away
            files.append((file, os.fstat(file.fileno()).st_size))
    return files


@contextmanager
def _shared(path: Path) -> Iterator[None]:
    try:
        lock = path.with_name(f"{path.name}.lock").open("rb")
    except OSError:
        yield  # nobody writes it, or it is not ours to lock
        return
    with lock:
        deadline = time.monotonic() + READER_WAITS_S
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.002)
            else:
                break
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(f"{path.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # closing is not enough: a child forked meanwhile holds it open


def _append(path: Path, text: bytes) -> None:
    """Write all of ``text`` behind a whole line."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end and os.pread(descriptor, 1, end - 1) != b"\n":
            text = b"\n" + text
        view = memoryview(text)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


__all__ = ["JsonlFile", "JsonlSink", "append_lines", "files_of"]
