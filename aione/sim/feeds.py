"""What each stream sends: one feed a stream name, asked at its own pace for what is new since it was last asked.

A feed runs on the market's thread, knows nothing of connections, and gives JSON payloads; the hub encodes each into a
frame once and hands it to everyone who asked for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, Final
from zlib import crc32

from aione.sim import wire
from aione.sim.desk import BookSide, Instrument, update_id
from aione.sim.feed_base import Feed, Source, content, encode
from aione.sim.feeds_all import AllFeed, ContractFeed, LiquidationFeed
from aione.sim.market import bucket_open
from aione.sim.rest import day_bar
from aione.sim.streams import StreamSpec

_MOST_BARS_BEHIND: Final = 3
_MOST_BEHIND_MS: Final = 5000


class KlineFeed:
    """The open bar whenever it changed, and each bar once more, closed, some time after its end."""

    def __init__(self, source: Source, symbol: str, interval: str) -> None:
        self.period_ms = source.options.kline_ms
        self._source = source
        self._symbol = symbol
        self._interval = interval
        self._interval_ms = wire.INTERVALS[interval]
        spread_s = source.options.closing_spread_s * (crc32(symbol.encode()) % 1000) / 1000
        self._delay_ms = int((source.options.closing_delay_s + spread_s) * 1000)
        self._next_ms: int | None = None
        self._closings: list[tuple[int, int]] = []
        self._last: Any = None

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield closings that are due, then the open bar."""
        instrument = self._source.instrument(self._symbol, now_ms)
        if instrument is None:
            return
        self._queue_closings(now_ms)
        while self._closings and self._closings[0][0] <= now_ms:
            _, open_time_ms = heapq.heappop(self._closings)
            whole = self._source.desk.whole_bar(self._symbol, self._interval_ms, open_time_ms)
            if whole:
                yield encode(wire.kline_event(instrument, whole, self._interval, now_ms, is_closed=True))
        bar = self._source.desk.open_bar(self._symbol, self._interval_ms, now_ms)
        if bar and bar != self._last:
            self._last = bar
            yield encode(wire.kline_event(instrument, bar, self._interval, now_ms, is_closed=False))

    def _queue_closings(self, now_ms: int) -> None:
        """Give every bar that has ended a moment at which it is announced; a fault may take that away."""
        if self._next_ms is None:
            self._next_ms = bucket_open(now_ms - self._delay_ms, self._interval_ms)
        self._next_ms = max(
            self._next_ms, bucket_open(now_ms, self._interval_ms) - _MOST_BARS_BEHIND * self._interval_ms
        )
        while self._next_ms + self._interval_ms <= now_ms:
            late_ms = self._source.faults.closing_late_ms(self._symbol)
            if late_ms is not None:
                due_ms = self._next_ms + self._interval_ms + self._delay_ms + late_ms
                heapq.heappush(self._closings, (due_ms, self._next_ms))
            self._next_ms += self._interval_ms


class TradeFeed:
    """Every trade: aggregated (``aggTrade``), or in the form of the undocumented ``trade`` stream."""

    def __init__(self, source: Source, symbol: str, *, is_aggregated: bool) -> None:
        self.period_ms = source.options.trade_ms
        self._source = source
        self._symbol = symbol
        self._is_aggregated = is_aggregated
        self._seen_ms: int | None = None

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield one payload a trade."""
        instrument = self._source.instrument(self._symbol, now_ms)
        seen_ms, self._seen_ms = self._seen_ms, now_ms
        if instrument is None or seen_ms is None:
            return
        for number, trades in self._source.desk.trades(self._symbol, max(seen_ms, now_ms - _MOST_BEHIND_MS), now_ms):
            for place, (time_ms, price, quantity, is_maker) in enumerate(trades.tolist(), start=number):
                yield encode(self._event(instrument, place, now_ms, (time_ms, price, quantity, is_maker)))

    def _event(
        self, one: Instrument, number: int, now_ms: int, trade: tuple[int, float, float, bool]
    ) -> dict[str, Any]:
        time_ms, price, quantity, is_maker = trade
        p, q = wire.fixed(price, one.price_decimals), wire.fixed(quantity, one.quantity_decimals)
        if self._is_aggregated:
            ids = {"a": number, "f": number, "l": number}
            return {
                "e": "aggTrade",
                "E": now_ms,
                "s": one.symbol,
                **ids,
                "p": p,
                "q": q,
                "nq": q,
                "T": time_ms,
                "m": is_maker,
            }
        ids = {"t": number}
        return {
            "e": "trade",
            "E": now_ms,
            "T": time_ms,
            "s": one.symbol,
            **ids,
            "p": p,
            "q": q,
            "X": "MARKET",
            "m": is_maker,
        }


class RowFeed:
    """One row of one symbol, sent again when anything but its time has changed."""

    def __init__(self, source: Source, symbol: str, period_ms: int, event: Callable[[Instrument, int], Any]) -> None:
        self.period_ms = period_ms
        self._source = source
        self._symbol = symbol
        self._event = event
        self._last: Any = None

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield the row if it is new."""
        instrument = self._source.instrument(self._symbol, now_ms)
        if instrument is None:
            return
        event = self._event(instrument, now_ms)
        fresh = content(event)
        if fresh != self._last:
            self._last = fresh
            yield encode(event)


class DepthFeed:
    """The changes of the book since the last push (``depth``), in the exchange's chain of update numbers."""

    def __init__(self, source: Source, symbol: str, period_ms: int) -> None:
        self.period_ms = period_ms
        self._source = source
        self._symbol = symbol
        self._book: tuple[dict[str, str], dict[str, str]] | None = None
        self._sent = 0

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield the levels that changed; quantity 0 removes a level."""
        instrument = self._source.instrument(self._symbol, now_ms)
        if instrument is None or update_id(now_ms) == self._sent:
            return
        bids, asks = self._source.desk.book(instrument, now_ms)
        book = _levels(instrument, bids), _levels(instrument, asks)
        before, self._book = self._book, book
        number, previous = update_id(now_ms), self._sent
        if before is None:
            self._sent = number
            return
        changed = [_changes(old, new, instrument) for old, new in zip(before, book, strict=True)]
        if any(changed):
            self._sent = number
            stamps = {"E": now_ms, "T": now_ms, "s": self._symbol, "U": previous + 1, "u": number, "pu": previous}
            yield encode({"e": "depthUpdate", **stamps, "b": changed[0], "a": changed[1]})


def make_feed(source: Source, spec: StreamSpec) -> Feed:
    """Return the feed of a stream."""
    desk, options = source.desk, source.options
    symbol = spec.symbol

    def book_ticker(one: Instrument, now_ms: int) -> Any:
        return wire.book_ticker_event(wire.book_ticker_row(one, desk.quote(one.symbol, now_ms), now_ms), now_ms)

    def mark_price(one: Instrument, now_ms: int) -> Any:
        return wire.mark_price_event(one.symbol, desk.quote(one.symbol, now_ms), now_ms)

    def partial_depth(one: Instrument, now_ms: int) -> Any:
        count = int(spec.argument)
        bids, asks = (wire.book_rows(one, side, count) for side in desk.book(one, now_ms))
        number = update_id(now_ms)
        stamps = {"E": now_ms, "T": now_ms, "s": one.symbol, "U": number, "u": number, "pu": number - 1}
        return {"e": "depthUpdate", **stamps, "b": bids, "a": asks}

    def ticker(one: Instrument, now_ms: int) -> Any:
        row = wire.ticker_row(one, day_bar(desk, one.symbol, now_ms), now_ms)
        return wire.ticker_event(row, now_ms, is_mini=spec.kind in {"miniTicker", "!miniTicker"})

    match spec.kind:
        case "kline":
            return KlineFeed(source, symbol, spec.argument)
        case "aggTrade" | "trade":
            return TradeFeed(source, symbol, is_aggregated=spec.kind == "aggTrade")
        case "bookTicker":
            return RowFeed(source, symbol, options.book_ticker_ms, book_ticker)
        case "depth":
            if spec.argument:
                return RowFeed(source, symbol, spec.period_ms, partial_depth)
            return DepthFeed(source, symbol, spec.period_ms)
        case "miniTicker" | "ticker":
            return RowFeed(source, symbol, options.ticker_ms, ticker)
        case "markPrice":
            return RowFeed(source, symbol, spec.period_ms, mark_price)
        case "!miniTicker" | "!ticker":
            return AllFeed(source, options.ticker_ms, ticker, mixes_coin_margined=True)
        case "!markPrice":
            return AllFeed(source, spec.period_ms, mark_price, mixes_coin_margined=True)
        case "!contractInfo":
            return ContractFeed(source)
        case _:
            return LiquidationFeed(source, symbol)


def _levels(instrument: Instrument, side: BookSide) -> dict[str, str]:
    return dict(wire.book_rows(instrument, side, len(side.prices)))


def _changes(old: dict[str, str], new: dict[str, str], instrument: Instrument) -> list[list[str]]:
    gone = wire.fixed(0.0, instrument.quantity_decimals)
    removed = [[price, gone] for price in old if price not in new]
    return [[price, quantity] for price, quantity in new.items() if old.get(price) != quantity] + removed


__all__ = ["DepthFeed", "Feed", "KlineFeed", "RowFeed", "Source", "TradeFeed", "make_feed"]
