"""Order book, mark price and funding of each symbol as last streamed, and what spread and depth usually are.

Depth is what the streamed levels hold within `DEPTH_WINDOW_FRAC` of mid. Where they do not reach so far it is a lower
bound, the same one a minute later: it is to be compared with its own median, and with no other source's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import median
from typing import Any, Final, TypeAlias

import msgspec

from aione.panel.bars import MINUTE_MS
from aione.venue.stream_wire import BookTicker, DepthUpdate, MarkPrice
from aione.venue.wire import number
from aione.venue.wire_bars import MICROSECONDS_FROM

SPREAD_SAMPLES: Final = 60
"""Samples, one a minute, of which a median is taken; of the depth too."""
RESTORED_SAMPLES: Final = 20
"""What a restart knows of the past is a median; it counts for so many samples."""
DEPTH_WINDOW_FRAC: Final = 0.005
LEAD_MS: Final = 30_000
"""An event that is so far ahead of now is not believed."""


Levels: TypeAlias = Sequence[tuple[float, float]]
"""(price, quantity) rows of one side, best first."""


class BookEntry(msgspec.Struct, frozen=True):
    """What the hash of book tickers holds of one symbol, as JSON; None is unknown.

    Attributes
    ----------
    bid, ask, mark_price : float, optional
        Quote per base.
    spread_median_frac : float, optional
        Median of (ask - bid) / mid, one sample a minute of the last hour.
    funding_rate : float, optional
        Of the current period; 0.01 is 1 %.
    depth_bid_quote, depth_ask_quote : float, optional
        Quote value of the streamed levels within `DEPTH_WINDOW_FRAC` of mid.
    depth_median_quote : float, optional
        Median of the smaller of both, one sample a minute of the last hour.
    event_ms : int
        The exchange's time of the newest event.
    quoted_ms, marked_ms, depth_ms : int
        The exchange's time of the newest best bid and ask, mark price, and depth; 0 where there was none.
    """

    bid: float | None = None
    ask: float | None = None
    spread_median_frac: float | None = None
    mark_price: float | None = None
    funding_rate: float | None = None
    event_ms: int = 0
    depth_bid_quote: float | None = None
    depth_ask_quote: float | None = None
    depth_median_quote: float | None = None
    quoted_ms: int = 0
    marked_ms: int = 0
    depth_ms: int = 0


@dataclass(slots=True)
class _Usual:
    """The median of one sample a minute."""

    minute: int = -1
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=SPREAD_SAMPLES))
    median: float | None = None

    def sample(self, value: float, event_ms: int) -> None:
        minute = event_ms // MINUTE_MS
        if minute > self.minute:
            self.minute = minute
            self.samples.append(value)
            self.median = median(self.samples)

    def restore(self, known: float | None) -> None:
        if known is not None and not self.samples:
            self.samples.extend([known] * RESTORED_SAMPLES)
            self.median = known


@dataclass(slots=True)
class _Quote:
    bid: float | None = None
    ask: float | None = None
    quoted_ms: int = 0
    mark_price: float | None = None
    funding_rate: float | None = None
    marked_ms: int = 0
    depth_bid_quote: float | None = None
    depth_ask_quote: float | None = None
    depth_ms: int = 0
    event_ms: int = 0
    spreads: _Usual = field(default_factory=_Usual)
    depths: _Usual = field(default_factory=_Usual)


class BookBoard:
    """Takes book tickers and mark prices of the symbols it follows; gives out what changed.

    An event whose time is ahead, or can only be in microseconds, is refused and counted: newer than all that follow, it
    would stay.

    Parameters
    ----------
    now_ms : callable, optional
        The exchange's time; without it no event is too far ahead.
    """

    def __init__(self, *, now_ms: Callable[[], float] = lambda: inf) -> None:
        self.refused = 0
        self._now_ms = now_ms
        self._horizon_ms = 0.0
        self._quotes: dict[str, _Quote] = {}
        self._changed: set[str] = set()

    def follow(self, symbols: Collection[str]) -> list[str]:
        """Follow exactly these symbols; return the ones that are not followed any more."""
        gone = [symbol for symbol in self._quotes if symbol not in symbols]
        for symbol in gone:
            del self._quotes[symbol]
            self._changed.discard(symbol)
        for symbol in symbols:
            self._quotes.setdefault(symbol, _Quote())
        return gone

    def take_quote(self, ticker: BookTicker) -> None:
        """Take a best bid and ask; an empty, crossed or not finite one is refused and counted."""
        quote = self._quotes.get(ticker.symbol)
        if quote is None or ticker.event_ms < quote.quoted_ms:
            return
        bid, ask = ticker.bid, ticker.ask
        if not (0.0 < bid <= ask and isfinite(ask) and self._is_timely(ticker.event_ms)):
            self.refused += 1
            return
        quote.bid, quote.ask, quote.quoted_ms = bid, ask, ticker.event_ms
        quote.event_ms = max(quote.event_ms, ticker.event_ms)
        self._changed.add(ticker.symbol)
        quote.spreads.sample((ask - bid) / (0.5 * (ask + bid)), ticker.event_ms)

    def take_depth(self, update: DepthUpdate) -> None:
        """Take the best levels; an empty, crossed or not finite book is refused and counted."""
        quote = self._quotes.get(update.symbol)
        if quote is None or update.event_ms < quote.depth_ms:
            return
        sides = depth_near_mid(update.bids, update.asks)
        if sides is None or not self._is_timely(update.event_ms):
            self.refused += 1
            return
        quote.depth_bid_quote, quote.depth_ask_quote = sides
        quote.depth_ms = update.event_ms
        quote.event_ms = max(quote.event_ms, update.event_ms)
        quote.depths.sample(min(sides), update.event_ms)
        self._changed.add(update.symbol)

    def restore(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what was usual before a restart, from the entries as they were stored."""
        for symbol, row in rows.items():
            quote = self._quotes.get(symbol)
            if quote is not None:
                quote.spreads.restore(row.get("spread_median_frac"))
                quote.depths.restore(row.get("depth_median_quote"))

    def take_marks(self, marks: Sequence[MarkPrice]) -> None:
        """Take mark prices; coin-margined rows and symbols not followed are passed over."""
        for mark in marks:
            quote = self._quotes.get(mark.symbol)
            if quote is None or not mark.is_usd_margined or mark.event_ms < quote.marked_ms:
                continue
            if not (mark.mark_price > 0.0 and isfinite(mark.mark_price) and self._is_timely(mark.event_ms)):
                self.refused += 1
                continue
            quote.mark_price = mark.mark_price
            quote.funding_rate = number(mark.funding_text)
            quote.marked_ms = mark.event_ms
            quote.event_ms = max(quote.event_ms, mark.event_ms)
            self._changed.add(mark.symbol)

    def _is_timely(self, event_ms: int) -> bool:
        """Return whether an event is not ahead; the clock is read when what it allowed is used up, not for each."""
        if event_ms > self._horizon_ms:
            self._horizon_ms = self._now_ms() + LEAD_MS
        return event_ms <= self._horizon_ms and event_ms < MICROSECONDS_FROM

    def ages_s(self, now_ms: int) -> dict[str, float]:
        """Return the median age of quotes, mark prices and depth, in seconds; what nobody has is absent."""
        moments = {
            "quote": [quote.quoted_ms for quote in self._quotes.values()],
            "mark_price": [quote.marked_ms for quote in self._quotes.values()],
            "depth": [quote.depth_ms for quote in self._quotes.values()],
        }
        known = {kind: [moment for moment in of_kind if moment] for kind, of_kind in moments.items()}
        return {kind: (now_ms - median(of_kind)) / 1000 for kind, of_kind in known.items() if of_kind}

    def changed(self) -> dict[str, BookEntry]:
        """Return the entries that changed since the last call."""
        changed, self._changed = self._changed, set()
        return {symbol: self.entry(symbol) for symbol in changed}

    def again(self, symbols: Collection[str]) -> None:
        """Give these out once more: they could not be written."""
        self._changed.update(symbol for symbol in symbols if symbol in self._quotes)

    def entry(self, symbol: str) -> BookEntry:
        """Return what is known of a followed symbol."""
        quote = self._quotes[symbol]
        return BookEntry(
            quote.bid,
            quote.ask,
            quote.spreads.median,
            quote.mark_price,
            quote.funding_rate,
            quote.event_ms,
            quote.depth_bid_quote,
            quote.depth_ask_quote,
            quote.depths.median,
            quote.quoted_ms,
            quote.marked_ms,
            quote.depth_ms,
        )


def depth_near_mid(bids: Levels, asks: Levels) -> tuple[float, float] | None:
    """Return the quote value within `DEPTH_WINDOW_FRAC` of mid on each side; None of a book that cannot be true.

    Examples
    --------
    >>> depth_near_mid([(99.9, 2.0), (90.0, 5.0)], [(100.1, 1.0)])
    (199.8, 100.1)
    >>> depth_near_mid([(101.0, 2.0)], [(100.0, 1.0)]) is None
    True
    """
    if not bids or not asks or not 0.0 < bids[0][0] < asks[0][0]:
        return None
    mid = 0.5 * (bids[0][0] + asks[0][0])
    low, high = mid * (1.0 - DEPTH_WINDOW_FRAC), mid * (1.0 + DEPTH_WINDOW_FRAC)
    bid_quote = sum((price * quantity for price, quantity in bids if price >= low), 0.0)
    ask_quote = sum((price * quantity for price, quantity in asks if price <= high), 0.0)
    is_sound = isfinite(bid_quote) and isfinite(ask_quote) and bid_quote >= 0.0 and ask_quote >= 0.0
    return (bid_quote, ask_quote) if is_sound else None


__all__ = ["DEPTH_WINDOW_FRAC", "SPREAD_SAMPLES", "BookBoard", "BookEntry", "depth_near_mid"]
