"""Rotation of logs that running processes hold open for appending: copy, then cut.

1. The log's whole blocks are copied into ``<name>.1.gz`` beside it (those before it move up, the oldest goes) and
   brought to the disk.
2. Where the file system can (ext4, XFS), these blocks are taken out of the log's beginning in one step: what is written
   meanwhile stays, nothing is lost, and the log begins with what was not copied, in the middle of a line perhaps.
3. Elsewhere what was written meanwhile is copied too, again and again until there is nothing more, and the log is cut
   to nothing. A line is lost there only if it is written between the last look at the log's end and the cut, which
   follow each other at once.

The writers append, so their next line comes at the log's new end. A crash before the cut loses nothing: what was copied
then stands in both.
"""

from __future__ import annotations

import ctypes
import fcntl
import gzip
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from aione.errors import ServiceUnavailable

MEGABYTE: Final = 1_000_000
BLOCK: Final = 1 << 20
LOCK: Final = ".rotating"
COLLAPSE_RANGE: Final = 8
"""``FALLOC_FL_COLLAPSE_RANGE`` of Linux."""
ROUNDS: Final = 100
"""A writer that outruns the copy is cut off after so many rounds; its last lines then are copied after the cut."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """One log that was put aside: its bytes, and those of its copy."""

    name: str
    size: int
    packed: int


def rotate_logs(logs: Iterable[Path], rotate_mb: float, keep: int, *, is_dry: bool = False) -> list[Rotation]:
    """Put aside every log beyond a size; return those that were.

    Parameters
    ----------
    logs : iterable of Path
        Files that their writers append to. One that is missing is passed over.
    rotate_mb : float
        Megabytes of 10^6.
    keep : int
        How many copies stay.
    is_dry : bool
        Only say which ones would be.

    Raises
    ------
    ServiceUnavailable
        The disk refuses; that log is as it was.
    """
    done: list[Rotation] = []
    for log in sorted(set(logs)):
        try:
            size = log.stat().st_size
        except FileNotFoundError:
            continue
        if size <= rotate_mb * MEGABYTE:
            continue
        if is_dry:
            done.append(Rotation(log.name, size, 0))
            continue
        try:
            with _alone(log.parent) as is_ours:
                if is_ours:
                    done.append(_rotate(log, keep))
        except OSError as error:
            raise ServiceUnavailable(f"the log {log} cannot be put aside: {error}") from error
    return done


def copies_of(log: Path) -> list[Path]:
    """Return the copies of a log, the newest first."""
    found = {}
    for path in log.parent.glob(f"{log.name}.*.gz"):
        number = path.name.removeprefix(f"{log.name}.").removesuffix(".gz")
        if number.isdigit():
            found[int(number)] = path
    return [found[number] for number in sorted(found)]


def _rotate(log: Path, keep: int) -> Rotation:
    part = log.with_name(f"{log.name}.part")
    with log.open("r+b", buffering=0) as source:
        block = os.fstatvfs(source.fileno()).f_bsize
        whole = (os.fstat(source.fileno()).st_size - 1) // block * block
        with part.open("wb") as target:
            copied = _pack(source, target, whole)
        _move_up(log, keep)
        copy = part.replace(_aside(log, 1))
        if not (copied == whole > 0 and _take_out(source.fileno(), whole)):
            copied += _cut(source, copy)
    return Rotation(log.name, copied, copy.stat().st_size)


def _take_out(descriptor: int, size: int) -> bool:
    """Take the first bytes out of a file, whole blocks; False where the file system cannot, and nothing has changed."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.fallocate(descriptor, COLLAPSE_RANGE, ctypes.c_int64(0), ctypes.c_int64(size)) == 0)


def _cut(source: IO[bytes], copy: Path) -> int:
    """Copy what is left of a log and cut it to nothing; return the bytes that were copied."""
    copied = 0
    with copy.open("ab") as target:
        for _ in range(ROUNDS):
            more = _pack(source, target)
            copied += more
            if not more:
                break
        tail = source.read()  # empty but for a writer that outran all rounds
        os.ftruncate(source.fileno(), 0)
        if tail:
            target.write(gzip.compress(tail))
            target.flush()
            os.fsync(target.fileno())
    return copied + len(tail)


def _pack(source: IO[bytes], target: IO[bytes], most: int | None = None) -> int:
    """Append what follows in ``source``, at most so much, to ``target`` as one member of gzip; return its bytes."""
    total = 0
    with ExitStack() as opened:
        packed = None
        while most is None or total < most:
            some = source.read(BLOCK if most is None else min(BLOCK, most - total))
            if not some:
                break
            packed = packed or opened.enter_context(gzip.GzipFile(fileobj=target, mode="wb", compresslevel=6))
            packed.write(some)
            total += len(some)
    target.flush()
    os.fsync(target.fileno())
    return total


def _move_up(log: Path, keep: int) -> None:
    """Make room for the first copy: the others move up by one, and those beyond ``keep`` go."""
    copies = {int(path.name.removeprefix(f"{log.name}.").removesuffix(".gz")): path for path in copies_of(log)}
    for number in sorted(copies, reverse=True):
        if number >= keep:
            copies[number].unlink()
        else:
            copies[number].replace(_aside(log, number + 1))


def _aside(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}.gz")


@contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """Be the only one who rotates in a directory; False where somebody else does."""
    with (directory / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


__all__ = ["Rotation", "copies_of", "rotate_logs"]
