"""Order book and derivatives context: kept by refreshes and the stream, read as one `MarketSnapshot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import redis.asyncio as aioredis

from aione.panel import F8, BarPanel, MarketSnapshot
from aione.prefilter import PrefilterResult
from aione.screening.runtime import Runtime
from aione.store import keys
from config.models import SymbolInfo

HISTORY: Final = 12
"""Refreshes that are remembered: two hours of them at one in ten minutes."""
HOUR_MS: Final = 3_600_000


class ContextSample(msgspec.Struct, frozen=True):
    """What one refresh saw of each symbol: open interest in quote, depth in quote within 0.5 % of mid."""

    ts_ms: int
    open_interest_quote: dict[str, float]
    depth_bid_quote: dict[str, float]
    depth_ask_quote: dict[str, float]


async def save_context(redis: aioredis.Redis, sample: ContextSample) -> None:
    """Put a sample before the older ones and forget those beyond `HISTORY`."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.lpush(keys.context_history(), msgspec.json.encode(sample))
        pipe.ltrim(keys.context_history(), 0, HISTORY - 1)
        await pipe.execute()


async def load_context(redis: aioredis.Redis) -> list[ContextSample]:
    """Return the remembered samples, newest first."""
    raw = await redis.lrange(keys.context_history(), 0, HISTORY - 1)
    return [msgspec.json.decode(line, type=ContextSample) for line in raw]


async def market_snapshot(
    runtime: Runtime,
    panel: BarPanel,
    infos: Mapping[str, SymbolInfo],
    prefilter: PrefilterResult,
    now_ms: int,
) -> MarketSnapshot:
    """Return what is known of the panel's symbols besides their bars; what nobody measured is NaN."""
    symbols = panel.symbols
    books = await runtime.states.load_book_tickers(symbols)
    samples = await load_context(runtime.redis)
    metrics = {row.symbol: row for row in prefilter.metrics}
    bid, ask = (_column(symbols, books, name) for name in ("bid", "ask"))
    newest = samples[0] if samples else None
    return MarketSnapshot.of(
        symbols,
        tick_size=np.array([infos[symbol].tick_size for symbol in symbols]),
        step_size=np.array([infos[symbol].step_size for symbol in symbols]),
        min_notional=np.array([infos[symbol].min_notional for symbol in symbols]),
        bid=bid,
        ask=ask,
        spread_frac=(ask - bid) / ((ask + bid) / 2),
        spread_median_frac=_column(symbols, books, "spread_median_frac"),
        mark_price=_column(symbols, books, "mark_price"),
        funding_rate=_column(symbols, books, "funding_rate"),
        depth_bid_quote=_values(symbols, newest.depth_bid_quote if newest else {}),
        depth_ask_quote=_values(symbols, newest.depth_ask_quote if newest else {}),
        depth_median_quote=_depth_median(symbols, samples),
        open_interest_quote=_values(symbols, newest.open_interest_quote if newest else {}),
        open_interest_change_frac=_open_interest_change(symbols, samples),
        quote_volume_24h=np.array(
            [_number(metrics[symbol].quote_volume_24h if symbol in metrics else None) for symbol in symbols]
        ),
        age_ms=now_ms - _column(symbols, books, "event_ms"),
    )


def _column(symbols: Sequence[str], rows: Mapping[str, Mapping[str, Any]], name: str) -> F8:
    return np.array([_number(rows.get(symbol, {}).get(name)) for symbol in symbols], dtype=np.float64)


def _values(symbols: Sequence[str], values: Mapping[str, float]) -> F8:
    return np.array([values.get(symbol, np.nan) for symbol in symbols], dtype=np.float64)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _depth_median(symbols: Sequence[str], samples: Sequence[ContextSample]) -> F8:
    """Median over the samples of the smaller side; unknown before there are three."""
    if len(samples) < 3:
        return np.full(len(symbols), np.nan)
    sides = [
        np.fmin(_values(symbols, sample.depth_bid_quote), _values(symbols, sample.depth_ask_quote))
        for sample in samples
    ]
    stacked = np.sort(np.stack(sides), axis=0)  # NaN last
    known = np.isfinite(stacked).sum(axis=0)
    rows = np.arange(len(symbols))
    lower = stacked[np.maximum(known - 1, 0) // 2, rows]
    upper = stacked[np.minimum(known // 2, len(samples) - 1), rows]
    middle = (lower + upper) / 2
    return np.where(known >= 3, middle, np.nan)


def _open_interest_change(symbols: Sequence[str], samples: Sequence[ContextSample]) -> F8:
    """Change from the oldest sample of the last hour to the newest; unknown while there is only one."""
    if len(samples) < 2:
        return np.full(len(symbols), np.nan)
    newest = samples[0]
    before = [sample for sample in samples[1:] if newest.ts_ms - sample.ts_ms <= HOUR_MS]
    if not before:
        return np.full(len(symbols), np.nan)
    return _values(symbols, newest.open_interest_quote) / _values(symbols, before[-1].open_interest_quote) - 1.0


__all__ = ["ContextSample", "load_context", "market_snapshot", "save_context"]
