"""The price path inside a bar: which trades could have made it, and what of it is known at each moment.

A `BarPath` is a short tape of trades that starts at the bar's open, visits its high and its low, ends at its close and
carries exactly its volume and taker buys. The forming bar is the aggregate of the tape so far, so that a client that
builds bars from trades and a client that reads bars see the same market. The same bar always has the same tape.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import numpy as np

from aione.sim.market import MINUTE_MS, SIM_BAR, SIM_TRADE, Bars, Trades, empty_bars, on_grid
from aione.sim.noise import F8, I8, noise_key, uniform, uniform_at

LAST_OFFSET_MS: Final = MINUTE_MS - 100
MAX_PRINTS: Final = 160
_INDEX: Final = np.arange(4 * MAX_PRINTS)
_CUMULATIVE: Final = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")


class BarPath:
    """The tape of one 1m bar.

    Parameters
    ----------
    bar : SIM_BAR (1,)
        With ``low <= open, close <= high`` and ``taker_buy_volume <= volume``.
    tick_size : float
        Grid of the prices between the bar's own four.
    key : int
        Names the tape; the bar's open time enters as well.

    Attributes
    ----------
    trades : SIM_TRADE (N,)
        Ascending in time. Empty where the bar has no volume.
    """

    __slots__ = ("_known", "_offsets", "_whole", "trades")

    def __init__(self, bar: Bars, tick_size: float, key: int = 0) -> None:
        start, first, *_, count = self._whole = bar[0].item()
        self.trades = _tape(bar, tick_size, noise_key(key, start))
        price, quantity = self.trades["price"], self.trades["quantity"]
        self._offsets: list[int] = (self.trades["time_ms"] - start).tolist()
        if not self._offsets:
            return
        bought = np.where(self.trades["is_buyer_maker"], 0.0, quantity)
        share = _share(quantity)
        self._known = np.empty(len(price), dtype=SIM_BAR)
        self._known["open_time_ms"], self._known["open"], self._known["close"] = start, first, price
        self._known["high"], self._known["low"] = np.maximum.accumulate(price), np.minimum.accumulate(price)
        for field, shares in zip(_CUMULATIVE, (share, _share(price * quantity), *[_share(bought)] * 2), strict=True):
            self._known[field] = bar[field] * shares
        self._known["trade_count"] = np.maximum(1, (count * share).astype(np.int64))
        self._known[-1] = self._whole

    def forming(self, elapsed_ms: int) -> Bars:
        """Return the bar as known ``elapsed_ms`` after its open: one SIM_BAR row.

        From the tape's last trade on it equals the whole bar exactly; volumes and count never fall.
        """
        if not self._offsets:
            return np.array([self._whole], dtype=SIM_BAR)
        last = max(bisect_right(self._offsets, elapsed_ms) - 1, 0)
        return self._known[last : last + 1].copy()


def forming(bar: Bars, elapsed_frac: float, tick_size: float = 1e-8, key: int = 0) -> Bars:
    """Return one bar as known after ``elapsed_frac`` of its minute; see `BarPath.forming`.

    Examples
    --------
    >>> from aione.sim.market import SIM_BAR
    >>> bar = np.array([(0, 10.0, 12.0, 9.0, 11.0, 5.0, 50.0, 3.0, 30.0, 40)], dtype=SIM_BAR)
    >>> bool(forming(bar, 0.0)["close"][0] == 10.0), bool(forming(bar, 1.0) == bar)
    (True, True)
    """
    return BarPath(bar, tick_size, key).forming(int(elapsed_frac * MINUTE_MS))


def trades(bar: Bars, tick_size: float = 1e-8, key: int = 0) -> Trades:
    """Return the tape of one bar; see `BarPath`."""
    return BarPath(bar, tick_size, key).trades


# ── The tape ──


def _tape(bar: Bars, tick_size: float, key: int) -> Trades:
    """Return the trades of one bar."""
    start, first, high, low, last, volume, _, taker_buy, _, count = bar[0].item()
    if volume <= 0.0:
        return np.empty(0, dtype=SIM_TRADE)
    corners = _corners(first, high, low, last, is_reversed=uniform_at(key, -1) < 0.3)
    prints = max(len(corners), min(count, int(2.0 + 2.0 * count**0.5), MAX_PRINTS))
    weight, when, rough, lean = uniform(key, _INDEX[: 4 * prints]).reshape(4, prints)
    price = _prices(corners, rough, tick_size, key)
    weight = 0.1 - np.log(weight)
    when.sort()
    offset = (when * LAST_OFFSET_MS).astype(np.int64)
    offset[0] = 0
    return _with_sides(start + offset, price, weight * (volume / weight.sum()), taker_buy, lean)


def _corners(first: float, high: float, low: float, last: float, *, is_reversed: bool) -> list[float]:
    """Return the prices that the path must visit, in order: open, the extremes that are not its ends, close."""
    extremes = [low, high] if (last >= first) != is_reversed else [high, low]
    inner = [price for price in extremes if price not in {first, last}]
    return [first, *inner, last] if inner or first != last else [first]


def _prices(corners: list[float], rough: F8, tick_size: float, key: int) -> F8:
    """Return a rough walk through the corners, on the tick grid and inside their range, (N,)."""
    prints, legs = len(rough), len(corners) - 1
    if legs == 0:
        return np.full(prints, corners[0])
    room = prints - len(corners) + 1
    places = sorted(int(uniform_at(key, -2 - number) * room) for number in range(legs - 1))
    knots = [0, *(1 + place + number for number, place in enumerate(places)), prints - 1]
    low, high = min(corners), max(corners)
    part = np.interp(_INDEX[:prints], knots, range(legs + 1)) % 1.0
    price = np.interp(_INDEX[:prints], knots, corners)
    price += (rough - 0.5) * ((high - low) * 0.8) * np.sqrt(part * (1.0 - part))
    price = on_grid(np.rint(price / tick_size), tick_size)
    np.clip(price, low, high, out=price)
    price[knots] = corners
    return price


def _with_sides(time_ms: I8, price: F8, quantity: F8, taker_buy: float, lean: F8) -> Trades:
    """Return trades whose buyers' aggression sums to ``taker_buy``; at most one trade is split for it."""
    lean[1:] -= 0.5 * np.sign(price[1:] - price[:-1])
    order = lean.argsort(kind="stable")
    filled = quantity[order].cumsum()
    whole = int(filled.searchsorted(taker_buy, "right"))
    is_sale = np.ones(len(price), dtype=bool)
    is_sale[order[:whole]] = False
    rows = np.empty(len(price), dtype=SIM_TRADE)
    rows["time_ms"], rows["price"], rows["quantity"], rows["is_buyer_maker"] = time_ms, price, quantity, is_sale
    rest = taker_buy - (filled[whole - 1] if whole else 0.0)
    if whole == len(price) or rest <= filled[-1] * 1e-12:
        return rows
    split = int(order[whole])
    bought = rows[split : split + 1].copy()
    bought["quantity"], bought["is_buyer_maker"] = rest, False
    rows["quantity"][split] -= rest
    return np.concatenate((rows[:split], bought, rows[split:]))


def _share(values: F8) -> F8:
    total = np.cumsum(values)
    return np.asarray(total / total[-1] if total[-1] > 0.0 else total)


class PathCache:
    """The paths of the bars asked for last, built once each; bounded.

    Parameters
    ----------
    minute : callable (symbol, open_time_ms) -> SIM_BAR (0 or 1,)
        Where bars come from.
    tick_size : callable (symbol) -> float
    seed : int
    capacity : int
        Paths kept; one takes about 10 kB.
    """

    def __init__(
        self,
        minute: Callable[[str, int], Bars],
        tick_size: Callable[[str], float],
        seed: int = 0,
        capacity: int = 4096,
    ) -> None:
        self._minute, self._tick_size, self._seed, self._capacity = minute, tick_size, seed, capacity
        self._paths: OrderedDict[tuple[str, int], BarPath | None] = OrderedDict()

    def forming(self, symbol: str, now_ms: int) -> Bars:
        """Return the 1m bar of ``now_ms`` as known then; no row where there is no bar."""
        path = self._path(symbol, now_ms // MINUTE_MS * MINUTE_MS)
        return empty_bars() if path is None else path.forming(now_ms % MINUTE_MS)

    def trades(self, symbol: str, start_ms: int, end_ms: int) -> Trades:
        """Return SIM_TRADE rows with ``start_ms <= time_ms <= end_ms``."""
        parts = [np.empty(0, dtype=SIM_TRADE)]
        for open_ms in range(start_ms // MINUTE_MS * MINUTE_MS, end_ms + 1, MINUTE_MS):
            path = self._path(symbol, open_ms)
            if path is not None:
                times = path.trades["time_ms"]
                parts.append(path.trades[np.searchsorted(times, start_ms) : np.searchsorted(times, end_ms, "right")])
        return np.concatenate(parts)

    def _path(self, symbol: str, open_ms: int) -> BarPath | None:
        place = (symbol, open_ms)
        if place in self._paths:
            self._paths.move_to_end(place)
            return self._paths[place]
        bar = self._minute(symbol, open_ms)
        path = BarPath(bar, self._tick_size(symbol), noise_key(self._seed, symbol)) if len(bar) else None
        self._paths[place] = path
        if len(self._paths) > self._capacity:
            self._paths.popitem(last=False)
        return path


__all__ = ["LAST_OFFSET_MS", "BarPath", "PathCache", "forming", "trades"]
