"""Tick sizes: which one holds for a symbol, rounding to it and writing a price with it."""

from __future__ import annotations

from decimal import Decimal
from math import ceil, floor, isfinite
from typing import Literal

from config.settings import Settings


def get_tick_size(symbol: str, price: float, settings: Settings, exchange_tick_size: float | None = None) -> float:
    """Return the smallest price move of a symbol, in quote per base.

    The exchange's own comes first, then ``TICK_SIZE_MAP``, then the bracket of the price, then the default.
    """
    if exchange_tick_size is not None and exchange_tick_size > 0:
        return exchange_tick_size
    if symbol in settings.TICK_SIZE_MAP:
        return settings.TICK_SIZE_MAP[symbol]
    for bracket in sorted(settings.TICK_SIZE_BRACKETS, key=lambda b: b.below):
        if price < bracket.below:
            return bracket.tick_size
    return settings.TICK_SIZE_DEFAULT


def round_to_tick(price: float, tick_size: float, towards: Literal["nearest", "down", "up"] = "nearest") -> float:
    """Return ``price`` on the grid of ``tick_size``; exact to the tick's own decimals.

    Examples
    --------
    >>> round_to_tick(0.123456, 0.001)
    0.123
    >>> round_to_tick(0.123456, 0.001, "up")
    0.124
    """
    steps = price / tick_size
    nearest = round(steps)
    if abs(steps - nearest) < 1e-9 * max(1.0, abs(steps)) or towards == "nearest":
        whole = nearest
    else:
        whole = floor(steps) if towards == "down" else ceil(steps)
    return float(Decimal(whole) * Decimal(repr(float(tick_size))))


def price_decimals(tick_size: float) -> int:
    """Return the decimals that a price needs to show every tick.

    Examples
    --------
    >>> price_decimals(0.0001), price_decimals(5.0)
    (4, 0)
    """
    exponent = Decimal(repr(float(tick_size))).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def format_price(price: float | None, tick_size: float) -> str | None:
    """Write a price with its tick's decimals; None where it is unknown.

    Examples
    --------
    >>> format_price(1.5, 0.001)
    '1.500'
    """
    if price is None or not isfinite(price):
        return None
    return f"{price:.{price_decimals(tick_size)}f}"


__all__ = ["format_price", "get_tick_size", "price_decimals", "round_to_tick"]
