"""The seeded defects: each puts one wrong thing into sound records, or a thing that is on the bound and right."""

from __future__ import annotations

import numpy as np

from config.models import QualityParams

PARAMS = QualityParams()
NAN, INF = float("nan"), float("inf")


def put(rows, at, **values):
    for name, value in values.items():
        rows[name][at] = value
    return rows


def flat(rows, bars):
    """Let the last bars stand still at the close before them."""
    price = rows["close"][-bars - 1]
    for name in ("open", "high", "low", "close"):
        rows[name][-bars:] = price
    for name in ("volume", "quote_volume", "taker_buy_volume", "trade_count"):
        rows[name][-bars:] = 0
    return rows


def trading(rows, at):
    """Give a bar a trade, whatever it had, so that its numbers can be put into relation."""
    middle = (rows["high"][at] + rows["low"][at]) / 2
    return put(rows, at, volume=10.0, quote_volume=10.0 * middle, taker_buy_volume=4.0, trade_count=3)


def silent(rows, at):
    """Let a bar have no trade."""
    return put(rows, at, volume=0.0, quote_volume=0.0, taker_buy_volume=0.0, trade_count=0)


def shift_from(rows, at, factor):
    """Multiply every price from a bar on, and what goes with it, so that only the step is strange."""
    for name in ("open", "high", "low", "close", "quote_volume"):
        rows[name][at:] *= factor
    return rows


def opened_at(rows, at, price):
    """Let a bar open at a price, with everything else in accord with it."""
    trading(rows, at)
    low, high = min(price, rows["close"][at]), max(price, rows["close"][at])
    return put(rows, at, open=price, low=low, high=high, quote_volume=10.0 * (low + high) / 2)


def wide(rows, at, *, is_beyond):
    """Let a bar's range be as wide as may be, or one bit more."""
    trading(rows, at)
    low = rows["low"][at]
    high = farthest(low, PARAMS.max_range_frac, 1)
    high = np.nextafter(high, INF) if is_beyond else high
    return put(rows, at, high=high, quote_volume=10.0 * (low + high) / 2)


def farthest(base, frac, side):
    """Return the number farthest from ``base`` whose ratio to it, minus 1, is within ``frac``: to the last bit."""
    number = base * (1.0 + side * frac)
    while abs(number / base - 1.0) > frac:
        number = np.nextafter(number, base)
    while abs(np.nextafter(number, side * INF) / base - 1.0) <= frac:
        number = np.nextafter(number, side * INF)
    return number


def jumped(rows, at, side, *, is_beyond):
    """Let a bar open as far from the close before it as may be, or one bit farther."""
    price = farthest(rows["close"][at - 1], PARAMS.max_jump_frac, side)
    return opened_at(rows, at, np.nextafter(price, side * INF) if is_beyond else price)


def again(rows, at):
    return np.concatenate([rows, rows[at : at + 1] if at != -1 else rows[-1:]])


def off_grid(rows, at):
    """Add a bar that begins between two minutes."""
    more = rows[[at]].copy()
    more["open_time_ms"] += 30_000
    return np.concatenate([rows, more])


def edge_quote(rows, at, *, side, beyond):
    trading(rows, at)
    tolerance = PARAMS.vwap_tolerance_frac
    edge = rows["low"][at] * 10.0 * (1.0 - tolerance) if side < 0 else rows["high"][at] * 10.0 * (1.0 + tolerance)
    return put(rows, at, quote_volume=np.nextafter(edge, side * INF) if beyond else edge)


IMPROBABLE = {
    "a decimal point has moved",
    "the price has fallen to a tenth",
    "the open is a hair too high",
    "the open is a hair too low",
    "the low is a tenth",
    "the range is a hair too wide",
    "nothing moved for the hour",
}
"""What the market could do: no defect of a history."""
HOUR_DEFECTS = {
    "a price is NaN": lambda rows, at: put(rows, at, close=NAN),
    "a price is infinite": lambda rows, at: put(rows, at, high=INF),
    "a price is minus infinity": lambda rows, at: put(rows, at, low=-INF),
    "a price is zero": lambda rows, at: put(rows, at, low=0.0),
    "a price is negative": lambda rows, at: put(rows, at, open=-1.0),
    "all prices are zero": lambda rows, at: put(rows, at, open=0.0, high=0.0, low=0.0, close=0.0),
    "every value is NaN": lambda rows, at: put(
        rows, at, **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"), NAN)
    ),
    "high and low have changed places": lambda rows, at: put(
        rows, at, high=rows["low"][at] * 0.99, low=rows["high"][at] * 1.01
    ),
    "high is a hair below low": lambda rows, at: put(rows, at, high=np.nextafter(rows["low"][at], 0.0)),
    "open is above high": lambda rows, at: put(rows, at, open=rows["high"][at] * 1.01),
    "open is a hair below low": lambda rows, at: put(rows, at, open=np.nextafter(rows["low"][at], 0.0)),
    "close is below low": lambda rows, at: put(rows, at, close=rows["low"][at] * 0.99),
    "close is a hair above high": lambda rows, at: put(rows, at, close=np.nextafter(rows["high"][at], INF)),
    "volume is negative": lambda rows, at: put(rows, at, volume=-1e-9),
    "volume is NaN": lambda rows, at: put(rows, at, volume=NAN),
    "volume is infinite": lambda rows, at: put(rows, at, volume=INF),
    "takers bought more than all": lambda rows, at: put(trading(rows, at), at, taker_buy_volume=10.1),
    "takers bought a hair too much": lambda rows, at: put(
        trading(rows, at), at, taker_buy_volume=np.nextafter(10.0 * (1.0 + PARAMS.taker_tolerance_frac), INF)
    ),
    "takers bought less than nothing": lambda rows, at: put(trading(rows, at), at, taker_buy_volume=-1.0),
    "quote volume is of another scale": lambda rows, at: put(
        trading(rows, at), at, quote_volume=100.0 * rows["high"][at]
    ),
    "quote volume is negative": lambda rows, at: put(trading(rows, at), at, quote_volume=-1.0),
    "quote volume without volume": lambda rows, at: put(silent(rows, at), at, quote_volume=1.0),
    "quote volume is a hair too small": lambda rows, at: edge_quote(rows, at, side=-1, beyond=True),
    "quote volume is a hair too large": lambda rows, at: edge_quote(rows, at, side=1, beyond=True),
    "trades and no volume": lambda rows, at: put(silent(rows, at), at, trade_count=1),
    "volume and no trade": lambda rows, at: put(trading(rows, at), at, trade_count=0),
    "a decimal point has moved": lambda rows, at: shift_from(rows, at, 10.0),
    "the price has fallen to a tenth": lambda rows, at: shift_from(rows, at, 0.1),
    "the open is a hair too high": lambda rows, at: jumped(rows, at, 1, is_beyond=True),
    "the open is a hair too low": lambda rows, at: jumped(rows, at, -1, is_beyond=True),
    "the low is a tenth": lambda rows, at: put(trading(rows, at), at, low=rows["low"][at] * 0.1),
    "the range is a hair too wide": lambda rows, at: wide(rows, at, is_beyond=True),
    "nothing moved for the hour": lambda rows, _at: flat(rows, PARAMS.frozen_bars),
    "the same minute twice": again,
    "a bar between two minutes": off_grid,
}

HOUR_BOUNDARIES = {
    "the hour but a minute stood still": lambda rows, _at: flat(rows, PARAMS.frozen_bars - 1),
    "takers bought all": lambda rows, at: put(trading(rows, at), at, taker_buy_volume=10.0),
    "takers bought nothing": lambda rows, at: put(trading(rows, at), at, taker_buy_volume=0.0),
    "quote volume on the lower edge": lambda rows, at: edge_quote(rows, at, side=-1, beyond=False),
    "quote volume on the upper edge": lambda rows, at: edge_quote(rows, at, side=1, beyond=False),
    "nothing traded": lambda rows, at: put(
        silent(rows, at), at, **dict.fromkeys(("high", "low", "open", "close"), rows["close"][at - 1])
    ),
    "the range is as wide as may be": lambda rows, at: wide(rows, at, is_beyond=False),
    "the open is as far as may be": lambda rows, at: jumped(rows, at, 1, is_beyond=False),
    "the open is as low as may be": lambda rows, at: jumped(rows, at, -1, is_beyond=False),
    "quote and taker volume are unknown": lambda rows, at: put(rows, at, quote_volume=NAN, taker_buy_volume=NAN),
    "a jump over a gap": lambda rows, at: np.delete(shift_from(rows, at, 3.0), at - 1),
}

__all__ = ["HOUR_BOUNDARIES", "HOUR_DEFECTS", "IMPROBABLE"]
