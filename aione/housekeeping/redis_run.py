"""One run over Redis: streams, trade events, symbols that are gone, the append-only file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio as aioredis

from aione.housekeeping.days import DayArchive
from aione.housekeeping.redis_care import forget_gone_symbols, redis_now_ms, rewrite_aof
from aione.housekeeping.streams import Trim, trim_streams
from aione.housekeeping.tables import TRADES
from aione.housekeeping.trade_trim import TradeTrim, trim_trades
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class RedisReport:
    """What left each stream and the trades, which symbols were forgotten, what became of the append-only file."""

    streams: list[Trim]
    trades: TradeTrim
    gone: list[str]
    aof: str

    def summary(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "trimmed": {trim.stream: trim.removed for trim in self.streams if trim.removed},
            "trade_events": self.trades.length,
            "trade_events_removed": self.trades.removed,
            "trades_removed": self.trades.trades,
            "symbols_forgotten": self.gone,
            "aof": self.aof,
        }

    def warnings(self) -> list[str]:
        """Return what a person should know."""
        said = [
            f"stream {trim.stream} holds {trim.length - trim.removed} entries, {trim.most} may stay"
            for trim in self.streams
            if not trim.is_bounded
        ]
        if self.trades.refused:
            said.append(f"old trade events stay in Redis: {self.trades.refused}")
        return said


async def keep_redis(
    redis: aioredis.Redis, settings: Settings, data: Path | None, until: Mapping[str, str], *, is_dry: bool = False
) -> RedisReport:
    """Trim what is too long or too old, as far as it is archived.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    settings : Settings
    data : Path or None
        Of the archive; without it trade events stay.
    until : mapping of stream to entry id
        Up to where each stream lies in a verified archive.
    is_dry : bool
        Only say what would leave.

    Raises
    ------
    InvalidInput
        A stream holds something else than it should.
    ServiceUnavailable
        Redis does not answer.
    """
    now_ms = await redis_now_ms(redis)
    trades = None if data is None else DayArchive(data, TRADES)
    return RedisReport(
        await trim_streams(redis, settings, until, now_ms, is_dry=is_dry),
        await trim_trades(redis, trades, settings.HOUSEKEEPING, now_ms, is_dry=is_dry),
        await forget_gone_symbols(redis, is_dry=is_dry),
        await rewrite_aof(redis, settings.HOUSEKEEPING, is_dry=is_dry),
    )


__all__ = ["RedisReport", "keep_redis"]
