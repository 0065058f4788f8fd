"""Bar rings: one Redis string a symbol, written in any order any number of times, read as one panel.

1. A ring is ``capacity`` records of 72 bytes; a bar's slot follows from its open time.
2. A write sends runs of consecutive slots, one script a symbol, many symbols a round trip.
3. The script compares each record with what its slot holds: a later bar wins, an older one never does, and of
   the same bar the surer one wins; equally sure, the new one corrects the old.
4. A load asks for the slots of its window alone and copies them into the panel's arrays.
5. A gap is a slot whose open time is not the expected one. A bar that the exchange does not have (it stood still, or
   the symbol was not listed yet) may be marked as absent: it is not valid, and it is no gap, so nobody asks for it
   again; should the bar come after all, it takes its slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import redis.asyncio as aioredis

from aione.panel.bar_panel import BarPanel
from aione.panel.bars import BAR_RECORD
from aione.store import keys
from aione.store.connect import redis_errors
from aione.store.ring_layout import RECORD_BYTES, Correction, Records, RingLayout, RingView, Written, is_sure
from aione.store.ring_memory import MemoryRings
from config import config

SYMBOLS_A_READ: Final = 32
BYTES_A_WRITE: Final = 4 << 20

# The runs arrive as (first slot, records) pairs. A record is 72 bytes; counted from 1, as Lua does, its open time is
# the first 8, its numbers end at the 68th, the 69th is its source, the 70th its finality, the 71st its flags. A slot
# that was never written holds open time 0.
_WRITE_LUA: Final = """
local changed, corrected = 0, 0
for arg = 4, #ARGV, 2 do
  local start, run = tonumber(ARGV[arg]) * 72, ARGV[arg + 1]
  local held = redis.call('GETRANGE', KEYS[1], start, start + #run - 1)
  local from = nil
  for at = 1, run == held and 0 or #run, 72 do
    local wins, flags = true, 0
    if at + 71 <= #held then
      local new, old = struct.unpack('<i8', run, at), struct.unpack('<i8', held, at)
      if new < old then
        wins = false
      elseif new == old then
        local surer, sure = run:byte(at + 69), held:byte(at + 69)
        local differs = run:sub(at + 8, at + 67) ~= held:sub(at + 8, at + 67)
        local tells = differs or run:byte(at + 68) ~= held:byte(at + 68)
        wins = surer > sure or (surer == sure and tells)
        local was_corrected = bit.band(held:byte(at + 70), 2) > 0
        if wins and sure >= 2 and differs then
          corrected = corrected + 1
          redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'symbol', ARGV[2], 'timeframe', ARGV[3],
            'before', held:sub(at, at + 71), 'after', run:sub(at, at + 71))
          was_corrected = true
        end
        if was_corrected then flags = 2 end
      end
    end
    if wins then changed = changed + 1 end
    if (not wins or flags > 0) and from then
      redis.call('SETRANGE', KEYS[1], start + from - 1, run:sub(from, at - 1))
      from = nil
    end
    if wins and flags > 0 then
      local flagged = string.char(bit.bor(run:byte(at + 70), flags))
      redis.call('SETRANGE', KEYS[1], start + at - 1, run:sub(at, at + 69) .. flagged .. run:sub(at + 71, at + 71))
    elseif wins then
      from = from or at
    end
  end
  if from then
    redis.call('SETRANGE', KEYS[1], start + from - 1, run:sub(from))
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {changed, corrected}
"""


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
        self._script = redis.register_script(_WRITE_LUA)

    async def write(self, records: Mapping[str, Records]) -> Written:
        """Store bars; see `Rings.write`."""
        calls = [(symbol, arguments) for symbol, rows in records.items() for arguments in self._arguments(symbol, rows)]
        written = Written()
        with redis_errors("writing bars"):
            for batch in _by_size(calls):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for symbol, arguments in batch:
                        await self._script(
                            keys=[keys.bar_ring(symbol, self.timeframe), keys.bar_corrections()],
                            args=[self._ttl_s, symbol, self.timeframe, *arguments],
                            client=pipe,
                        )
                    for changed, corrected in await pipe.execute():
                        written += Written(changed, corrected)
        return written

    async def load(self, symbols: Sequence[str], end_ms: int, bars: int) -> BarPanel:
        """Return the panel of ``bars`` bars that ends at ``end_ms``; see `Rings.load`."""
        start_ms = self.layout.window(end_ms, bars)
        return self.layout.panel(symbols, start_ms, await self._windows(symbols, start_ms, bars))

    async def gaps(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Return what is missing; see `Rings.gaps`."""
        bars = self.layout.bars_between(start_ms, end_ms)
        blocks = await self._windows(symbols, start_ms, bars)
        held = [row["open_time_ms"] for block in blocks for row in block]
        return {symbol: self.layout.missing(start_ms, times) for symbol, times in zip(symbols, held, strict=True)}

    async def view(self, symbols: Sequence[str], end_ms: int, bars: int) -> RingView:
        """Return the panel with finality and holes; see `Rings.view`."""
        start_ms = self.layout.window(end_ms, bars)
        return self.layout.view(symbols, start_ms, await self._windows(symbols, start_ms, bars))

    async def records(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held; see `Rings.records`."""
        bars = self.layout.bars_between(start_ms, end_ms)
        grid = self.layout.grid(start_ms, bars)
        rows = [row for block in await self._windows(symbols, start_ms, bars) for row in block]
        return {symbol: row[row["open_time_ms"] == grid] for symbol, row in zip(symbols, rows, strict=True)}

    async def unsure(self, symbols: Sequence[str], open_time_ms: int) -> list[str]:
        """Return the symbols without a final bar; see `Rings.unsure`."""
        rows = np.concatenate(await self._windows(symbols, open_time_ms, 1))[:, 0]
        return [symbol for symbol, sure in zip(symbols, is_sure(rows, open_time_ms), strict=True) if not sure]

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

    def _arguments(self, symbol: str, rows: Records) -> Iterator[list[Any]]:
        """Yield the scripts' arguments, each for at most one ring's worth of records."""
        arguments: list[Any] = []
        size = 0
        for slot, run in self.layout.runs(symbol, rows):
            if size + len(run) > self.layout.capacity:
                yield arguments
                arguments, size = [], 0
            arguments += [slot, run.tobytes()]
            size += len(run)
        if arguments:
            yield arguments

    async def _windows(self, symbols: Sequence[str], start_ms: int, bars: int) -> list[Records]:
        """Return the slots of the window, ``(n, bars)`` for each block of symbols; zeros where nothing is held."""
        segments = self.layout.segments(start_ms, bars)
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


def _by_size(calls: Sequence[tuple[str, list[Any]]]) -> Iterator[list[tuple[str, list[Any]]]]:
    """Split calls into round trips of about `BYTES_A_WRITE`."""
    batch: list[tuple[str, list[Any]]] = []
    size = 0
    for key, arguments in calls:
        batch.append((key, arguments))
        size += sum(len(run) for run in arguments[1::2])
        if size >= BYTES_A_WRITE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


__all__ = ["BarRings", "MemoryRings", "Rings"]
