"""From kline events to bar records: which bar is forming, which has closed, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aione.panel.bars import BAR_RECORD, MINUTE_MS, Finality, Source
from aione.venue.stream_wire import Kline
from aione.venue.wire_bars import MICROSECONDS_FROM

INTERVAL: Final = "1m"
BUFFERED_BARS: Final = 50_000
ROUNDING: Final = 1e-9
LEAD_MS: Final = 30_000
"""A bar that opens so long after now is not believed: it would keep its slot until it is true."""
MAX_TRADES: Final = 2**32

Row: TypeAlias = tuple[Any, ...]
"""One `BAR_RECORD` as a tuple."""


class BarFeed:
    """Takes kline events; holds what is to be written.

    1. A bar marked closed by the exchange is to be written at once (``STREAM_CLOSED``).
    2. A bar whose successor was pushed first is to be written provisionally (``SUCCESSOR_SEEN``): its closing push may
       still come, or REST confirms it (`aione.stream.healing`).
    3. Any other push replaces the symbol's forming bar. A push of an earlier minute changes nothing.

    Parameters
    ----------
    limit : int
        Closed bars held while they cannot be written; above it the oldest are dropped and counted. REST fills what
        was dropped.
    now_ms : callable, optional
        The exchange's time; without it no bar is too far ahead.

    Attributes
    ----------
    refused : int
        Bars that cannot be true (`is_sound`), are ahead of time, said to be closed before their end, or of a symbol
        that is not followed.
    """

    def __init__(self, limit: int = BUFFERED_BARS, *, now_ms: Callable[[], float] = lambda: inf) -> None:
        self.dropped = 0
        self.refused = 0
        self._limit = limit
        self._now_ms = now_ms
        self._followed: frozenset[str] | None = None
        self._forming: dict[str, Kline] = {}
        self._closed_ms: dict[str, int] = {}
        self._given: dict[str, Kline] = {}
        self._closed: dict[tuple[str, int], Row] = {}

    # ── In ──

    def take(self, bar: Kline, event_ms: float = inf) -> bool:
        """Take one push; return whether a closed bar is now to be written.

        ``event_ms`` is when the exchange says to have pushed it; a bar cannot have closed before its last millisecond.
        Nearly every push only grows the forming bar. It is looked at closely (`is_sound`) when it is given out, and
        when anything depends on it: its end, or the first push of a minute.
        """
        symbol, open_ms = bar.symbol, bar.open_time_ms
        forming = self._forming.get(symbol)
        if forming is not None and forming.open_time_ms == open_ms and not bar.is_closed:
            self._forming[symbol] = bar
            return False
        if not (is_sound(bar) and self._is_expected(bar)):
            self.refused += 1
            return False
        if bar.is_closed:
            if event_ms < open_ms + MINUTE_MS - 1:
                self.refused += 1
                return False
            return self._end(bar, forming)
        if open_ms <= self._closed_ms.get(symbol, 0) or (forming is not None and forming.open_time_ms > open_ms):
            return False
        self._forming[symbol] = bar
        if forming is None:
            return False
        if not is_sound(forming):
            self.refused += 1
            return False
        self._close(forming, Finality.SUCCESSOR_SEEN)
        return True

    def _is_expected(self, bar: Kline) -> bool:
        is_followed = self._followed is None or bar.symbol in self._followed
        return is_followed and bar.open_time_ms <= self._now_ms() + LEAD_MS

    def _end(self, bar: Kline, forming: Kline | None) -> bool:
        """Take the closing push of a bar."""
        symbol, open_ms = bar.symbol, bar.open_time_ms
        self._close(bar, Finality.STREAM_CLOSED)
        self._closed_ms[symbol] = max(open_ms, self._closed_ms.get(symbol, 0))
        if forming is not None and forming.open_time_ms <= open_ms:
            self._forget(symbol)
        return True

    def forget(self, symbols: Iterable[str]) -> None:
        """Forget forming bars whose pushes have stopped: their last push says nothing of their end."""
        for symbol in symbols:
            self._forget(symbol)

    def _forget(self, symbol: str) -> None:
        self._forming.pop(symbol, None)
        self._given.pop(symbol, None)

    def follow(self, symbols: Collection[str]) -> None:
        """Take bars of these symbols alone; of others everything is forgotten but closed bars still to be written."""
        self._followed = frozenset(symbols)
        for held in (self._forming, self._given, self._closed_ms):
            for symbol in held.keys() - self._followed:
                del held[symbol]

    def _close(self, bar: Kline, finality: Finality) -> None:
        key = (bar.symbol, bar.open_time_ms)
        held = self._closed.get(key)
        if held is not None and held[FINALITY_AT] > finality:
            return
        self._closed[key] = row(bar, finality)
        if len(self._closed) > self._limit:
            del self._closed[next(iter(self._closed))]
            self.dropped += 1

    # ── Out ──

    @property
    def has_closed(self) -> bool:
        """Return whether any closed bar is to be written."""
        return bool(self._closed)

    def closed(self) -> dict[tuple[str, int], Row]:
        """Return the closed bars to be written, by (symbol, open time); they stay until `written`."""
        return dict(self._closed)

    def written(self, rows: Mapping[tuple[str, int], Row]) -> None:
        """Forget closed bars that are stored, unless a surer version has arrived meanwhile."""
        for key, stored in rows.items():
            if self._closed.get(key) is stored:
                del self._closed[key]

    def forming(self) -> dict[str, bytes]:
        """Return the forming bars that changed, each as one `BAR_RECORD`, and start afresh."""
        changed = {symbol: bar for symbol, bar in self._forming.items() if bar is not self._given.get(symbol)}
        self._given.update(changed)
        symbols = [symbol for symbol in sorted(changed) if is_sound(changed[symbol])]
        self.refused += len(changed) - len(symbols)
        if not symbols:
            return {}
        records = np.array([row(changed[symbol], Finality.PROVISIONAL) for symbol in symbols], BAR_RECORD)
        return {symbol: records[at].tobytes() for at, symbol in enumerate(symbols)}


def is_sound(bar: Kline) -> bool:
    """Return whether a bar can be true: of the interval, on its grid, finite, its prices in order.

    Volumes may be 0, prices may not. An open time that can only be in microseconds is refused: a ring never gives up a
    later bar for an earlier one, so a bar of the year 57000 would keep its slot for good.
    """
    low, high, volume, open_ms = bar.low, bar.high, bar.volume, bar.open_time_ms
    return (
        0.0 < low <= bar.open <= high < inf
        and low <= bar.close <= high
        and 0.0 <= bar.taker_buy_volume <= volume * (1.0 + ROUNDING) < inf
        and 0.0 <= bar.quote_volume < inf
        and 0 <= bar.trade_count < MAX_TRADES
        and 0 < open_ms < MICROSECONDS_FROM
        and open_ms % MINUTE_MS == 0
        and bar.interval == INTERVAL
    )


FINALITY_AT: Final = list(BAR_RECORD.names or ()).index("finality")


def row(bar: Kline, finality: Finality) -> Row:
    """Return a bar as one `BAR_RECORD` row."""
    return (
        bar.open_time_ms,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.quote_volume,
        bar.taker_buy_volume,
        bar.trade_count,
        Source.STREAM.value,
        finality.value,
        0,
    )


def records(rows: Mapping[tuple[str, int], Row]) -> dict[str, NDArray[Any]]:
    """Group rows by symbol as `Rings.write` takes them."""
    grouped: dict[str, list[Row]] = {}
    for (symbol, _), values in rows.items():
        grouped.setdefault(symbol, []).append(values)
    return {symbol: np.array(values, BAR_RECORD) for symbol, values in grouped.items()}


__all__ = ["BUFFERED_BARS", "BarFeed", "Row", "is_sound", "records", "row"]
