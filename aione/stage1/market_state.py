"""The state of each symbol's market: calm, ordinary or wild, and whether BTC is trending. What a threshold means in it.

A volume or an RSI that is rare in a quiet market is common in a wild one, and what comes after it differs too, so
thresholds may depend on the state (`STAGE1_MONITOR_PARAMS.market_state_thresholds`). The state is a function of the
last closed bar's readings alone: no clock, no memory.

===========  ==========================================================================================
state        holds where
===========  ==========================================================================================
``wild``     ``atr_percentile`` or ``vol_ratio`` is at its ``wild_*`` cut or above
``calm``     both are at their ``calm_*`` cuts or below
``ordinary`` neither, and both are known
unknown      otherwise: no state, and no threshold of one
===========  ==========================================================================================

``btc_trend`` holds for every symbol while the benchmark's regime is up or down; its thresholds are laid over those of
the symbol's own state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aione.indicators.readings import Readings
from config.models import MarketState, MarketStateParams

VOLATILITY_STATES: Final[tuple[MarketState, ...]] = ("calm", "ordinary", "wild")
UNKNOWN: Final = len(VOLATILITY_STATES)
BTC_TREND: Final[MarketState] = "btc_trend"


@dataclass(frozen=True, slots=True)
class MarketStates:
    """Each symbol's market state on one bar.

    Attributes
    ----------
    symbols : tuple of str, length S
    volatility : int8 (S,)
        Index into `VOLATILITY_STATES`, or `UNKNOWN`.
    is_btc_trending : bool
        False too where the benchmark's regime is unknown.
    """

    symbols: tuple[str, ...]
    volatility: NDArray[np.int8]
    is_btc_trending: bool

    def label(self, row: int) -> str:
        """Return the state of the symbol in ``row`` in words: ``"calm"``, ``"wild+btc_trend"``, ``"unknown"``."""
        state = int(self.volatility[row])
        name = "unknown" if state == UNKNOWN else VOLATILITY_STATES[state]
        return f"{name}+{BTC_TREND}" if self.is_btc_trending else name


def market_states(readings: Readings, params: MarketStateParams) -> MarketStates:
    """Tell each symbol's market state.

    Parameters
    ----------
    readings : Readings
        Of S symbols: ``atr_percentile`` (of its own past four hours), ``vol_ratio`` (a quarter of an hour against
        four), and the market's ``btc_regime``.
    params : MarketStateParams

    Examples
    --------
    >>> values = {"atr_percentile": np.array([0.1, 0.5, 0.95, np.nan]), "vol_ratio": np.array([0.8, 1.0, 1.0, 1.2])}
    >>> readings = Readings(("A", "B", "C", "D"), 0, values, {"btc_regime": -1.0})
    >>> states = market_states(readings, MarketStateParams())
    >>> [states.label(row) for row in range(4)]
    ['calm+btc_trend', 'ordinary+btc_trend', 'wild+btc_trend', 'unknown+btc_trend']
    """
    rank, ratio = readings["atr_percentile"], readings["vol_ratio"]
    is_wild = (rank >= params.wild_atr_percentile) | (ratio >= params.wild_vol_ratio)
    is_calm = (rank <= params.calm_atr_percentile) & (ratio <= params.calm_vol_ratio)
    state = np.where(np.isnan(rank + ratio), UNKNOWN, 1)
    state[is_calm], state[is_wild] = 0, 2
    regime = readings.market.get("btc_regime", np.nan)
    return MarketStates(readings.symbols, state.astype(np.int8), regime in {-1.0, 1.0})


__all__ = ["BTC_TREND", "UNKNOWN", "VOLATILITY_STATES", "MarketStates", "market_states"]
