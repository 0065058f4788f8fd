"""`Readings`: every indicator at the last closed bar, one value a symbol, under the name that rules and stages use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.cross_section import btc_regime, market_breadth, relative_strength, universe_rank
from aione.indicators.daily import daily_pivots, nearest_levels, previous_day
from aione.indicators.last_bar import NAMES, Periods, last_bar
from aione.indicators.structure import bar_shape
from aione.indicators.trend import FRAMES, bucket_offset, htf_alignment
from aione.indicators.volume import session_bars
from aione.panel import F8, I8, MINUTE_MS, BarPanel
from config.models import IndicatorParams


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
        panel.high,
        panel.low,
        panel.close,
        panel.volume,
        panel.quote_volume,
        panel.taker_buy_volume,
        row,
        _frame_offsets(int(panel.open_time_ms[0])),
        _periods(panel, params),
    )
    values: dict[str, F8] = _last_bar_of(panel)
    values.update(zip(NAMES, columns, strict=True))
    values.update(_derived(values))
    values.update(_cross_section(values, row))
    values.update(_daily(panel, daily, params, values["close"]))
    values.update(_readiness(panel))
    return Readings(panel.symbols, int(panel.open_time_ms[-1]), values, _market(values, row))


def _frame_offsets(first_open_ms: int) -> I8:
    """Where each frame's buckets begin, counted in bars of the frame before it."""
    offsets, step, minutes = [], MINUTE_MS, 1
    start = first_open_ms
    for frame in FRAMES:
        offsets.append(bucket_offset(start, frame // minutes, step))
        start += offsets[-1] * step
        step, minutes = frame * MINUTE_MS, frame
    return np.array(offsets, dtype=np.int64)


def _periods(panel: BarPanel, params: IndicatorParams) -> Periods:
    known = params.model_dump()
    session = int(session_bars(panel.open_time_ms[-1:], params.vwap_min_bars)[0])
    return Periods(session_bars=session, **{name: known[name] for name in Periods._fields if name != "session_bars"})


def _last_bar_of(panel: BarPanel) -> dict[str, F8]:
    names = ("open", "high", "low", "close", "volume", "quote_volume", "trade_count")
    values = {name: getattr(panel, name)[:, -1].copy() for name in names}
    for name, bars in (("prev_close", 1), ("_close_15", 15), ("_close_60", 60)):
        is_there = bars < panel.shape[1]
        values[name] = panel.close[:, -1 - bars].copy() if is_there else np.full(len(panel.symbols), np.nan)
    return values


def _derived(values: dict[str, F8]) -> dict[str, F8]:
    close = values["close"]
    width = values["range_high_20"] - values["range_low_20"]
    body, upper, lower = bar_shape(values["open"], values["high"], values["low"], close)
    with np.errstate(divide="ignore", invalid="ignore"):
        position = np.where(width > 0.0, (close - values["range_low_20"]) / width, np.nan)
    return {
        "atr_frac": values["atr"] / close,
        "band_frac_20": width / close,
        "band_position_20": position,
        "body_frac": body,
        "upper_wick_frac": upper,
        "lower_wick_frac": lower,
        "htf_alignment": htf_alignment([values[f"ema_dist_{name}"] for name in ("5m", "15m", "1h", "4h")]),
        "return_15": close / values.pop("_close_15") - 1.0,
        "return_60": close / values.pop("_close_60") - 1.0,
    }


def _cross_section(values: dict[str, F8], row: int) -> dict[str, F8]:
    benchmark = values["return_60"][row] if row >= 0 else np.nan
    strength = relative_strength(values["return_60"], benchmark, values["beta_btc"])
    return {"relative_strength": strength, "relative_strength_rank": universe_rank(strength)}


def _daily(panel: BarPanel, daily: BarPanel | None, params: IndicatorParams, close: F8) -> dict[str, F8]:
    high, low, last = previous_day(panel, daily)
    levels = [high, low, last]
    if daily is not None:
        levels += daily_pivots(panel, daily, params.pivot_span)
    support, resistance = nearest_levels(close, levels)
    return {
        "prev_day_high": high,
        "prev_day_low": low,
        "prev_day_close": last,
        "daily_support": support,
        "daily_resistance": resistance,
    }


def _readiness(panel: BarPanel) -> dict[str, F8]:
    symbols, bars = panel.shape
    known = np.full(symbols, bars) if panel.valid.all() else np.count_nonzero(panel.valid, axis=1)
    age = np.where(panel.valid[:, -1], 0.0, np.nan)
    for row in np.flatnonzero(~panel.valid[:, -1] & (known > 0)):
        age[row] = np.argmax(panel.valid[row, ::-1])
    return {"ready_frac": known / bars, "bars_age": age}


def _market(values: dict[str, F8], row: int) -> dict[str, float]:
    def of_benchmark(name: str) -> float:
        return float(values[name][row]) if row >= 0 else float("nan")

    return {
        "market_breadth": float(market_breadth(values["close"], values["vwap"])),
        "btc_regime": float(btc_regime(of_benchmark("slope_t"), of_benchmark("efficiency_ratio"))),
        "btc_return_60": of_benchmark("return_60"),
        "btc_atr_percentile": of_benchmark("atr_percentile"),
    }


__all__ = ["Readings", "compute_readings"]
