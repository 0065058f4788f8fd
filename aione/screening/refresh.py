"""The universe and its prefilter, from the exchange to Redis.

1. exchangeInfo gives every contract; the guards of the universe say which are tradable coin perpetuals.
2. Bulk endpoints (24 h tickers, book tickers, mark prices) drop most of the rest at a fixed cost.
3. Open interest, then depth, cost a request a symbol: they are asked only for what is left.
4. ATR and completeness come from the rings, which a preload has filled before.
5. The result is ranked, saved and journaled; a refresh that fails changes nothing.
6. Symbols that are new to us are asked for the past hour of their open interest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aione.errors import VenueError
from aione.indicators.readings import compute_readings
from aione.metrics import Sample, push
from aione.panel import MINUTE_MS
from aione.prefilter import Prefilter, PrefilterResult
from aione.screening.asking import ask_each
from aione.screening.context import ContextSample, save_context
from aione.screening.interest import seed_open_interest
from aione.screening.runtime import Runtime
from aione.venue.universe import Universe, select_universe
from aione.venue.wire import BookTicker, Depth, PremiumIndex, number
from config.models import SymbolInfo

DEPTH_WINDOW_FRAC = 0.005
DEPTH_LIMIT = 50
DEPTH_LIMIT_DEEP = 500


@dataclass(frozen=True, slots=True)
class Candidates:
    """The universe after the filters that cost one request for all symbols."""

    universe: Universe
    chain: Prefilter
    symbols: tuple[str, ...]
    mark_price: dict[str, float]
    seconds: float


async def find_candidates(runtime: Runtime, contracts: Sequence[SymbolInfo] | None = None) -> Candidates:
    """Do steps 1 and 2 of the module and save the universe.

    ``contracts`` are the exchange's, as `list_contracts` has just returned them; without them they are asked for.

    Raises
    ------
    VenueError
        The exchange does not serve us; the last good universe stays, marked as stale.
    """
    try:
        return await _find_candidates(runtime, await runtime.rest.exchange_info() if contracts is None else contracts)
    except VenueError as error:
        await runtime.states.mark_universe_stale(str(error), runtime.now_ms())
        raise


async def list_contracts(runtime: Runtime) -> list[SymbolInfo]:
    """Return every contract of the exchange; errors as `find_candidates`."""
    try:
        return await runtime.rest.exchange_info()
    except VenueError as error:
        await runtime.states.mark_universe_stale(str(error), runtime.now_ms())
        raise


async def _find_candidates(runtime: Runtime, infos: Sequence[SymbolInfo]) -> Candidates:
    started = time.perf_counter()
    rest, states = runtime.rest, runtime.states
    now_ms = runtime.now_ms()
    universe = select_universe(infos, now_ms, runtime.settings)
    universe = await states.save_universe(universe)
    tickers, books, premiums = await asyncio.gather(rest.tickers_24h(), rest.book_tickers(), rest.premium_index())
    manual = [*runtime.settings.MANUAL_FAST_SYMBOLS_SEED, *await states.fast_symbols(now_ms)]
    chain = Prefilter(infos, runtime.settings, now_ms, manual)
    symbols = chain.apply_bulk(
        {row.symbol: row.quote_volume for row in tickers},
        {row.symbol: (row.high - row.low) / row.low for row in tickers if row.low > 0},
        {row.symbol: (row.ask - row.bid) / ((row.ask + row.bid) / 2) for row in books if row.bid > 0 and row.ask > 0},
    )
    mark_price = {row.symbol: row.mark_price for row in premiums}
    await _seed_quotes(runtime, symbols, books, premiums)
    return Candidates(universe, chain, tuple(symbols), mark_price, time.perf_counter() - started)


async def _seed_quotes(
    runtime: Runtime, symbols: Sequence[str], books: Sequence[BookTicker], premiums: Sequence[PremiumIndex]
) -> None:
    """Give a first quote to symbols that the stream has not seen yet; what it has seen is newer."""
    streamed = await runtime.states.load_book_tickers(symbols)
    new = set(symbols) - streamed.keys()
    marks = {row.symbol: row for row in premiums}
    rows = {}
    for book in books:
        if book.symbol in new and book.bid > 0 and book.ask > 0:
            mark = marks.get(book.symbol)
            rows[book.symbol] = {
                "bid": book.bid,
                "ask": book.ask,
                "mark_price": mark.mark_price if mark else None,
                "funding_rate": number(mark.last_funding_rate) if mark else None,
                "event_ms": book.time_ms or runtime.now_ms(),
                "quoted_ms": book.time_ms or runtime.now_ms(),
                "marked_ms": (mark.time_ms if mark else 0) or runtime.now_ms(),
            }
    await runtime.states.save_book_tickers(rows)


async def screen_candidates(runtime: Runtime, found: Candidates) -> PrefilterResult:
    """Do steps 3 to 5 of the module; errors as `find_candidates`."""
    started = time.perf_counter()
    settings = runtime.settings
    chain = found.chain
    contracts = await ask_each(found.symbols, runtime.rest.open_interest, settings.OI_SEMAPHORE)
    interest = {s: contracts[s].open_interest * found.mark_price[s] for s in contracts if s in found.mark_price}
    left = chain.apply_open_interest(interest)
    sides = await ask_each(left, lambda symbol: _depth(runtime, symbol), settings.DEPTH_SEMAPHORE)
    left = chain.apply_depth({symbol: min(both) for symbol, both in sides.items()})
    now_ms = runtime.now_ms()
    end_ms = now_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS
    panel = await runtime.minute_rings.load(left, end_ms, settings.DEFAULT_LOOKBACK)
    readings = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators)
    chain.apply_history(
        dict(zip(left, readings["atr_frac"].tolist(), strict=True)),
        dict(zip(left, panel.valid.mean(axis=1).tolist(), strict=True)),
    )
    result = chain.result()
    await runtime.states.save_prefilter(result)
    await save_context(
        runtime.redis,
        ContextSample(
            now_ms,
            interest,
            {symbol: bid for symbol, (bid, _) in sides.items()},
            {symbol: ask for symbol, (_, ask) in sides.items()},
        ),
    )
    await seed_open_interest(runtime, result.symbols, contracts)
    await push(
        runtime.redis,
        [
            Sample("prefilter_elapsed_seconds", found.seconds + time.perf_counter() - started),
            *(Sample("symbols_filtered_total", n, {"reason": reason}) for reason, n in result.reasons().items()),
        ],
    )
    return result


async def _depth(runtime: Runtime, symbol: str) -> tuple[float, float]:
    """Return the quote value within `DEPTH_WINDOW_FRAC` of mid on the bid and the ask side.

    A short book is asked first. Where it does not reach the window's edge its sum is a lower bound; only where
    that is below the floor is the deep book worth five times the weight.
    """
    book = await runtime.rest.depth(symbol, DEPTH_LIMIT)
    sides = depth_within(book, DEPTH_WINDOW_FRAC)
    floor = runtime.settings.STAGE1_PREFILTER_THRESHOLDS.min_depth_quote
    if sides.is_whole or min(sides.bid_quote, sides.ask_quote) >= floor:
        return sides.bid_quote, sides.ask_quote
    sides = depth_within(await runtime.rest.depth(symbol, DEPTH_LIMIT_DEEP), DEPTH_WINDOW_FRAC)
    return sides.bid_quote, sides.ask_quote


@dataclass(frozen=True, slots=True)
class DepthSides:
    """Quote value near mid on each side; ``is_whole`` when the book reached the edge of the window on both."""

    bid_quote: float
    ask_quote: float
    is_whole: bool


def depth_within(book: Depth, window_frac: float) -> DepthSides:
    """Sum the book's levels within ``window_frac`` of mid; an empty side is 0 and whole."""
    if not book.bids or not book.asks:
        return DepthSides(0.0, 0.0, is_whole=True)
    mid = (book.bids[0][0] + book.asks[0][0]) / 2
    low, high = mid * (1 - window_frac), mid * (1 + window_frac)
    return DepthSides(
        sum(price * quantity for price, quantity in book.bids if price >= low),
        sum(price * quantity for price, quantity in book.asks if price <= high),
        is_whole=book.bids[-1][0] < low and book.asks[-1][0] > high,
    )


__all__ = ["Candidates", "DepthSides", "depth_within", "find_candidates", "list_contracts", "screen_candidates"]
