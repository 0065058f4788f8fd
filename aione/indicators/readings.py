"""`Readings`: every indicator at the last closed bar, one value a symbol, under the name that rules and stages use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.columns import NAMES, Periods
from aione.indicators.cross_section import btc_regime, market_breadth, relative_strength, universe_rank
from aione.indicators.daily import add_yesterday, days_of, level_table, nearest_in
from aione.indicators.last_bar import last_bar
from aione.indicators.trend import FRAMES, bucket_offset
from aione.indicators.volume import session_bars
from aione.panel import F8, I8, MINUTE_MS, BarPanel
from config.models import IndicatorParams

BARE: Final = ("open", "high", "low", "close", "volume", "quote_volume", "trade_count")
"""Readings that are the bar itself."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Every indicator at the last closed bar; NaN is unknown.

    Attributes
    ----------
    symbols : tuple of str, length S
    open_time_ms : int
        The last bar's.
    values : mapping of str to float64 (S,)
        By name; `compute_readings` tells what each is.
    market : mapping of str to float
        ``market_breadth``, ``btc_regime``, ``btc_return_60``, ``btc_atr_percentile``.
    """

    symbols: tuple[str, ...]
    open_time_ms: int
    values: Mapping[str, F8]
    market: Mapping[str, float]

    def __getitem__(self, name: str) -> F8:
        """Return one indicator, ``(S,)``; `InvalidInput` names one that does not exist."""
        try:
            return self.values[name]
        except KeyError:
            raise InvalidInput(f"no reading is called {name!r}; there are {len(self.values)}") from None


def compute_readings(
    panel: BarPanel, params: IndicatorParams, daily: BarPanel | None = None, benchmark: str = "BTCUSDT"
) -> Readings:
    """Evaluate every indicator at the last bar of the panel.

    Parameters
    ----------
    panel : BarPanel
        1-minute bars, at least one. A value is that of its series function at the last bar, of the whole panel for
        what remembers it (Wilder's averages, EMA) and of its window alone for everything else.
    params : IndicatorParams
    daily : BarPanel, optional
        Daily bars; without them yesterday is taken from ``panel`` where it holds the day, and there are no daily
        pivots.
    benchmark : str
        Symbol of beta, correlation, relative strength and regime; these are NaN if the panel lacks it.

    Returns
    -------
    Readings
        ``open high low close volume quote_volume trade_count`` of the bar and ``prev_close``; the series of the
        modules of this package under their own names; and

        - ``atr_prev``, ``vol_ratio_prev``: ATR and `vol_ratio` one bar earlier
        - ``atr_frac``: ATR / close; ``atr_percentile``: its `previous_rank`
        - ``band_frac_20``, ``band_position_20``: width of the 20-bar range / close; where the close stands in it, 0 at
          the low, 1 at the high, beyond them outside; ``prev_range_*_20``: the same range as bar ``t - 1`` saw it
        - ``relative_strength``: 60-bar return less beta times the benchmark's; ``_rank`` in the universe
        - ``daily_support``, ``daily_resistance``: nearest of yesterday's high, low, close and the confirmed daily
          pivots below and above the close
        - ``ready_frac``: share of the panel's bars that are there; ``bars_age``: bars since the last one that is

    Raises
    ------
    InvalidInput
        The panel has no bar or is not of 1-minute bars.
    """
    if panel.interval_ms != MINUTE_MS or not panel.shape[1]:
        raise InvalidInput(f"readings need 1-minute bars, at least one; was {panel.shape} of {panel.interval_ms} ms")
    row = panel.symbols.index(benchmark) if benchmark in panel.symbols else -1
    columns = last_bar(
        panel.open,
        panel.high,
        panel.low,
        panel.close,
        panel.volume,
        panel.quote_volume,
        panel.taker_buy_volume,
        row,
        _frame_offsets(int(panel.open_time_ms[0])),
        periods_of(params, int(panel.open_time_ms[-1])),
    )
    bare = {name: getattr(panel, name)[:, -1].copy() for name in BARE}
    values = complete(bare, columns, row)
    days = days_of(panel, daily)
    table = level_table(days, params.pivot_span)
    add_yesterday(table, panel, days)
    values.update(daily_values(values["close"], table))
    values.update(_readiness(panel))
    return Readings(panel.symbols, int(panel.open_time_ms[-1]), values, market_of(values, row))


def complete(bare: Mapping[str, F8], columns: F8, row: int) -> dict[str, F8]:
    """Return all values of a bar but those of days and data.

    Parameters
    ----------
    bare : mapping of str to float64 (S,)
        The bar itself, the names of `BARE`.
    columns : float64 (N, S)
        Those of `NAMES`; more are left out.
    row : int
        The benchmark's, -1 if there is none.
    """
    values = {**bare, **dict(zip(NAMES, columns, strict=False))}
    own = values["return_60"]
    strength = relative_strength(own, own[row] if row >= 0 else np.nan, values["beta_btc"])
    values["relative_strength"], values["relative_strength_rank"] = strength, universe_rank(strength)
    return values


def daily_values(close: F8, table: F8) -> dict[str, F8]:
    """Return yesterday's levels and the nearest of the ``table (S, K)``, whose first columns they are."""
    support, resistance = nearest_in(close, table)
    return {
        "prev_day_high": table[:, 0].copy(),
        "prev_day_low": table[:, 1].copy(),
        "prev_day_close": table[:, 2].copy(),
        "daily_support": support,
        "daily_resistance": resistance,
    }


def market_of(values: Mapping[str, F8], row: int) -> dict[str, float]:
    """Return the state of the market; ``row`` is the benchmark's, -1 if there is none."""

    def of_benchmark(name: str) -> float:
        return float(values[name][row]) if row >= 0 else float("nan")

    return {
        "market_breadth": float(market_breadth(values["close"], values["vwap"])),
        "btc_regime": float(btc_regime(of_benchmark("slope_t"), of_benchmark("efficiency_ratio"))),
        "btc_return_60": of_benchmark("return_60"),
        "btc_atr_percentile": of_benchmark("atr_percentile"),
    }


def periods_of(params: IndicatorParams, open_time_ms: int) -> Periods:
    """Return the parameters as the kernels take them at the bar that opened then."""
    known = params.model_dump()
    session = int(session_bars(np.array([open_time_ms]), params.vwap_min_bars)[0])
    return Periods(session_bars=session, **{name: known[name] for name in Periods._fields if name != "session_bars"})


def _frame_offsets(first_open_ms: int) -> I8:
    """Where each frame's buckets begin, counted in bars of the frame before it."""
    offsets, step, minutes = [], MINUTE_MS, 1
    start = first_open_ms
    for frame in FRAMES:
        offsets.append(bucket_offset(start, frame // minutes, step))
        start += offsets[-1] * step
        step, minutes = frame * MINUTE_MS, frame
    return np.array(offsets, dtype=np.int64)


def _readiness(panel: BarPanel) -> dict[str, F8]:
    symbols, bars = panel.shape
    known = np.full(symbols, bars) if panel.valid.all() else np.count_nonzero(panel.valid, axis=1)
    age = np.where(panel.valid[:, -1], 0.0, np.nan)
    for row in np.flatnonzero(~panel.valid[:, -1] & (known > 0)):
        age[row] = np.argmax(panel.valid[row, ::-1])
    return {"ready_frac": known / bars, "bars_age": age}


__all__ = ["BARE", "Readings", "complete", "compute_readings", "daily_values", "market_of", "periods_of"]
