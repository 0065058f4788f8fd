"""Bar rings: one Redis string a symbol, written in any order any number of times, read as one panel.

1. A ring is ``capacity`` records of 72 bytes; a bar's slot follows from its open time.
2. A write sends runs of consecutive slots, many symbols to one run of the script: a minute of all is one call. A
   script's run is bounded, because Redis serves nobody else meanwhile.
3. The script compares each record with what its slot holds: a later bar wins, an older one never does, and of
   the same bar the surer one wins; equally sure, the new one corrects the old.
4. A load asks for the slots of its window alone and copies them into the panel's arrays, a large one through a
   socket of its own, block by block while the next ones arrive (`aione.store.bulk`).
5. A gap is a slot whose open time is not the expected one. A bar that the exchange does not have (it stood still, or
   the symbol was not listed yet) may be marked as absent: it is not valid, and it is no gap, so nobody asks for it
   again; should the bar come after all, it takes its slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import numpy as np
import redis.asyncio as aioredis

from aione.panel.bar_panel import I8, BarPanel
from aione.panel.bars import BAR_RECORD
from aione.store import keys
from aione.store.bulk import BulkReader, BulkRefused
from aione.store.canary import Canary
from aione.store.connect import redis_errors
from aione.store.ring_layout import RECORD_BYTES, Correction, Records, RingLayout, RingView, Written, is_sure
from aione.store.ring_memory import MemoryRings
from aione.store.ring_script import WRITE_LUA
from config import config

SYMBOLS_A_READ: Final = 32
BULK_FROM_RECORDS: Final = 20_000
"""From here on a read takes a socket of its own; below, a thread would cost more than it saves."""
RECORDS_A_CALL: Final = 4_096
SYMBOLS_A_CALL: Final = 1_024
CALLS_A_TRIP: Final = 16

T = TypeVar("T")
Part: TypeAlias = tuple[str, list[Any], int]
"""A symbol, its runs as ``[slot, bytes, slot, bytes, ...]``, and their records."""


class Rings(Protocol):
    """Closed bars by symbol; implemented by `BarRings` in Redis and `MemoryRings` in RAM, with the same behaviour."""

    timeframe: str
    layout: RingLayout

    async def write(self, records: Mapping[str, Records]) -> Written:
        """Store bars; return how many slots changed. Repeating a write changes nothing.

        A slot takes a later bar always and an older one never. Of the same bar the surer one wins (`Finality`);
        equally sure, the new one replaces the held one. A final bar that gets other numbers so is a correction: it is
        counted, marked with `CORRECTED` and journaled with both records.

        Parameters
        ----------
        records : mapping of symbol to rows of `BAR_RECORD`
            Any order, any number; the same bar twice is as writing it twice.

        Raises
        ------
        InvalidInput
            Another dtype, or an open time that is not a positive multiple of the interval; nothing is written.
        ServiceUnavailable
            Redis does not answer.
        """

    async def load(self, symbols: Sequence[str], end_ms: int, bars: int) -> BarPanel:
        """Return the panel of ``bars`` bars whose last one opens at ``end_ms``; what is not held is not valid.

        Raises
        ------
        InvalidInput
            ``bars`` outside 1..capacity, or ``end_ms`` off the interval's grid.
        ServiceUnavailable
            Redis does not answer.
        """

    async def view(self, symbols: Sequence[str], end_ms: int, bars: int) -> RingView:
        """Return what `load` returns, with finality and holes; errors as `load`."""

    async def records(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held of an inclusive range of open times, as they were written, marks of absent ones too.

        Raises as `gaps`.
        """

    async def unsure(self, symbols: Sequence[str], open_time_ms: int) -> list[str]:
        """Return the symbols whose bar is missing, or not final.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer.
        """

    async def gaps(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Return, for each symbol, the inclusive open-time ranges that are missing, oldest first; ``[]`` is complete.

        A bar marked by `aione.store.ring_layout.absent_bars` is not missing.

        Raises
        ------
        InvalidInput
            A range longer than the capacity, reversed, or off the interval's grid.
        ServiceUnavailable
            Redis does not answer.
        """


class BarRings:
    """Bar rings in Redis.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that returns bytes.
    timeframe : "1m" or "1d"
    capacity : int, optional
        Slots; 2048 minutes or 256 days. The same for every process that shares the rings.
    ttl_s : int, optional
        Seconds a ring outlives its last write; ``INTERVAL_TTL_MAP`` by default.
    """

    def __init__(
        self, redis: aioredis.Redis, timeframe: str = "1m", capacity: int | None = None, *, ttl_s: int | None = None
    ) -> None:
        self.layout = RingLayout.of(timeframe, capacity)
        self.timeframe = timeframe
        self._redis = redis
        self._ttl_s = config.INTERVAL_TTL_MAP[timeframe] if ttl_s is None else ttl_s
        self._script = redis.register_script(WRITE_LUA)
        self._bulk = BulkReader.of(redis)

    def canary(self) -> Canary:
        """Return what tells whether the Redis of these rings has lost anything."""
        return Canary(self._redis)

    async def write(self, records: Mapping[str, Records]) -> Written:
        """Store bars; see `Rings.write`."""
        parts = [part for symbol, rows in records.items() for part in self._parts(symbol, rows)]
        calls = [self._call(group) for group in _grouped(parts, RECORDS_A_CALL, SYMBOLS_A_CALL)]
        written = Written()
        with redis_errors("writing bars"):
            for first in range(0, len(calls), CALLS_A_TRIP):
                for changed, corrected in await self._run(calls[first : first + CALLS_A_TRIP]):
                    written += Written(changed, corrected)
        return written

    async def load(self, symbols: Sequence[str], end_ms: int, bars: int) -> BarPanel:
        """Return the panel of ``bars`` bars that ends at ``end_ms``; see `Rings.load`."""
        return (await self.view(symbols, end_ms, bars)).panel

    async def gaps(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Return what is missing; see `Rings.gaps`."""
        bars = self.layout.bars_between(start_ms, end_ms)
        held = await self._read(symbols, start_ms, bars, _open_times)
        return {symbol: self.layout.missing(start_ms, times) for symbol, times in zip(symbols, held, strict=True)}

    async def view(self, symbols: Sequence[str], end_ms: int, bars: int) -> RingView:
        """Return the panel with finality and holes; see `Rings.view`."""
        start_ms = self.layout.window(end_ms, bars)
        return await self._read(symbols, start_ms, bars, partial(self.layout.view, symbols, start_ms, bars))

    async def records(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held; see `Rings.records`."""
        bars = self.layout.bars_between(start_ms, end_ms)
        grid = self.layout.grid(start_ms, bars)

        def held(blocks: Iterable[Records]) -> list[Records]:
            return [row[row["open_time_ms"] == grid] for block in blocks for row in block]

        return dict(zip(symbols, await self._read(symbols, start_ms, bars, held), strict=True))

    async def unsure(self, symbols: Sequence[str], open_time_ms: int) -> list[str]:
        """Return the symbols without a final bar; see `Rings.unsure`."""

        def sure(blocks: Iterable[Records]) -> list[bool]:
            return [bool(known) for block in blocks for known in is_sure(block[:, 0], open_time_ms)]

        known = await self._read(symbols, open_time_ms, 1, sure)
        return [symbol for symbol, is_known in zip(symbols, known, strict=True) if not is_known]

    async def corrections(self, count: int = 100) -> list[Correction]:
        """Return the newest corrections of any timeframe, newest first.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer.
        """
        with redis_errors("reading the corrections"):
            entries: Any = await self._redis.xrevrange(keys.bar_corrections(), count=count)
        return [
            Correction(
                fields[b"symbol"].decode(),
                fields[b"timeframe"].decode(),
                np.frombuffer(fields[b"before"], BAR_RECORD),
                np.frombuffer(fields[b"after"], BAR_RECORD),
            )
            for _, fields in entries
        ]

    def _parts(self, symbol: str, rows: Records) -> Iterator[Part]:
        """Yield what a symbol's script calls write, each at most one ring's worth of records."""
        arguments: list[Any] = []
        size = 0
        for slot, run in self.layout.runs(symbol, rows):
            if size + len(run) > self.layout.capacity:
                yield symbol, arguments, size
                arguments, size = [], 0
            arguments += [slot, run.tobytes()]
            size += len(run)
        if arguments:
            yield symbol, arguments, size

    def _call(self, parts: Sequence[Part]) -> tuple[list[str], list[Any]]:
        """Return keys and arguments of one script call."""
        names = [keys.bar_corrections(), *(keys.bar_ring(symbol, self.timeframe) for symbol, _, _ in parts)]
        arguments: list[Any] = [self._ttl_s, self.timeframe]
        for symbol, runs, _ in parts:
            arguments += [symbol, len(runs) // 2, *runs]
        return names, arguments

    async def _run(self, calls: Sequence[tuple[list[str], list[Any]]]) -> Sequence[tuple[int, int]]:
        if len(calls) == 1:
            return [await self._script(keys=calls[0][0], args=calls[0][1])]
        async with self._redis.pipeline(transaction=False) as pipe:
            for names, arguments in calls:
                await self._script(keys=names, args=arguments, client=pipe)
            replies: list[tuple[int, int]] = await pipe.execute()
        return replies

    async def _read(self, symbols: Sequence[str], start_ms: int, bars: int, use: Callable[[Iterable[Records]], T]) -> T:
        """Return what ``use`` makes of the window's slots.

        They come as blocks ``(n, bars)`` in the order of ``symbols``, zeros where nothing is held; a block is good
        until the next one is asked for.
        """
        segments = self.layout.segments(start_ms, bars)
        if self._bulk is not None and len(symbols) * bars >= BULK_FROM_RECORDS:
            names = [keys.bar_ring(symbol, self.timeframe).encode() for symbol in symbols]
            with suppress(BulkRefused, OSError):  # the ordinary client knows more ways, and says what is wrong
                return await asyncio.to_thread(self._bulk.read, names, segments, use)
        return use(await self._blocks(symbols, segments, bars))

    async def _blocks(self, symbols: Sequence[str], segments: Sequence[tuple[int, int]], bars: int) -> list[Records]:
        blocks = [np.zeros((0, bars), BAR_RECORD)]
        for first in range(0, len(symbols), SYMBOLS_A_READ):
            some = symbols[first : first + SYMBOLS_A_READ]
            with redis_errors("reading bars"):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for symbol in some:
                        for slot, count in segments:
                            start = slot * RECORD_BYTES
                            pipe.getrange(
                                keys.bar_ring(symbol, self.timeframe), start, start + count * RECORD_BYTES - 1
                            )
                    replies = await pipe.execute()
            blocks.append(_block(replies, [count for _, count in segments], len(some)))
        return blocks


def _open_times(blocks: Iterable[Records]) -> list[I8]:
    """Return each symbol's open times, int64 ``(bars,)``."""
    return [row for block in blocks for row in block["open_time_ms"].copy()]


def _block(replies: Sequence[bytes], counts: Sequence[int], symbols: int) -> Records:
    """Put the replies of one read, ``len(counts)`` a symbol, into one array; a short reply leaves zeros."""
    joined = b"".join(replies)
    if len(joined) == symbols * sum(counts) * RECORD_BYTES:
        return np.frombuffer(joined, BAR_RECORD).reshape(symbols, -1)
    block = np.zeros((symbols, sum(counts)), BAR_RECORD)
    rows = block.view(np.uint8).reshape(symbols, -1)
    for index, reply in enumerate(replies):
        symbol, segment = divmod(index, len(counts))
        start = sum(counts[:segment]) * RECORD_BYTES
        rows[symbol, start : start + len(reply)] = np.frombuffer(reply, np.uint8)
    return block


def _grouped(parts: Sequence[Part], records: int, symbols: int) -> Iterator[list[Part]]:
    """Yield parts in order, so many together that they stay within both bounds; one alone may exceed the first."""
    group: list[Part] = []
    size = 0
    for part in parts:
        if group and (size + part[2] > records or len(group) == symbols):
            yield group
            group, size = [], 0
        group.append(part)
        size += part[2]
    if group:
        yield group


__all__ = ["BarRings", "MemoryRings", "Rings"]
