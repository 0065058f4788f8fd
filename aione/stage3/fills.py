"""The fill model of paper trades: spread, slippage, fees and gaps. Every assumption is against the trade.

A market order crosses half the spread and slips; a target is a resting limit order and fills at its price, never
better. Every fill pays the taker fee. ``side`` is that of the trade: +1 long, -1 short.
"""

from __future__ import annotations

from math import isfinite

from aione.prices import round_to_tick


def market_fill(price: float, direction: int, spread_frac: float, slippage_frac: float) -> float:
    """Return the price that a market order gets; ``direction`` +1 buys, -1 sells.

    Examples
    --------
    >>> market_fill(100.0, +1, spread_frac=0.002, slippage_frac=0.001)
    100.2
    >>> market_fill(100.0, -1, spread_frac=0.002, slippage_frac=0.001)
    99.8
    """
    return price * (1.0 + direction * (spread_frac / 2.0 + slippage_frac))


def stop_fill(stop: float, bar_open: float, side: int, spread_frac: float, slippage_frac: float) -> float:
    """Return what a stop gets on a bar that touched it: at the open where the bar gapped through it.

    Examples
    --------
    >>> stop_fill(99.0, bar_open=97.0, side=+1, spread_frac=0.0, slippage_frac=0.0)
    97.0
    """
    trigger = min(stop, bar_open) if side > 0 else max(stop, bar_open)
    return market_fill(trigger, -side, spread_frac, slippage_frac)


def fee_quote(price: float, quantity: float, fee_frac: float) -> float:
    """Return the fee of one fill, in quote."""
    return price * quantity * fee_frac


def round_quantity(quantity: float, step_size: float) -> float:
    """Return ``quantity`` rounded down to the step size; unchanged where the step size is unknown (NaN).

    Examples
    --------
    >>> round_quantity(1.2399, 0.01)
    1.23
    """
    if not isfinite(step_size) or step_size <= 0:
        return quantity
    return round_to_tick(quantity, step_size, "down")


def target_quantity(initial: float, remaining: float, hit: int, targets: int, step_size: float) -> float:
    """Return what target number ``hit`` (from 1) takes off, base units; the last one takes all that remains.

    After target ``k`` of ``n`` at least ``initial * (n - k) / n`` remains, so a quantity of one step is closed
    whole at the last target.

    Examples
    --------
    >>> [target_quantity(1.0, left, hit, 3, 0.1) for left, hit in ((1.0, 1), (0.7, 2), (0.4, 3))]
    [0.3, 0.3, 0.4]
    """
    if hit >= targets:
        return remaining
    keep = initial - round_quantity(initial * hit / targets, step_size)
    return max(0.0, round_quantity(remaining - keep, step_size))


__all__ = ["fee_quote", "market_fill", "round_quantity", "stop_fill", "target_quantity"]
