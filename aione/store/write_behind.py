"""`WriteBehind`: bars go to RAM and Redis at once; what Redis did not get, or has lost, is caught up.

1. A write goes to RAM, then to Redis. Where Redis is away or refuses, its open times are remembered; the bars
   themselves stand in RAM.
2. `WriteBehind.replay`, called every second or so, looks whether Redis has kept everything (`aione.store.canary`), for
   a Redis that came back empty answers as one that was never away.
3. After an outage or a loss, and every `COMPARE_EVERY_S` anyway, Redis is compared with RAM: what it lacks, or holds
   less surely, waits like the rest.
4. What waits is written, some at a time. What failed waits on; what has meanwhile left RAM is counted as dropped.
5. `WriteBehind.keep` drops the symbols that nobody follows any more from RAM, those that wait for Redis not before
   they are written.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import numpy as np
from redis.exceptions import RedisError

from aione.errors import ServiceUnavailable
from aione.store.canary import Watched
from aione.store.ring_layout import Records, Written
from aione.store.ring_memory import MemoryRings
from aione.store.rings import Rings

log = logging.getLogger(__name__)

REPLAY_BARS: Final = 5_000
COMPARE_SYMBOLS: Final = 32
COMPARE_EVERY_S: Final = 600.0
RECENT_BARS: Final = 5
"""So many bars before the newest are compared whole after an outage: Redis may hold them in an older state."""

TROUBLE: Final = (ServiceUnavailable, RedisError)
"""What Redis may answer instead of taking bars; whatever it is, the bars wait."""


class WriteBehind:
    """The writing half of `aione.store.tiers.TieredRings`, which describes the parameters and the attributes."""

    def __init__(self, redis: Rings, memory: MemoryRings | None, *, is_buffering: bool) -> None:
        self.timeframe = redis.timeframe
        self.layout = redis.layout
        self.newest_ms: dict[str, int] = {}
        self.replayed = 0
        self.dropped = 0
        self.away_since_s: float | None = None
        self._redis = redis
        self._memory = memory
        self._buffer = memory if is_buffering else None
        self._canary = redis.canary() if self._buffer is not None and isinstance(redis, Watched) else None
        self._waiting: dict[str, set[int]] = {}
        self._in_hand: Counter[str] = Counter()
        self._kept: frozenset[str] | None = None
        self._must_compare = False
        self._compared_s: float | None = None

    @property
    def pending(self) -> int:
        """Return how many bars wait for Redis."""
        return sum(map(len, self._waiting.values()))

    @property
    def needs_replay(self) -> bool:
        """Return whether Redis is known to lack something: it was away, or has lost what it had."""
        return bool(self._waiting) or self._must_compare

    def keep(self, symbols: Collection[str]) -> None:
        """Let RAM hold these symbols alone.

        Others that wait for Redis, or are being written just now, leave at a later call: call this now and then.
        """
        self._kept = frozenset(symbols)
        if self._memory is not None:
            stay = self._kept | self._waiting.keys() | self._in_hand.keys()
            self._memory.forget([symbol for symbol in self._memory.symbols if symbol not in stay])

    def ages_s(self, now_ms: int) -> dict[str, float]:
        """Return, for RAM and Redis, the seconds since the newest bar there was over; a tier without bars is absent."""
        interval_ms = self.layout.interval_ms
        return {tier: (now_ms - newest - interval_ms) / 1000 for tier, newest in self.newest_ms.items() if newest}

    # ── Writing ──

    async def write(self, records: Mapping[str, Records]) -> Written:
        """Store bars; see `Rings.write`. A store that buffers does not raise for anything that Redis does."""
        held = Written()
        with self._kept_in_ram(records):
            if self._memory is not None:
                held = await self._memory.write(records)
                self._note("memory", records)
            try:
                written = await self._redis.write(records)
            except TROUBLE as error:
                if self._buffer is None:
                    raise
                if not isinstance(error, ServiceUnavailable):
                    log.warning("Redis does not take bars, they wait: %s", error)
                self._wait(records)
                return held
            except asyncio.CancelledError:
                if self._buffer is not None:
                    self._wait(records)  # nobody knows whether Redis has them
                raise
        if not self.needs_replay:
            self.away_since_s = None
        self._note("redis", records)
        return written

    async def replay(self) -> int:
        """Write what waits for Redis, and what it has lost, which this finds out; return how many bars were written.

        One round trip where nothing is wrong: to be called every second or so, whatever `needs_replay` says.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer, or refuses; everything waits on.
        """
        if self._buffer is None:
            return 0
        done = 0
        try:
            await self._look_for_loss()
            now_s = asyncio.get_running_loop().time()
            if self._must_compare or self._compared_s is None or now_s - self._compared_s >= COMPARE_EVERY_S:
                await self._find_lost(self._buffer, has_lost=self._must_compare)
                self._compared_s = now_s
            while self._waiting:
                done += await self._replay_some(self._buffer)
        except TROUBLE as error:
            self._mark_away()
            if isinstance(error, ServiceUnavailable):
                raise
            raise ServiceUnavailable(f"Redis does not take the bars that wait: {error}") from error
        self.away_since_s = None
        return done

    async def _look_for_loss(self) -> None:
        if self._canary is not None and not await self._canary.is_well():
            if self._compared_s is not None:
                log.warning("Redis was restarted or has lost data; it is compared with RAM")
            self._must_compare = True

    async def _replay_some(self, buffer: MemoryRings) -> int:
        """Write some of what waits. It does not wait meanwhile, so that what comes meanwhile waits anew."""
        taken = self._take_some()
        with self._kept_in_ram(taken):
            is_done = False
            try:
                rows = {}
                for symbol, times_ms in taken.items():
                    held = (await buffer.records([symbol], times_ms[0], times_ms[-1]))[symbol]
                    rows[symbol] = held[np.isin(held["open_time_ms"], times_ms)]
                await self._redis.write(rows)
                is_done = True
            finally:
                if not is_done:
                    for symbol, times_ms in taken.items():
                        self._waiting.setdefault(symbol, set()).update(times_ms)
        self._note("redis", rows)
        count = sum(map(len, rows.values()))
        self.replayed += count
        self.dropped += sum(map(len, taken.values())) - count
        return count

    def _take_some(self) -> dict[str, list[int]]:
        """Take some open times from what waits, those of a symbol within one ring's span."""
        taken: dict[str, list[int]] = {}
        size = 0
        while self._waiting and size < REPLAY_BARS:
            symbol, times = self._waiting.popitem()
            until = min(times) + self.layout.capacity * self.layout.interval_ms
            taken[symbol] = some = sorted(time for time in times if time < until)
            size += len(some)
            if len(some) < len(times):
                self._waiting[symbol] = times.difference(some)
                break
        return taken

    async def _find_lost(self, buffer: MemoryRings, *, has_lost: bool) -> None:
        """Let wait what RAM has, of symbols that are followed, and Redis lacks or holds in an older state."""
        interval_ms = self.layout.interval_ms
        end_ms = buffer.newest_ms
        start_ms = max(interval_ms, end_ms - (self.layout.capacity - 1) * interval_ms)
        names = [symbol for symbol in buffer.symbols if self._kept is None or symbol in self._kept]
        self._must_compare, is_done = False, False
        try:
            for first in range(0, len(names), COMPARE_SYMBOLS):
                some = names[first : first + COMPARE_SYMBOLS]
                held = await self._redis.records(some, start_ms, end_ms)
                for symbol, rows in (await buffer.records(some, start_ms, end_ms)).items():
                    lost = lost_times(rows, held[symbol], whole=RECENT_BARS if has_lost else 0)
                    if lost:
                        self._waiting.setdefault(symbol, set()).update(lost)
            is_done = True
        finally:
            self._must_compare |= has_lost and not is_done

    def _wait(self, records: Mapping[str, Records]) -> None:
        self._must_compare = True
        self._mark_away()
        for symbol, rows in records.items():
            if rows.size:
                self._waiting.setdefault(symbol, set()).update(rows["open_time_ms"].tolist())

    def _mark_away(self) -> None:
        if self.away_since_s is None:
            self.away_since_s = asyncio.get_running_loop().time()

    @contextmanager
    def _kept_in_ram(self, symbols: Iterable[str]) -> Iterator[None]:
        """Let symbols stay in RAM while the block writes them to Redis: if it fails, they wait there."""
        names = Counter(list(symbols))  # a mapping would be counts
        self._in_hand += names
        try:
            yield
        finally:
            self._in_hand -= names

    def _note(self, tier: str, records: Mapping[str, Records]) -> None:
        newest = max((int(rows["open_time_ms"].max()) for rows in records.values() if rows.size), default=0)
        self.newest_ms[tier] = max(newest, self.newest_ms.get(tier, 0))


def lost_times(ram: Records, redis: Records, *, whole: int) -> list[int]:
    """Return the open times of bars of ``ram`` that ``redis`` lacks or holds less surely.

    Both are of one symbol, by ascending open time. The newest ``whole`` bars of ``ram`` must be in ``redis`` bit for
    bit.
    Older bars that are equally sure and differ otherwise are not told: another process may know better.
    """
    at = np.searchsorted(redis["open_time_ms"], ram["open_time_ms"])
    is_lost = np.ones(len(ram), dtype=np.bool_)
    if redis.size:
        same = redis[np.minimum(at, len(redis) - 1)]
        is_lost = (same["open_time_ms"] != ram["open_time_ms"]) | (same["finality"] < ram["finality"])
        for row in range(max(0, len(ram) - whole), len(ram)):
            is_lost[row] |= same[row].tobytes() != ram[row].tobytes()
    times: list[int] = ram["open_time_ms"][is_lost].tolist()
    return times


__all__ = ["TROUBLE", "WriteBehind", "lost_times"]
