"""Which trade events may leave Redis, and how: whole trades, long over, read back from the archive.

1. A trade is followed while it stands among the open ones or has an event within ``trades_stream_days``.
2. The stream may be cut before the first event of the oldest trade that is followed, and of the newest trade of all:
   whoever replays the rest finds no trade without its beginning.
3. Before the cut the archive's files are read, and hold every single entry that will leave; else nothing is cut.
4. The cut is exact, and the trades' numbers leave with their events, in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import redis.asyncio as aioredis

from aione.errors import InvalidInput
from aione.housekeeping.days import DayArchive
from aione.housekeeping.tables import day_of, entry_ms, place_of
from aione.store import keys
from aione.store.connect import redis_errors
from config.housekeeping_models import DAY_S, HousekeepingParams

PAGE: Final = 2_000


@dataclass(slots=True)
class _Life:
    """A trade's events in the stream: its first and its last place."""

    first: str
    last: str


@dataclass(slots=True)
class TradeTrim:
    """What left, and why no more: entries, trades, and the reason where the archive did not allow it."""

    length: int = 0
    removed: int = 0
    trades: int = 0
    refused: str = ""


@dataclass(slots=True)
class _Stream:
    places: list[str] = field(default_factory=list)
    lives: dict[str, _Life] = field(default_factory=dict)


async def trim_trades(
    redis: aioredis.Redis, archive: DayArchive | None, params: HousekeepingParams, now_ms: int, *, is_dry: bool = False
) -> TradeTrim:
    """Cut the trade events that are long over and archived.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    archive : DayArchive or None
        Of the trades; without one nothing is cut.
    params : HousekeepingParams
    now_ms : int
        UTC epoch milliseconds, Redis' clock.
    is_dry : bool
        Only say what would be cut.

    Raises
    ------
    InvalidInput
        The stream holds something else than trade events.
    ServiceUnavailable
        Redis does not answer, or the archive cannot be read.
    """
    with redis_errors("reading trade events"):
        stream = await _read(redis)
        opened: Any = await redis.hvals(keys.open_trades())
    oldest = (now_ms - round(1000 * DAY_S * params.trades_stream_days), 0)
    before = _cut(stream, {orjson.loads(raw)["trade_id"] for raw in opened}, oldest)
    leaving = [place for place in stream.places if before is not None and place_of(place) < place_of(before)]
    done = TradeTrim(length=len(stream.places))
    if not leaving or before is None:
        return done
    done.refused = _refusal(archive, leaving)
    if done.refused:
        return done
    gone = [name for name, life in stream.lives.items() if place_of(life.last) < place_of(before)]
    done.removed, done.trades = len(leaving), len(gone)
    if not is_dry:
        with redis_errors("trimming trade events"):
            async with redis.pipeline(transaction=True) as pipe:
                pipe.xtrim(keys.trade_events(), minid=before, approximate=False)
                pipe.hdel(keys.trade_numbers(), *gone)
                removed, _ = await pipe.execute()
        done.removed = int(removed)
    return done


def _cut(stream: _Stream, opened: set[str], oldest: tuple[int, int]) -> str | None:
    """Return the first entry that must stay; None where there is none at all."""
    if not stream.places:
        return None
    newest = stream.places[-1]
    followed = [
        life.first
        for name, life in stream.lives.items()
        if name in opened or place_of(life.last) >= oldest or life.last == newest
    ]
    return min(followed, key=place_of)


def _refusal(archive: DayArchive | None, leaving: list[str]) -> str:
    """Return why these entries must stay; empty where the archive holds every one."""
    if archive is None:
        return "there is no archive directory"
    for day in sorted({day_of(entry_ms(place)) for place in leaving}):
        missing = {place for place in leaving if day_of(entry_ms(place)) == day} - archive.places(day)
        if missing:
            return f"the archive of {day} lacks {len(missing)} of the events that would leave"
    return ""


async def _read(redis: aioredis.Redis) -> _Stream:
    stream, start = _Stream(), "-"
    while True:
        page: Any = await redis.xrange(keys.trade_events(), min=start, count=PAGE)
        if not page:
            return stream
        for raw_place, fields in page:
            place = raw_place.decode()
            name = _trade_id(place, fields)
            stream.places.append(place)
            life = stream.lives.setdefault(name, _Life(place, place))
            life.last = place
        start = f"({page[-1][0].decode()}"


def _trade_id(place: str, fields: dict[bytes, bytes]) -> str:
    try:
        return str(orjson.loads(fields[b"event"])["trade_id"])
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise InvalidInput(
            f"entry {place} of Redis key {keys.trade_events()} must be a trade event: {error}"
        ) from error


__all__ = ["TradeTrim", "trim_trades"]
