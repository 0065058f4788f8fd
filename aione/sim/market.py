"""What a simulated exchange sells: listings, bars, trades and quotes, as a pure function of time.

A `Market` has no clock. The server asks for a moment and decides what of the answer is already public; the same
question has the same answer in every process, for ever. `RecordedMarket` and `SyntheticMarket` are the two kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
FUNDING_INTERVAL_MS: Final = 8 * 3_600_000
MONDAY_OFFSET_MS: Final = 4 * DAY_MS  # 1970-01-01 was a Thursday; the exchange's weeks open on Monday

SIM_BAR: Final = np.dtype(
    [
        ("open_time_ms", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("quote_volume", "<f8"),
        ("taker_buy_volume", "<f8"),
        ("taker_buy_quote_volume", "<f8"),
        ("trade_count", "<i8"),
    ]
)
"""Every field that the exchange sends of a bar. Prices in quote per base, volumes in base or quote."""

_RAW_BAR: Final = np.dtype((np.void, SIM_BAR.itemsize))

SIM_TRADE: Final = np.dtype([("time_ms", "<i8"), ("price", "<f8"), ("quantity", "<f8"), ("is_buyer_maker", "?")])
"""One aggregated trade; ``is_buyer_maker`` is true where the aggressor sold."""

Bars: TypeAlias = NDArray[np.void]
Trades: TypeAlias = NDArray[np.void]

DEPTH_FRACS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02)
_SUMMED: Final = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "trade_count")


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of exchangeInfo; tick and step sizes are the exchange's own strings (``"0.10"``)."""

    symbol: str
    base_asset: str
    quote_asset: str
    contract_type: str
    underlying_type: str
    status: str
    onboard_ms: int
    delivery_ms: int
    tick_size: str
    step_size: str
    min_notional: str


@dataclass(frozen=True, slots=True)
class DepthLevel:
    """Base quantity that rests within ``frac`` of mid, counted from mid, on each side."""

    frac: float
    bid_qty: float
    ask_qty: float


@dataclass(frozen=True, slots=True)
class Quote:
    """Order book and derivatives of one symbol at one moment.

    Attributes
    ----------
    bid, ask, mark, index : float
        Quote per base; ``bid < ask``, both on the tick grid.
    bid_qty, ask_qty, open_interest : float
        Base. The quantities at the best prices; the open contracts.
    funding_rate : float
        Fraction a funding interval, to be exchanged at ``next_funding_ms``.
    depth : tuple of DepthLevel
        Cumulative, nearest fraction first; quantities never fall. `book_levels` turns it into rows.
    """

    bid: float
    bid_qty: float
    ask: float
    ask_qty: float
    mark: float
    index: float
    funding_rate: float
    next_funding_ms: int
    open_interest: float
    depth: tuple[DepthLevel, ...]


class Market(Protocol):
    """Where a simulated exchange gets its data from. An unknown symbol is `InvalidInput` everywhere."""

    def listings(self, now_ms: int) -> Sequence[Listing]:
        """Return exchangeInfo's rows as they stand at ``now_ms``: delisted contracts change status, then leave."""
        ...

    def bars(self, symbol: str, interval_ms: int, start_ms: int, end_ms: int) -> Bars:
        """Return SIM_BAR rows with ``start_ms <= open_time_ms <= end_ms``, whole ones, of the future as well.

        Minutes without a bar (an outage, before the listing, after the delisting) are absent.
        """
        ...

    def forming(self, symbol: str, now_ms: int) -> Bars:
        """Return the 1m bar of ``now_ms`` as seen so far: one SIM_BAR row, or none where there is no bar.

        At the bar's last millisecond it equals the whole bar exactly.
        """
        ...

    def trades(self, symbol: str, start_ms: int, end_ms: int) -> Trades:
        """Return SIM_TRADE rows with ``start_ms <= time_ms <= end_ms``; those of a minute add up to its bar."""
        ...

    def quote(self, symbol: str, now_ms: int) -> Quote:
        """Return order book and derivatives at ``now_ms``."""
        ...


def empty_bars() -> Bars:
    """Return no bars.

    Examples
    --------
    >>> len(empty_bars())
    0
    """
    return np.empty(0, dtype=SIM_BAR)


def stack(parts: Sequence[Bars]) -> Bars:
    """Return all rows of several SIM_BAR arrays, one after the other.

    Rows are copied as bytes: NumPy copies the fields of a record one by one, fifty times slower.

    Examples
    --------
    >>> len(stack([])), len(stack([empty_bars(), np.zeros(2, dtype=SIM_BAR)]))
    (0, 2)
    """
    raw = [np.ascontiguousarray(part).view(_RAW_BAR) for part in parts]
    return np.concatenate([np.empty(0, dtype=_RAW_BAR), *raw]).view(SIM_BAR)


def check_interval(interval_ms: int) -> None:
    """Refuse an interval that is not a whole number of minutes, with `InvalidInput`."""
    if interval_ms < MINUTE_MS or interval_ms % MINUTE_MS:
        raise InvalidInput(f"interval_ms must be a positive multiple of {MINUTE_MS}, was {interval_ms}")


def bucket_open(time_ms: int, interval_ms: int) -> int:
    """Return the open time of the bar that holds ``time_ms``: aligned to the epoch, weeks to Monday.

    Examples
    --------
    >>> bucket_open(3_600_001, 3_600_000)
    3600000
    """
    offset = MONDAY_OFFSET_MS if interval_ms % WEEK_MS == 0 else 0
    return (time_ms - offset) // interval_ms * interval_ms + offset


def aggregate(bars: Bars, interval_ms: int) -> Bars:
    """Return bars of a longer interval made of shorter ones; a bucket without any bar is absent.

    Parameters
    ----------
    bars : SIM_BAR (N,)
        Ascending in ``open_time_ms``.
    interval_ms : int
        A multiple of 60 000.

    Raises
    ------
    InvalidInput
        ``interval_ms`` is not a positive number of minutes.

    Examples
    --------
    >>> minutes = np.zeros(3, dtype=SIM_BAR)
    >>> minutes["open_time_ms"], minutes["high"] = [0, 60_000, 120_000], [5.0, 7.0, 6.0]
    >>> aggregate(minutes, 120_000)[["open_time_ms", "high"]].tolist()
    [(0, 7.0), (120000, 6.0)]
    """
    check_interval(interval_ms)
    if not len(bars):
        return empty_bars()
    offset = MONDAY_OFFSET_MS if interval_ms % WEEK_MS == 0 else 0
    bucket = (bars["open_time_ms"] - offset) // interval_ms
    first = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    last = np.append(first[1:], len(bars)) - 1
    out = np.empty(len(first), dtype=SIM_BAR)
    out["open_time_ms"] = bucket[first] * interval_ms + offset
    out["open"] = bars["open"][first]
    out["close"] = bars["close"][last]
    out["high"] = np.maximum.reduceat(bars["high"], first)
    out["low"] = np.minimum.reduceat(bars["low"], first)
    for field in _SUMMED:
        out[field] = np.add.reduceat(bars[field], first)
    return out


def between(bars: Bars, start_ms: int, end_ms: int) -> Bars:
    """Return the rows of ascending ``bars`` with ``start_ms <= open_time_ms <= end_ms`` (a view)."""
    times = bars["open_time_ms"]
    return bars[np.searchsorted(times, start_ms, "left") : np.searchsorted(times, end_ms, "right")]


def on_grid(count: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Return ``count`` steps of ``size`` as the decimal that a person would write, to the bit.

    A step below one is the inverse of an integer, and dividing by that rounds once.

    Examples
    --------
    >>> on_grid(np.array([938618.0]), 0.1).tolist(), 938618 * 0.1
    ([93861.8], 93861.8)
    >>> on_grid(np.array([3.0]), 0.1).tolist(), 3 * 0.1
    ([0.3], 0.30000000000000004)
    """
    inverse = round(1.0 / size)
    is_whole = size < 1.0 and abs(inverse * size - 1.0) < 1e-9
    return count / inverse if is_whole else count * size


def book_levels(quote: Quote, tick_size: float, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bid rows and ask rows (price, base quantity), each (L, 2), best first, L at most ``count``.

    The first row is the best price with its quantity; the others stand between the fractions of ``quote.depth`` so
    that the cumulative quantities agree with it. Prices are on the tick grid and strictly ordered.
    """
    return _side(quote, tick_size, count, -1), _side(quote, tick_size, count, 1)


def _side(quote: Quote, tick_size: float, count: int, sign: int) -> NDArray[np.float64]:
    mid = 0.5 * (quote.bid + quote.ask)
    best, best_qty = (quote.bid, quote.bid_qty) if sign < 0 else (quote.ask, quote.ask_qty)
    fracs = np.array([level.frac for level in quote.depth])
    held = np.array([level.bid_qty if sign < 0 else level.ask_qty for level in quote.depth])
    if count <= 1 or not len(fracs):
        return np.array([[best, best_qty]])
    start = round(best / tick_size)
    room = max(1, int(fracs[-1] * mid / tick_size))
    steps = np.unique(np.round(np.geomspace(1, max(room, count), count - 1)).astype(np.int64))
    ticks = start + sign * np.concatenate(([0], steps))
    ticks = ticks[ticks > 0]
    prices = on_grid(ticks.astype(np.float64), tick_size)
    edge = abs(best - mid) / mid
    away = np.abs(prices - mid) / mid
    beyond = fracs > edge
    total = np.interp(away, np.concatenate(([edge], fracs[beyond])), np.concatenate(([0.0], held[beyond])))
    quantity = np.diff(np.maximum(total, best_qty), prepend=0.0)
    rows = np.column_stack((prices, quantity))
    return np.asarray(rows[quantity > 0][:count])


__all__ = [
    "DAY_MS",
    "DEPTH_FRACS",
    "FUNDING_INTERVAL_MS",
    "MINUTE_MS",
    "SIM_BAR",
    "SIM_TRADE",
    "WEEK_MS",
    "Bars",
    "DepthLevel",
    "Listing",
    "Market",
    "Quote",
    "Trades",
    "aggregate",
    "between",
    "book_levels",
    "bucket_open",
    "check_interval",
    "empty_bars",
    "on_grid",
    "stack",
]
