"""Arrays that the last bar's kernels work on, made once for all symbols of a part."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aione.indicators.columns import MOVE_LOOKBACK, Periods
from aione.indicators.frames import FRAMES, frame_weights
from aione.indicators.kernel import decaying, row_jit
from aione.indicators.moves import MOVE_BARS
from aione.indicators.profile_ledger import Ledger, make_ledger
from aione.indicators.volatility import DISTRIBUTION_BARS
from aione.indicators.wilder import COLUMNS
from aione.indicators.wilder_tail import memory_bars
from aione.panel import F8

MARGIN: Final = max(MOVE_BARS)
"""Room beside the highs of which moves are made."""


class Scratch(NamedTuple):
    """What the kernels work on.

    Attributes
    ----------
    work : float64 (4, n)
        For any window.
    returns, market : float64 (n,)
        One-bar log returns of the symbol and of the benchmark; ``market`` is empty if there is none.
    ratios : float64 (2, n + 1)
    wilder, decay, trail, columns
        See `wilder_tail`.
    rsi : float64 (n,)
        Of the last bars.
    frames : float64 (2, 3, n)
        Bars of the higher timeframes.
    weights : float64 (3, n)
        Of their fast and slow averages and of their ATR, see `distance_of`.
    ledger : Ledger
    """

    work: F8
    returns: F8
    market: F8
    ratios: F8
    wilder: F8
    decay: F8
    trail: F8
    columns: F8
    rsi: F8
    frames: F8
    weights: F8
    ledger: Ledger


@row_jit
def make_scratch(p: Periods, bars: int, has_market: bool) -> Scratch:
    """Return scratch for symbols of so many bars."""
    returns = min(bars - 1, max(p.vol_long + DISTRIBUTION_BARS, p.vol_medium, p.slope_lookback, p.beta_lookback))
    trail = min(bars, max(DISTRIBUTION_BARS + 1, p.div_lookback))
    memory = memory_bars(p.wilder_period, trail)
    memory = memory if memory < bars else 1  # never used
    longest = max(returns + 1, p.imbalance_lookback + p.imbalance_bars, p.volume_lookback, p.slope_lookback)
    longest = max(longest, p.session_bars)
    buckets_ = bars // FRAMES[0] + 1
    return Scratch(
        work=np.empty((4, max(longest, MOVE_LOOKBACK + 2 * MARGIN))),
        returns=np.empty(returns),
        market=np.empty(returns if has_market else 0),
        ratios=np.empty((2, returns + 1)),
        wilder=np.empty((5, memory)),
        decay=decaying(1.0 / p.wilder_period, 1.0 - 1.0 / p.wilder_period, memory),
        trail=np.empty((3, trail)),
        columns=np.empty((1, COLUMNS)),
        rsi=np.empty(min(bars, p.div_lookback)),
        frames=np.empty((2, 3, buckets_)),
        weights=frame_weights(p.ema_fast, p.ema_slow, p.wilder_period, buckets_),
        ledger=make_ledger(p.profile_bars, p.profile_bins),
    )


__all__ = ["MARGIN", "Scratch", "make_scratch"]
