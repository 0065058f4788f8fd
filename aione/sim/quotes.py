"""The order book of a simulated market: a stated model, because neither recordings nor bars hold one.

Spread, depth and open interest follow from a symbol's daily turnover by power laws that resemble the exchange's
books, and drift slowly. They are good for trying the system, not for research on books.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, floor
from typing import Final

import numpy as np

from aione.sim.market import DEPTH_FRACS, FUNDING_INTERVAL_MS, MINUTE_MS, DepthLevel, Quote, on_grid
from aione.sim.noise import drifting_at, uniform_at

TURNOVER_UNIT: Final = 1e8
_SHARES: Final = tuple((frac / 0.005) ** 0.8 for frac in DEPTH_FRACS)


@dataclass(frozen=True, slots=True)
class BookModel:
    """What a symbol's quotes are drawn from.

    Attributes
    ----------
    tick_size : float
        Quote per base.
    daily_turnover : float
        Quote value traded on an ordinary day; positive.
    seed_key : int
        Names the symbol's noise.
    spread_mult : float
        On top of the law ``2 bps x (turnover / 1e8)**-0.35``.
    """

    tick_size: float
    daily_turnover: float
    seed_key: int
    spread_mult: float = 1.0

    @property
    def spread_frac(self) -> float:
        """Usual spread as a fraction of mid, before the tick grid widens it."""
        return float(0.0002 * (self.daily_turnover / TURNOVER_UNIT) ** -0.35) * self.spread_mult

    @property
    def depth_quote(self) -> float:
        """Usual quote value within 0.5 % of mid on each side."""
        return float(60_000.0 * (self.daily_turnover / TURNOVER_UNIT) ** 0.65)

    @property
    def open_interest_quote(self) -> float:
        """Usual value of the open contracts."""
        return 0.5 * self.daily_turnover


def make_quote(
    model: BookModel,
    price: float,
    now_ms: int,
    *,
    spread_mult: float = 1.0,
    depth_mult: float = 1.0,
    interest_mult: float = 1.0,
    funding_rate: float | None = None,
) -> Quote:
    """Return the quote around the last traded ``price``; the same arguments give the same quote.

    ``funding_rate`` None takes the model's own: 0.01 % a funding interval plus a slow noise.
    """
    key, tick = model.seed_key, model.tick_size
    minute, second = now_ms // MINUTE_MS, now_ms // 1000
    half = 0.5 * price * model.spread_frac * spread_mult * (0.75 + 0.5 * uniform_at(key ^ 1, second))
    bid = max(1, floor((price - half) / tick + 1e-6))
    ask = max(bid + 1, ceil((price + half) / tick - 1e-6))
    best_bid, best_ask = on_grid(np.array([bid, ask], dtype=np.float64), tick).tolist()
    usual = model.depth_quote * depth_mult / price
    bids, asks = (usual * (0.8 + 0.4 * uniform_at(key ^ side, second)) for side in (2, 3))
    slow = drifting_at(key ^ 4, minute, 45)
    interest = exp(0.10 * drifting_at(key ^ 5, minute, 360)) * interest_mult
    if funding_rate is None:
        funding_rate = 1e-4 + 8e-5 * drifting_at(key ^ 6, minute, 1440)
    return Quote(
        bid=best_bid,
        bid_qty=bids * 0.02,
        ask=best_ask,
        ask_qty=asks * 0.02,
        mark=price * (1.0 + 5e-5 * slow),
        index=price * (1.0 - 1e-4 * slow),
        funding_rate=round(funding_rate, 8),
        next_funding_ms=(now_ms // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS,
        open_interest=model.open_interest_quote * interest / price,
        depth=tuple(
            DepthLevel(frac, bids * share * (frac * price >= half), asks * share * (frac * price >= half))
            for frac, share in zip(DEPTH_FRACS, _SHARES, strict=True)
        ),
    )


__all__ = ["BookModel", "make_quote"]
