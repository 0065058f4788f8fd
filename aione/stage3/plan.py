"""A plan before it is a trade: how large, and whether the rules of the book let it in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isnan
from typing import Final

from aione.errors import InvalidInput
from aione.stage3.book import TradeBook
from aione.stage3.fills import round_quantity
from config.models import Stage3Params

REFUSALS: Final = (
    "already_traded",
    "open_trade_of_symbol",
    "low_confidence",
    "stale_data",
    "cooldown",
    "max_open",
    "correlation_cap",
    "bad_plan",
    "below_min_notional",
)
"""Every reason for which a signal opens no trade, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One signal as Stage3 sees it; prices in quote per base, NaN is unknown.

    Attributes
    ----------
    symbol, side : str, +1 or -1
    bar_ms : int
        Open time of the bar that gave the signal.
    entry, stop : float
    targets : tuple of float, nearest first
    confidence, min_confidence : float
        In [0, 1]: the signal's, and the least that opens a trade.
    age_ms : float
        How old the newest closed bar is now; NaN where the last bar is missing.
    corr_btc : float
        Correlation with BTC, which decides whether two trades are one.
    step_size, min_notional : float
    """

    symbol: str
    side: int
    bar_ms: int
    entry: float
    stop: float
    targets: tuple[float, ...]
    confidence: float
    min_confidence: float
    age_ms: float
    corr_btc: float
    step_size: float
    min_notional: float

    @property
    def trade_id(self) -> str:
        """Return the id: the same signal always gives the same one, so a minute run twice opens one trade."""
        return f"{self.symbol}-{self.bar_ms}-{'long' if self.side > 0 else 'short'}"


def size_by_risk(entry: float, stop: float, step_size: float, min_notional: float, params: Stage3Params) -> float:
    """Return the quantity in base units that loses ``risk_frac`` of equity at the stop, before costs.

    Rounded down to the step size, so that the risk is never above the budget. 0.0 where that leaves less than the
    minimum notional: it is not raised, because that would risk more than the budget.

    Raises
    ------
    InvalidInput
        Entry or stop is not a positive number, or they are equal.

    Examples
    --------
    >>> size_by_risk(100.0, 98.0, 0.1, 5.0, Stage3Params(equity_quote=1000.0, risk_frac=0.01))
    5.0
    """
    if not (isfinite(entry) and isfinite(stop) and entry > 0 and stop > 0 and entry != stop):
        raise InvalidInput(f"entry and stop must be different positive prices, were {entry} and {stop}")
    quantity = round_quantity(params.risk_frac * params.equity_quote / abs(entry - stop), step_size)
    return 0.0 if quantity * entry < min_notional or quantity <= 0 else quantity


def refusal(candidate: Candidate, book: TradeBook, params: Stage3Params) -> str | None:
    """Return why this signal opens no trade (one of `REFUSALS`), or None where it may."""
    last_closed = book.last_closed_ms(candidate.symbol)
    closed_at = candidate.bar_ms if last_closed is None else last_closed
    in_cooldown = last_closed is not None and candidate.bar_ms - closed_at < params.cooldown_s * 1000
    asked = {
        "already_traded": book.has(candidate.trade_id),
        "open_trade_of_symbol": candidate.symbol in book.open,
        "low_confidence": not candidate.confidence >= candidate.min_confidence,
        "stale_data": not candidate.age_ms <= params.max_data_age_s * 1000,
        "cooldown": in_cooldown,
        "max_open": len(book.open) >= params.max_open,
        "correlation_cap": same_move(candidate, book, params) >= params.max_same_side_correlated,
        "bad_plan": not is_ordered(candidate.side, candidate.entry, candidate.stop, candidate.targets),
    }
    for reason in REFUSALS[:-1]:
        if asked[reason]:
            return reason
    size = size_by_risk(candidate.entry, candidate.stop, candidate.step_size, candidate.min_notional, params)
    return "below_min_notional" if size == 0.0 else None


def same_move(candidate: Candidate, book: TradeBook, params: Stage3Params) -> int:
    """Return how many open trades ride the move of BTC that this candidate would ride; 0 where it rides none."""
    side = btc_side(candidate.side, candidate.corr_btc, params.correlation_cap)
    if side == 0:
        return 0
    return sum(btc_side(t.side, t.corr_btc, params.correlation_cap) == side for t in book.open.values())


def btc_side(side: int, corr_btc: float | None, cap: float) -> int:
    """Return the side that a trade takes on BTC: 0 where it moves on its own.

    An unknown correlation counts as full: a symbol too young to be measured is not thereby diversified.

    Examples
    --------
    >>> btc_side(+1, 0.9, 0.85), btc_side(+1, -0.9, 0.85), btc_side(+1, 0.2, 0.85), btc_side(-1, float("nan"), 0.85)
    (1, -1, 0, -1)
    """
    if corr_btc is None or isnan(corr_btc):
        return side
    if abs(corr_btc) < cap:
        return 0
    return side if corr_btc > 0 else -side


def is_ordered(side: int, entry: float, stop: float, targets: tuple[float, ...]) -> bool:
    """Return whether stop, entry and targets stand in the order of the side, all of them known."""
    signed = [side * price for price in (stop, entry, *targets)]
    return bool(targets) and stop > 0 and all(a < b for a, b in pairwise(signed))


__all__ = ["REFUSALS", "Candidate", "btc_side", "is_ordered", "refusal", "same_move", "size_by_risk"]
