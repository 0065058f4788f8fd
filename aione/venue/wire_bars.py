"""Bars as the klines endpoint sends them, into `BAR_RECORD` rows."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from aione.errors import InvalidInput, MalformedReply
from aione.panel.bars import BAR_RECORD, DAY_MS, MINUTE_MS, Finality, Source
from aione.venue.wire import Amount, Moment, decode, decoder_of

INTERVALS_MS: Final = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
}
MICROSECONDS_FROM: Final = 10**14
"""An epoch at or above this is in microseconds: in milliseconds it would be the year 5138."""


OpenTime = Annotated[int, Meta(gt=0, lt=1000 * MICROSECONDS_FROM)]
"""In milliseconds or microseconds; nanoseconds, and what no column of a record can hold, are refused."""


class _Kline(msgspec.Struct, array_like=True, gc=False):
    open_time: OpenTime
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: Amount
    close_time: Moment
    quote_volume: Amount
    trade_count: Moment
    taker_buy_volume: Amount


_KLINES: Final = decoder_of(list[_Kline])


def interval_ms(interval: str) -> int:
    """Return the length of an interval; `InvalidInput` names one that the exchange does not have."""
    if interval not in INTERVALS_MS:
        raise InvalidInput(f"interval must be one of {', '.join(INTERVALS_MS)}, was {interval!r}")
    return INTERVALS_MS[interval]


def decode_klines(body: bytes, interval: str, *, what: str) -> NDArray[Any]:
    """Decode bars into `BAR_RECORD` rows, oldest first, confirmed by REST; the forming bar is still among them.

    Raises
    ------
    MalformedReply
        Besides what `decode` raises: prices that contradict each other, an open time off the interval's grid, or
        rows out of order; the message names the row.
    """
    rows = decode(body, _KLINES, what=what)
    bars = np.zeros(len(rows), BAR_RECORD)
    if not rows:
        return bars
    bars["open_time_ms"] = [row.open_time for row in rows]
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"):
        bars[name] = [getattr(row, name) for row in rows]
    bars["trade_count"] = [min(row.trade_count, 2**32 - 1) for row in rows]
    times = bars["open_time_ms"]
    times[(times >= MICROSECONDS_FROM) & (times % 1000 == 0)] //= 1000
    bars["source"], bars["finality"] = Source.REST, Finality.REST_CONFIRMED
    _refuse_contradictions(bars, INTERVALS_MS[interval], what)
    return bars


def _refuse_contradictions(bars: NDArray[Any], interval_ms: int, what: str) -> None:
    low, high = bars["low"], bars["high"]
    checks = {
        "open time off the grid": bars["open_time_ms"] % interval_ms != 0,
        "price of 0": low <= 0,
        "low above open or close": low > np.minimum(bars["open"], bars["close"]),
        "high below open or close": high < np.maximum(bars["open"], bars["close"]),
        "open time not after the row before": np.diff(bars["open_time_ms"], prepend=-1) <= 0,
    }
    for name, wrong in checks.items():
        if wrong.any():
            row = int(np.argmax(wrong))
            raise MalformedReply(f"{what}: {name} - at `$[{row}]`: {bars[row]}")


__all__ = ["INTERVALS_MS", "MICROSECONDS_FROM", "decode_klines", "interval_ms"]
