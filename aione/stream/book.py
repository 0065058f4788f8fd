"""Best bid and ask, mark price and funding of each symbol as last streamed, and the usual spread."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import median
from typing import Final

import msgspec

from aione.panel.bars import MINUTE_MS
from aione.venue.stream_wire import BookTicker, MarkPrice

SPREAD_SAMPLES: Final = 60


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
    event_ms : int
        The exchange's time of the newest event.
    """

    bid: float | None = None
    ask: float | None = None
    spread_median_frac: float | None = None
    mark_price: float | None = None
    funding_rate: float | None = None
    event_ms: int = 0


@dataclass(slots=True)
class _Quote:
    bid: float | None = None
    ask: float | None = None
    quoted_ms: int = 0
    mark_price: float | None = None
    funding_rate: float | None = None
    event_ms: int = 0
    sampled_minute: int = -1
    spreads: deque[float] = field(default_factory=lambda: deque(maxlen=SPREAD_SAMPLES))
    spread_median_frac: float | None = None


class BookBoard:
    """Takes book tickers and mark prices of the symbols it follows; gives out what changed."""

    def __init__(self) -> None:
        self.refused = 0
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
        if not (0.0 < bid <= ask and isfinite(ask)):
            self.refused += 1
            return
        quote.bid, quote.ask, quote.quoted_ms = bid, ask, ticker.event_ms
        quote.event_ms = max(quote.event_ms, ticker.event_ms)
        self._changed.add(ticker.symbol)
        minute = ticker.event_ms // MINUTE_MS
        if minute > quote.sampled_minute:
            quote.sampled_minute = minute
            quote.spreads.append((ask - bid) / (0.5 * (ask + bid)))
            quote.spread_median_frac = median(quote.spreads)

    def take_marks(self, marks: Sequence[MarkPrice]) -> None:
        """Take mark prices; coin-margined rows and symbols not followed are passed over."""
        for mark in marks:
            quote = self._quotes.get(mark.symbol)
            if quote is None or not mark.is_usd_margined:
                continue
            if not (mark.mark_price > 0.0 and isfinite(mark.mark_price)):
                self.refused += 1
                continue
            quote.mark_price = mark.mark_price
            quote.funding_rate = _number(mark.funding_text)
            quote.event_ms = max(quote.event_ms, mark.event_ms)
            self._changed.add(mark.symbol)

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
            quote.bid, quote.ask, quote.spread_median_frac, quote.mark_price, quote.funding_rate, quote.event_ms
        )


def _number(text: str) -> float | None:
    """Return the funding rate, None where the contract has none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


__all__ = ["SPREAD_SAMPLES", "BookBoard", "BookEntry"]
