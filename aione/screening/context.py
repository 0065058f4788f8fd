"""Order book and derivatives context: kept by refreshes and the stream, read as one `MarketSnapshot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import redis.asyncio as aioredis

from aione.panel import F8, BarPanel, MarketSnapshot
from aione.panel.bar_panel import B1
from aione.prefilter import PrefilterResult
from aione.screening.runtime import Runtime
from aione.store import keys
from aione.store.connect import redis_errors
from config.models import SymbolInfo

HISTORY: Final = 12
"""Refreshes that are remembered: two hours of them at one in ten minutes."""
HOUR_MS: Final = 3_600_000
BOOK_LIFE_MS: Final = 180_000.0
MARK_LIFE_MS: Final = 180_000.0
DEPTH_LIFE_MS: Final = 120_000.0
OPEN_INTEREST_LIFE_MS: Final = 900_000.0
REFRESH_LIFE_MS: Final = 2_700_000.0
"""How old a value may be before it is not known any more; the last is for what refreshes of the prefilter asked."""
LEAD_MS: Final = 5_000.0
"""How far ahead of now a value's moment may be, for clocks differ; further ahead it is no better than one too old."""
LEAST_SPAN_MS: Final = 600_000
"""A change of the open interest over less than this is noise."""


class ContextSample(msgspec.Struct, frozen=True):
    """What one refresh saw of each symbol: open interest in quote, depth in quote within 0.5 % of mid."""

    ts_ms: int
    open_interest_quote: dict[str, float]
    depth_bid_quote: dict[str, float]
    depth_ask_quote: dict[str, float]


async def save_context(redis: aioredis.Redis, sample: ContextSample) -> None:
    """Put a sample before the older ones and forget those beyond `HISTORY`."""
    with redis_errors("storing the context"):
        async with redis.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.context_history(), msgspec.json.encode(sample))
            pipe.ltrim(keys.context_history(), 0, HISTORY - 1)
            await pipe.execute()


async def load_context(redis: aioredis.Redis) -> list[ContextSample]:
    """Return the remembered samples, newest first."""
    with redis_errors("loading the context"):
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
    polled = await runtime.states.load_derivatives(symbols)
    samples = await load_context(runtime.redis)
    metrics = {row.symbol: row for row in prefilter.metrics}
    book_age_ms = now_ms - _moments(symbols, books, "quoted_ms")
    mark_age_ms = now_ms - _moments(symbols, books, "marked_ms")
    bid, ask = (_fresh(_column(symbols, books, name), book_age_ms, BOOK_LIFE_MS) for name in ("bid", "ask"))
    mark_price = _fresh(_column(symbols, books, "mark_price"), mark_age_ms, MARK_LIFE_MS)
    return MarketSnapshot.of(
        symbols,
        tick_size=np.array([infos[symbol].tick_size for symbol in symbols]),
        step_size=np.array([infos[symbol].step_size for symbol in symbols]),
        min_notional=np.array([infos[symbol].min_notional for symbol in symbols]),
        bid=bid,
        ask=ask,
        spread_frac=(ask - bid) / ((ask + bid) / 2),
        spread_median_frac=_column(symbols, books, "spread_median_frac"),
        mark_price=mark_price,
        funding_rate=_fresh(_column(symbols, books, "funding_rate"), mark_age_ms, MARK_LIFE_MS),
        **_depth(symbols, books, samples, now_ms),
        **_open_interest(symbols, polled, samples, mark_price, now_ms),
        quote_volume_24h=np.array(
            [_number(metrics[symbol].quote_volume_24h if symbol in metrics else None) for symbol in symbols]
        ),
        age_ms=now_ms - _column(symbols, books, "event_ms"),
        book_age_ms=book_age_ms,
        mark_age_ms=mark_age_ms,
    )


def _depth(
    symbols: Sequence[str], books: Mapping[str, Mapping[str, Any]], samples: Sequence[ContextSample], now_ms: int
) -> dict[str, F8]:
    """Return depth and its median of one source each: the stream where it is fresh, else the refreshes."""
    newest = samples[0] if samples else None
    age_ms = np.full(len(symbols), np.nan if newest is None else float(now_ms - newest.ts_ms))
    refreshed = {
        "depth_bid_quote": _values(symbols, newest.depth_bid_quote if newest else {}),
        "depth_ask_quote": _values(symbols, newest.depth_ask_quote if newest else {}),
        "depth_median_quote": _depth_median(symbols, samples),
    }
    refreshed = {name: _fresh(column, age_ms, REFRESH_LIFE_MS) for name, column in refreshed.items()}
    streamed_age_ms = now_ms - _moments(symbols, books, "depth_ms", otherwise="")
    is_streamed = _is_fresh(streamed_age_ms, DEPTH_LIFE_MS)
    chosen = {name: np.where(is_streamed, _column(symbols, books, name), refreshed[name]) for name in refreshed}
    return {**chosen, "depth_age_ms": np.where(is_streamed, streamed_age_ms, age_ms)}


def _open_interest(
    symbols: Sequence[str],
    polled: Mapping[str, Mapping[str, Any]],
    samples: Sequence[ContextSample],
    mark_price: F8,
    now_ms: int,
) -> dict[str, F8]:
    """Return open interest, its change over the last hour and its age: as polled where fresh, else of the refreshes."""
    newest = samples[0] if samples else None
    age_ms = np.full(len(symbols), np.nan if newest is None else float(now_ms - newest.ts_ms))
    refreshed = _fresh(_values(symbols, newest.open_interest_quote if newest else {}), age_ms, REFRESH_LIFE_MS)
    change = _fresh(_open_interest_change(symbols, samples), age_ms, REFRESH_LIFE_MS)
    polled_age_ms = now_ms - _moments(symbols, polled, "at_ms", otherwise="")
    is_polled = _is_fresh(polled_age_ms, OPEN_INTEREST_LIFE_MS) & np.isfinite(mark_price)
    changed = np.array([_polled_change(polled.get(symbol), now_ms) for symbol in symbols], dtype=np.float64)
    return {
        "open_interest_quote": np.where(is_polled, _column(symbols, polled, "open_interest") * mark_price, refreshed),
        "open_interest_change_frac": np.where(is_polled & np.isfinite(changed), changed, change),
        "open_interest_age_ms": np.where(is_polled, polled_age_ms, age_ms),
    }


def _polled_change(row: Mapping[str, Any] | None, now_ms: int) -> float:
    """Return the change of the open contracts since the oldest sample of the last hour, if that is long enough ago."""
    within = [(at_ms, value) for at_ms, value in (row or {}).get("samples", []) if now_ms - at_ms <= HOUR_MS]
    if row is None or not within or row["at_ms"] - within[0][0] < LEAST_SPAN_MS or not within[0][1] > 0:
        return np.nan
    return float(row["open_interest"]) / float(within[0][1]) - 1.0


def _moments(
    symbols: Sequence[str], rows: Mapping[str, Mapping[str, Any]], name: str, *, otherwise: str = "event_ms"
) -> F8:
    """Return when something was last seen; of an entry that does not say, its newest event."""
    moments = [rows.get(symbol, {}).get(name) or rows.get(symbol, {}).get(otherwise) for symbol in symbols]
    return np.array([np.nan if moment is None else float(moment) for moment in moments], dtype=np.float64)


def _fresh(column: F8, age_ms: F8, life_ms: float) -> F8:
    """Return a column without what is too old, or of a moment that has not come."""
    fresh: F8 = np.where(_is_fresh(age_ms, life_ms), column, np.nan)
    return fresh


def _is_fresh(age_ms: F8, life_ms: float) -> B1:
    is_fresh: B1 = (age_ms >= -LEAD_MS) & (age_ms <= life_ms)
    return is_fresh


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
