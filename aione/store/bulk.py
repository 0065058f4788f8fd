"""Many parts of Redis strings at once, through a socket of their own straight into one small buffer.

1. The general client makes an object of every reply and the loop wakes for every piece of it; for the 54 MB of a full
   load that is most of the time. Here a thread reads replies into a buffer that stays in the processor's cache, and
   the caller copies each block out of it while the next ones arrive.
2. It speaks `AUTH`, `SELECT` and `GETRANGE` to a plain TCP or Unix socket, with the client's own address and password.
   Whatever else comes (TLS, an error reply, a short read) is `BulkRefused`: the caller asks the general client.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Final, TypeVar, cast

import numpy as np
import redis.asyncio as aioredis
from redis.asyncio.connection import Connection, UnixDomainSocketConnection

from aione.errors import AioneError
from aione.panel.bars import BAR_RECORD
from aione.store.ring_layout import RECORD_BYTES, Records

ROWS_A_BLOCK: Final = 8
ROWS_AHEAD: Final = 64
ANSWER_WITHIN_S: Final = 5.0
BUFFER_BYTES: Final = 1 << 18
LONGEST_LINE: Final = 512

T = TypeVar("T")


class BulkRefused(AioneError):
    """The short way does not work here; the ordinary one may."""


@dataclass(frozen=True, slots=True)
class BulkReader:
    """Reads ring slots from the server of an ordinary client."""

    address: tuple[str, int] | str
    credentials: tuple[str, ...]
    database: int

    @classmethod
    def of(cls, redis: aioredis.Redis) -> BulkReader | None:
        """Return the reader for a client's server; None where the way there is not a plain socket."""
        pool = redis.connection_pool
        how: dict[str, Any] = pool.connection_kwargs
        if how.get("credential_provider") is not None:
            return None
        secret = [str(how[name]) for name in ("username", "password") if how.get(name)]
        credentials = tuple(secret) if how.get("password") else ()
        database = int(how.get("db") or 0)
        if pool.connection_class is UnixDomainSocketConnection and how.get("path"):
            return cls(str(how["path"]), credentials, database)
        if pool.connection_class is Connection:
            address = (str(how.get("host") or "localhost"), int(how.get("port") or 6379))
            return cls(address, credentials, database)
        return None

    def read(
        self, names: Sequence[bytes], segments: Sequence[tuple[int, int]], use: Callable[[Iterable[Records]], T]
    ) -> T:
        """Return what ``use`` makes of the slots of ``segments`` in each ring, in blocks of rows ``(n, bars)``.

        A block is overwritten by the next one. Blocking: for a thread.

        Raises
        ------
        BulkRefused
            The server said something else than expected.
        OSError
            It does not answer.
        """
        with self._connected() as link, cast("BufferedReader", link.makefile("rb", buffering=BUFFER_BYTES)) as replies:
            for command in self._greeting():
                link.sendall(command)
                if not replies.readline(LONGEST_LINE).startswith(b"+OK"):
                    raise BulkRefused("the server did not take the greeting")
            return use(_blocks(link, replies, names, segments))

    def _connected(self) -> socket.socket:
        if isinstance(self.address, tuple):
            link = socket.create_connection(self.address, ANSWER_WITHIN_S)
        else:
            link = socket.socket(socket.AF_UNIX)
            try:
                link.settimeout(ANSWER_WITHIN_S)
                link.connect(self.address)
            except OSError:
                link.close()
                raise
        return link

    def _greeting(self) -> Iterator[bytes]:
        if self.credentials:
            yield _command(b"AUTH", *(part.encode() for part in self.credentials))
        if self.database:
            yield _command(b"SELECT", b"%d" % self.database)


def _blocks(
    link: socket.socket, replies: BufferedReader, names: Sequence[bytes], segments: Sequence[tuple[int, int]]
) -> Iterator[Records]:
    """Yield blocks, asking for the next rows before those asked for have all come."""
    bars = sum(count for _, count in segments)
    buffer = np.empty((ROWS_A_BLOCK, bars), BAR_RECORD)
    whole = memoryview(buffer.reshape(-1).view(np.uint8).data)
    width = bars * RECORD_BYTES
    rows = [whole[at * width : (at + 1) * width] for at in range(ROWS_A_BLOCK)]
    questions = [
        b"".join(_questions(names[first : first + ROWS_AHEAD], segments)) for first in range(0, len(names), ROWS_AHEAD)
    ]
    for question in questions[:1]:
        link.sendall(question)
    for first in range(0, len(names), ROWS_A_BLOCK):
        batch, within = divmod(first, ROWS_AHEAD)
        if within == 0 and batch + 1 < len(questions):
            link.sendall(questions[batch + 1])
        some = min(ROWS_A_BLOCK, len(names) - first)
        for row in rows[:some]:
            at = 0
            for _, count in segments:
                _read_into(replies, row[at : at + count * RECORD_BYTES])
                at += count * RECORD_BYTES
        yield buffer[:some]


def _questions(names: Sequence[bytes], segments: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for name in names:
        for slot, count in segments:
            start = slot * RECORD_BYTES
            yield _command(b"GETRANGE", name, b"%d" % start, b"%d" % (start + count * RECORD_BYTES - 1))


def _read_into(replies: BufferedReader, target: memoryview) -> None:
    """Read one bulk string into ``target``; what it is too short for becomes zero."""
    head = replies.readline(LONGEST_LINE)
    if not head.startswith(b"$") or not head[1:-2].isdigit():
        raise BulkRefused(f"expected a bulk string, came {head[:80]!r}")
    size = int(head[1:-2])
    if size > len(target):
        raise BulkRefused(f"asked for {len(target)} bytes, came {size}")
    if replies.readinto(target[:size]) != size or replies.read(2) != b"\r\n":
        raise BulkRefused("the connection ended within a reply")
    if size < len(target):
        target[size:] = bytes(len(target) - size)


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


__all__ = ["BulkReader", "BulkRefused"]
