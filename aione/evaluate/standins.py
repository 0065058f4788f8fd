"""Stand-ins for what recorded bars lack, so that an audit meets every trigger and every factor with known inputs.

They are no market data and nothing is ever learned from them. Each value is a function of its own bar alone, so they
cannot carry the future themselves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aione.panel import F8, MINUTE_MS, BarPanel, MarketSnapshot


def with_taker_side(panel: BarPanel) -> BarPanel:
    """Return the panel with a taker volume where it has none: the place of the close in its bar, times the volume.

    Examples
    --------
    >>> from aione.panel import BAR_RECORD
    >>> rows = np.array([(0, 2.0, 4.0, 2.0, 3.5, 8.0, 1.0, np.nan, 1, 0, 0, 0)], dtype=BAR_RECORD)
    >>> with_taker_side(BarPanel.from_records({"BTCUSDT": rows}, end_ms=0, bars=1)).taker_buy_volume
    array([[6.]])
    """
    width = panel.high - panel.low
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.where(width > 0.0, (panel.close - panel.low) / width, 0.5)
    taker = np.where(np.isnan(panel.taker_buy_volume), place * panel.volume, panel.taker_buy_volume)
    return replace(panel, taker_buy_volume=np.ascontiguousarray(taker))


def market_of(window: BarPanel) -> MarketSnapshot:
    """Return a drawn order book and drawn derivatives for the last bar of a window.

    What is drawn depends on the bar's time and the symbol's name, not on its place among the others. Now and then the
    spread is wide, the depth thin, or the open interest unknown.
    """
    minute = int(window.open_time_ms[-1]) // MINUTE_MS
    names = sorted(window.symbols)
    rows = np.array([names.index(symbol) for symbol in window.symbols], dtype=np.intp)
    draws = np.random.default_rng([minute, len(names)]).standard_normal((8, len(names)))[:, rows]
    close = window.close[:, -1]
    spread = 2e-4 * np.exp(0.8 * draws[0])
    depth = 1e6 * np.exp(0.7 * draws[1:3])
    change = np.where(draws[3] > 1.5, np.nan, 0.01 * draws[4])
    return MarketSnapshot.of(
        window.symbols,
        tick_size=_tick(close),
        bid=close * (1.0 - 0.5 * spread),
        ask=close * (1.0 + 0.5 * spread),
        mark_price=close,
        spread_frac=spread,
        spread_median_frac=np.full(len(names), 2e-4),
        depth_bid_quote=depth[0],
        depth_ask_quote=depth[1],
        depth_median_quote=np.full(len(names), 8e5),
        open_interest_quote=1e8 * np.exp(draws[5]),
        open_interest_change_frac=change,
        funding_rate=1e-4 * draws[6],
    )


def _tick(close: F8) -> F8:
    """Return a tick of about a ten-thousandth of the price; 1 where it is unknown."""
    known = np.where(close > 0.0, close, 1e4)
    tick: F8 = 10.0 ** np.floor(np.log10(known) - 4.0)
    return tick


__all__ = ["market_of", "with_taker_side"]
