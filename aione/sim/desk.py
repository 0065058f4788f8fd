"""What of the market is public at a moment, and the one thread that asks the market for it.

A `Market` may need long to make the bars of a day and need not be safe for threads, so every question goes through
one worker thread; long answers are made in slices, so that streams are never held up behind them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from aione.sim.market import MINUTE_MS, Bars, Listing, Market, Quote, Trades, book_levels, bucket_open

BOOK_LEVELS: Final = 200
BOOK_STEP_MS: Final = 100
DAY_MINUTES: Final = 1440
_MAX_LOOKS: Final = 12
T = TypeVar("T")


class BarRow(NamedTuple):
    """One bar as plain numbers, in the order of `aione.sim.market.SIM_BAR`."""

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy_volume: float
    taker_buy_quote_volume: float
    trade_count: int

    def then(self, later: BarRow) -> BarRow:
        """Return the bar that this one and a later one make together."""
        return BarRow(
            self.open_time_ms,
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            self.volume + later.volume,
            self.quote_volume + later.quote_volume,
            self.taker_buy_volume + later.taker_buy_volume,
            self.taker_buy_quote_volume + later.taker_buy_quote_volume,
            self.trade_count + later.trade_count,
        )


class BookSide(NamedTuple):
    """Prices and base quantities of one side, best first."""

    prices: list[float]
    quantities: list[float]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A listing with the decimals in which its prices and quantities are written."""

    listing: Listing
    tick_size: float
    price_decimals: int
    quantity_decimals: int

    @property
    def symbol(self) -> str:
        """The symbol, e.g. ``BTCUSDT``."""
        return self.listing.symbol

    @property
    def is_trading(self) -> bool:
        """Whether live data of it is served."""
        return self.listing.status == "TRADING"


def decimals(step: str) -> int:
    """Return the decimals of a tick or step size as the exchange writes it.

    Examples
    --------
    >>> decimals("0.10"), decimals("1"), decimals("1e-05")
    (2, 0, 5)
    """
    return max(0, -int(Decimal(step).as_tuple().exponent))


class Desk:
    """Answers questions about the market as of ``now_ms``; nothing later than that moment leaves it.

    Parameters
    ----------
    market : Market
        The source; asked by one thread only.
    slice_s : float
        Longest time that a long answer keeps the thread before others have their turn.
    is_inline : bool
        Ask the market on the caller's own thread: for a program in which time stands still while it computes.
    """

    def __init__(self, market: Market, *, slice_s: float = 0.01, is_inline: bool = False) -> None:
        self._market = market
        self._slice_s = slice_s
        self._thread = None if is_inline else ThreadPoolExecutor(1, thread_name_prefix="sim-market")
        self._instruments: dict[str, Instrument] = {}
        self._listed_s = -1
        self._parts: dict[tuple[str, int], tuple[int, BarRow | None]] = {}
        self._days: dict[str, tuple[int, BarRow | None]] = {}
        self._quotes: dict[str, tuple[int, Quote]] = {}

    # ── The thread ──

    async def run(self, ask: Callable[[], T]) -> T:
        """Call ``ask`` on the market's thread and return what it returns."""
        if self._thread is None:
            return ask()
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask)

    async def slices(self, work: Iterator[T]) -> AsyncIterator[list[T]]:
        """Run an iterator on the market's thread, a slice at a time, and yield what each slice gave."""
        while True:
            made, ended = await self.run(lambda: self._slice(work))
            if made:
                yield made
            if ended:
                return

    async def gather(self, work: Iterator[T]) -> list[T]:
        """Return everything that an iterator gives, made in slices."""
        return [item async for made in self.slices(work) for item in made]

    def close(self) -> None:
        """End the thread; a question that it still holds is finished first."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _slice(self, work: Iterator[T]) -> tuple[list[T], bool]:
        ends_s = time.monotonic() + self._slice_s
        made: list[T] = []
        while time.monotonic() < ends_s:
            step = list(islice(work, 1))
            if not step:
                return made, True
            made += step
        return made, False

    # ── Listings ──

    def instruments(self, now_ms: int) -> Mapping[str, Instrument]:
        """Return symbol -> instrument as listed at ``now_ms`` (looked up once a second)."""
        second = now_ms // 1000
        if second != self._listed_s:
            fresh = {}
            for listing in self._market.listings(now_ms):
                known = self._instruments.get(listing.symbol)
                fresh[listing.symbol] = known if known and known.listing == listing else _instrument(listing)
            self._instruments, self._listed_s = fresh, second
        return self._instruments

    # ── Bars ──

    def klines(
        self, symbol: str, interval_ms: int, now_ms: int, window: tuple[int | None, int | None, int]
    ) -> list[BarRow]:
        """Return up to ``limit`` bars of ``window`` = (start_ms, end_ms, limit), the open bar included.

        With a start the first ones from there, without one the last ones up to the end.
        """
        start_ms, end_ms, limit = window
        open_ms = bucket_open(now_ms, interval_ms)
        last_ms = open_ms if end_ms is None else min(end_ms, now_ms)
        wants_open = last_ms >= open_ms and (start_ms is None or start_ms <= open_ms)
        closed_ms = min(last_ms, open_ms - 1)
        rows = self._closed(symbol, interval_ms, closed_ms, start_ms, limit)
        if wants_open and (start_ms is None or len(rows) < limit):
            forming = self.open_bar(symbol, interval_ms, now_ms)
            rows += [forming] if forming else []
        return rows[-limit:] if start_ms is None else rows[:limit]

    def _closed(self, symbol: str, interval_ms: int, last_ms: int, start_ms: int | None, limit: int) -> list[BarRow]:
        """Look through ever wider windows, because minutes without a bar are absent."""
        newest_ms = bucket_open(last_ms, interval_ms)
        span = limit
        bars: Bars
        for _ in range(_MAX_LOOKS):
            first_ms = newest_ms - (span - 1) * interval_ms if start_ms is None else start_ms
            until_ms = newest_ms if start_ms is None else min(newest_ms, start_ms + span * interval_ms)
            bars = self._market.bars(symbol, interval_ms, max(first_ms, 0), until_ms)
            exhausted = until_ms >= newest_ms if start_ms is not None else first_ms <= self._onboard_ms(symbol)
            if len(bars) >= limit or exhausted:
                break
            span *= 2
        bars = bars[-limit:] if start_ms is None else bars[:limit]
        return [BarRow._make(row) for row in bars.tolist()]

    def _onboard_ms(self, symbol: str) -> int:
        instrument = self._instruments.get(symbol)
        return instrument.listing.onboard_ms if instrument else 0

    def whole_bar(self, symbol: str, interval_ms: int, open_time_ms: int) -> BarRow | None:
        """Return the bar that opened at ``open_time_ms``, finished; None where there is none."""
        bars = self._market.bars(symbol, interval_ms, open_time_ms, open_time_ms)
        return BarRow._make(bars[0].item()) if len(bars) else None

    def open_bar(self, symbol: str, interval_ms: int, now_ms: int) -> BarRow | None:
        """Return the bar that is open at ``now_ms`` as seen so far; None while nothing is known of it."""
        forming = self._market.forming(symbol, now_ms)
        minute = BarRow._make(forming[0].item()) if len(forming) else None
        if interval_ms == MINUTE_MS:
            return minute
        open_ms = bucket_open(now_ms, interval_ms)
        part = self._closed_part(symbol, interval_ms, open_ms, bucket_open(now_ms, MINUTE_MS))
        if part is None:
            return minute._replace(open_time_ms=open_ms) if minute else None
        return part.then(minute) if minute else part

    def _closed_part(self, symbol: str, interval_ms: int, open_ms: int, minute_ms: int) -> BarRow | None:
        known = self._parts.get((symbol, interval_ms))
        if known is None or known[0] != minute_ms:
            bars = self._market.bars(symbol, MINUTE_MS, open_ms, minute_ms - 1)
            known = minute_ms, _whole(bars, open_ms)
            self._parts[symbol, interval_ms] = known
        return known[1]

    def day(self, symbol: str, now_ms: int) -> BarRow | None:
        """Return the last 1440 minutes, the open one included, as one bar; None where nothing traded in them."""
        minute_ms = bucket_open(now_ms, MINUTE_MS)
        known = self._days.get(symbol)
        if known is None or known[0] != minute_ms:
            start_ms = minute_ms - (DAY_MINUTES - 1) * MINUTE_MS
            known = minute_ms, _whole(self._market.bars(symbol, MINUTE_MS, start_ms, minute_ms - 1), start_ms)
            self._days[symbol] = known
        forming = self._market.forming(symbol, now_ms)
        minute = BarRow._make(forming[0].item()) if len(forming) else None
        if known[1] is None:
            return minute
        return known[1].then(minute) if minute else known[1]

    # ── Trades, quotes, book ──

    def trades(self, symbol: str, after_ms: int, now_ms: int) -> list[tuple[int, Trades]]:
        """Return the trades with ``after_ms < time_ms <= now_ms`` as (number of the first, rows), a minute each.

        A trade's number grows for ever and is the same whenever it is asked for.
        """
        found = []
        minute_ms = bucket_open(after_ms + 1, MINUTE_MS)
        while minute_ms <= now_ms:
            trades = self._market.trades(symbol, minute_ms, min(now_ms, minute_ms + MINUTE_MS - 1))
            fresh = trades[trades["time_ms"] > after_ms]
            if len(fresh):
                found.append((first_trade_id(minute_ms) + len(trades) - len(fresh), fresh))
            minute_ms += MINUTE_MS
        return found

    def quote(self, symbol: str, now_ms: int) -> Quote:
        """Return the book and derivatives of the last tenth of a second that has begun."""
        slot_ms = now_ms - now_ms % BOOK_STEP_MS
        known = self._quotes.get(symbol)
        if known is None or known[0] != slot_ms:
            known = slot_ms, self._market.quote(symbol, slot_ms)
            self._quotes[symbol] = known
        return known[1]

    def quote_at(self, symbol: str, moment_ms: int) -> Quote:
        """Return the quote of a past moment."""
        return self._market.quote(symbol, moment_ms)

    def book(self, instrument: Instrument, now_ms: int) -> tuple[BookSide, BookSide]:
        """Return bids and asks, best first, up to `BOOK_LEVELS` each; constant within a tenth of a second."""
        quote = self.quote(instrument.symbol, now_ms)
        bids, asks = book_levels(quote, instrument.tick_size, BOOK_LEVELS)
        return _book_side(bids), _book_side(asks)


def _instrument(listing: Listing) -> Instrument:
    return Instrument(listing, float(listing.tick_size), decimals(listing.tick_size), decimals(listing.step_size))


def _book_side(rows: NDArray[np.float64]) -> BookSide:
    return BookSide(rows[:, 0].tolist(), rows[:, 1].tolist())


def _whole(bars: Bars, open_time_ms: int) -> BarRow | None:
    if not len(bars):
        return None
    return BarRow(
        open_time_ms,
        float(bars["open"][0]),
        float(bars["high"].max()),
        float(bars["low"].min()),
        float(bars["close"][-1]),
        float(bars["volume"].sum()),
        float(bars["quote_volume"].sum()),
        float(bars["taker_buy_volume"].sum()),
        float(bars["taker_buy_quote_volume"].sum()),
        int(bars["trade_count"].sum()),
    )


def first_trade_id(minute_ms: int) -> int:
    """Return the number of the first trade of a minute.

    Examples
    --------
    >>> first_trade_id(120_000)
    200000
    """
    return minute_ms // MINUTE_MS * 100_000


def update_id(now_ms: int) -> int:
    """Return the book's update number; it changes when the book may change.

    Examples
    --------
    >>> update_id(1_050) == update_id(1_099) < update_id(1_100)
    True
    """
    return now_ms // BOOK_STEP_MS * 16


__all__ = [
    "BOOK_LEVELS",
    "BOOK_STEP_MS",
    "BarRow",
    "BookSide",
    "Desk",
    "Instrument",
    "decimals",
    "first_trade_id",
    "update_id",
]
