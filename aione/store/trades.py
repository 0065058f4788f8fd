"""`TradeStore`: the trade events in Redis, and views of them that make a minute's load cheap.

1. The stream `keys.trade_events` is the truth: nothing is ever changed or trimmed in it here.
2. Three views follow from it: open trades by symbol, the newest closed trades, the last event number of each trade.
3. One script appends a trade's new events and updates the views, all or nothing, so no crash can part them.
4. The script takes events only if the first one is numbered exactly one above the trade's last: of two writers who
   would both close a trade, the second is refused. It refuses a second open trade of a symbol in the same way.
5. The script notes the id of the last stream entry that the views contain, and the views' sizes. A load compares
   them with what it finds: equal, and the views are read (open trades and the newest closed ones); different, and
   everything is rebuilt from the whole stream first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import Any, Final, cast

import orjson
import redis.asyncio as aioredis

from aione.errors import IllegalTransition, InvalidInput
from aione.stage3.book import TradeBook
from aione.stage3.machine import State
from aione.stage3.trade import Trade, TradeEvent
from aione.store import keys
from aione.store.connect import redis_errors

MARK: Final = "@"
PAGE: Final = 2000

# KEYS: events, numbers, open, closed. ARGV: trade id, symbol, mark before ("" at the first), mark after (a mark is
# "number:digest" of an event), trade as JSON, "1" where closed, how many closed ones to keep, the events as JSON.
_APPEND_LUA: Final = """
local before = redis.call('HGET', KEYS[2], ARGV[1])
if (before or '') ~= ARGV[3] then return 0 end
if ARGV[3] == '' and redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then return 0 end
local id = ''
for arg = 8, #ARGV do
  id = redis.call('XADD', KEYS[1], '*', 'event', ARGV[arg])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
if ARGV[6] == '1' then
  redis.call('HDEL', KEYS[3], ARGV[2])
  redis.call('LPUSH', KEYS[4], ARGV[5])
  redis.call('LTRIM', KEYS[4], 0, ARGV[7] - 1)
else
  redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
end
local size = redis.call('HLEN', KEYS[3]) .. ':' .. redis.call('LLEN', KEYS[4])
redis.call('HSET', KEYS[2], '@', id .. ':' .. size)
return #ARGV - 7
"""

# KEYS: events, numbers, open, closed. ARGV: the stream's last id as read, then the counts and contents of the views.
_REPLACE_LUA: Final = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if (last[1] and last[1][1] or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
local arg = 2
for view = 2, 4 do
  local count = tonumber(ARGV[arg])
  for at = arg + 1, arg + count, 2 do
    if view == 4 then
      redis.call('RPUSH', KEYS[4], ARGV[at + 1])
    else
      redis.call('HSET', KEYS[view], ARGV[at], ARGV[at + 1])
    end
  end
  arg = arg + count + 1
end
return 1
"""


@dataclass(slots=True)
class AppendCounts:
    """What became of the events handed to a store since it was made."""

    appended: int = 0
    duplicates: int = 0
    refused: int = 0


class TradeStore:
    """Trade events in Redis, shared by all writers.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that returns bytes.
    keep_closed : int
        How many closed trades `load` gives; the events of all of them stay in the stream.

    Attributes
    ----------
    counts : AppendCounts
    """

    def __init__(self, redis: aioredis.Redis, *, keep_closed: int = 1000) -> None:
        if keep_closed < 1:
            raise InvalidInput(f"keep_closed must be at least 1, was {keep_closed}")
        self.counts = AppendCounts()
        self._redis = redis
        self._keep_closed = keep_closed
        self._keys = [keys.trade_events(), keys.trade_numbers(), keys.open_trades(), keys.closed_trades()]
        self._append = redis.register_script(_APPEND_LUA)
        self._replace = redis.register_script(_REPLACE_LUA)

    async def load(self) -> TradeBook:
        """Return the book: every open trade and the newest ``keep_closed`` closed ones, oldest first.

        Costs one round trip while the views are whole; rebuilds them from the stream where they are not.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer.
        """
        events, numbers, opened, closed = self._keys
        with redis_errors("loading trades"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xrevrange(events, count=1)
                pipe.hget(numbers, MARK)
                pipe.hvals(opened)
                pipe.lrange(closed, 0, self._keep_closed - 1)
                pipe.llen(closed)
                last, mark, open_trades, closed_trades, closed_size = await pipe.execute()
        whole = b"%s:%d:%d" % (last[0][0], len(open_trades), closed_size) if last else None
        if mark != whole:
            return await self.rebuild()
        blobs = [*reversed(closed_trades), *open_trades]
        return TradeBook(Trade.from_dict(orjson.loads(blob)) for blob in blobs)

    async def rebuild(self) -> TradeBook:
        """Replay the whole stream, replace the views by what it says, and return the book of all trades.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer.
        IllegalTransition, InvalidInput
            The stream holds what no writer of ours writes; nothing is changed.
        """
        while True:
            events, last = await self._read_stream()
            book = TradeBook.from_events(events)
            if await self._replace_views(book, events, last):
                return book

    async def events(self) -> list[TradeEvent]:
        """Return every event ever appended, in order.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer.
        """
        return (await self._read_stream())[0]

    async def append(self, events: Sequence[TradeEvent]) -> int:
        """Store new events; return how many were new and taken.

        An event that the stream already holds is a duplicate and is ignored. One that does not follow its trade's
        last event, or contradicts it, is refused with all later ones of that trade: the caller's book is behind,
        and must be loaded again. So: apply the events where the return value is ``len(events)``, else load.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer; whether the events were taken is then unknown, and appending again is safe.
        """
        taken = 0
        with redis_errors("appending trade events"):
            for trade_id, group in groupby(events, key=lambda event: event.trade_id):
                taken += await self._append_trade(trade_id, list(group))
        self.counts.appended += taken
        return taken

    # ── One trade ──

    async def _append_trade(self, trade_id: str, events: list[TradeEvent]) -> int:
        while True:
            mark, trade, busy = await self._held(trade_id)
            number = int(mark.split(":")[0]) if mark else 0
            fresh = [event for event in events if event.number > number]
            contradicts = any(event.number == number and _mark(event) != mark for event in events)
            after = None if contradicts or not fresh else _after(trade, fresh)
            if after is None or (not mark and after.symbol in busy):
                self.counts.refused += len(fresh) + contradicts
                self.counts.duplicates += len(events) - len(fresh) - contradicts
                return 0
            taken = int(await self._append(keys=self._keys, args=self._arguments(trade_id, mark, after, fresh)))
            if taken:
                self.counts.duplicates += len(events) - len(fresh)
                return taken

    def _arguments(self, trade_id: str, mark: str, after: Trade, fresh: list[TradeEvent]) -> list[Any]:
        closed = "1" if after.state is State.CLOSED else "0"
        after_json = orjson.dumps(after.to_dict())
        blobs = [orjson.dumps(event.to_dict()) for event in fresh]
        return [trade_id, after.symbol, mark, _mark(fresh[-1]), after_json, closed, self._keep_closed, *blobs]

    async def _held(self, trade_id: str) -> tuple[str, Trade | None, set[str]]:
        """Return the trade's mark ("" where it is new), the trade where it is open, and the symbols that have one."""
        _, numbers, opened, _ = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hget(numbers, trade_id)
            pipe.hvals(opened)
            mark, blobs = await pipe.execute()
        trades = [Trade.from_dict(orjson.loads(blob)) for blob in blobs]
        trade = next((trade for trade in trades if trade.trade_id == trade_id), None)
        return (mark or b"").decode(), trade, {trade.symbol for trade in trades}

    # ── The stream ──

    async def _read_stream(self) -> tuple[list[TradeEvent], str]:
        found: list[TradeEvent] = []
        last = ""
        with redis_errors("reading trade events"):
            while page := await self._page(f"({last}" if last else "-"):
                found += [TradeEvent.from_dict(orjson.loads(entry[b"event"])) for _, entry in page]
                last = page[-1][0].decode()
        return found, last

    async def _page(self, start: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        return cast(
            "list[tuple[bytes, dict[bytes, bytes]]]", await self._redis.xrange(self._keys[0], min=start, count=PAGE)
        )

    async def _replace_views(self, book: TradeBook, events: Iterable[TradeEvent], last: str) -> bool:
        """Return False where the stream has grown since it was read."""
        numbers = {event.trade_id: _mark(event) for event in events}
        opened = {symbol: orjson.dumps(trade.to_dict()) for symbol, trade in book.open.items()}
        newest = reversed(book.closed[-self._keep_closed :])
        closed = {trade.trade_id: orjson.dumps(trade.to_dict()) for trade in newest}
        if last:
            numbers[MARK] = f"{last}:{len(opened)}:{len(closed)}"
        arguments: list[Any] = [last]
        for view in (numbers, opened, closed):
            arguments += [2 * len(view), *(part for pair in view.items() for part in pair)]
        with redis_errors("rebuilding trades"):
            return bool(await self._replace(keys=self._keys, args=arguments))


def _after(trade: Trade | None, events: Sequence[TradeEvent]) -> Trade | None:
    """Return the trade after ``events``; None where they do not follow from it."""
    try:
        for event in events:
            trade = Trade.planned(event) if trade is None else trade.applied(event)
    except (IllegalTransition, InvalidInput):
        return None
    return trade


def _mark(event: TradeEvent) -> str:
    """Return what tells this event from any other of its trade."""
    content = orjson.dumps(event.to_dict(), option=orjson.OPT_SORT_KEYS)
    return f"{event.number}:{blake2b(content, digest_size=8).hexdigest()}"


__all__ = ["AppendCounts", "TradeStore"]
