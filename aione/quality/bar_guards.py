"""Guards of bars, natively: which bars of a panel break which rule, as masks, and what they find by symbol.

Fast enough for every minute (`benchmarks/bench_quality.py`). A bar whose prices are not all positive numbers breaks
``price_not_positive`` and no other rule of prices; so with volume. NaN in what a source may lack (quote volume, taker
volume, trades) is unknown and breaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aione.panel import B1, F8, VALUE_FIELDS, BarPanel
from aione.quality.rules import RULES, Finding, rules_of
from config.models import QualityParams

BLOCK_SYMBOLS = 16
"""Symbols judged at once: their columns of 1500 bars stay in the processor's cache."""


def check_bars(panel: BarPanel, params: QualityParams) -> list[Finding]:
    """Return what the bars of the panel break, of the rules of the hour; the panel is the hour.

    ``time_off_grid`` and ``bar_twice`` cannot be of a panel, whose grid is regular: see `check_times`.
    """
    values = {name: getattr(panel, name) for name in VALUE_FIELDS}
    names = {rule.name for rule in rules_of("hour", params)}
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        priced = _is_priced(values)
        wrong = _impossible(values, panel.valid, priced, params) | _improbable(values, panel.valid, priced, params)
    flat_run = _flat_run(values, panel.valid & priced)
    wrong["price_frozen"] = flat_run >= params.frozen_bars
    previous = np.full(panel.shape, np.nan)
    previous[:, 1:] = panel.close[:, :-1]
    columns = {**values, "previous_close": previous, "flat_run": flat_run}
    found: list[Finding] = []
    for name, mask in wrong.items():
        if name in names and mask.any():
            found += _findings(name, mask, columns, panel, params)
    return found


def count_unsound(panel: BarPanel, params: QualityParams) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many bars of each symbol are against arithmetic, and the open time of the newest, both int64 (S,).

    The time is 0 where there is none.
    """
    counts, newest_ms = np.zeros(panel.shape[0], np.int64), np.zeros(panel.shape[0], np.int64)
    names = {rule.name for rule in rules_of("hour", params) if rule.is_impossible}
    if not panel.shape[1]:
        return counts, newest_ms
    for first in range(0, panel.shape[0], BLOCK_SYMBOLS):
        rows = slice(first, first + BLOCK_SYMBOLS)
        values = {name: getattr(panel, name)[rows] for name in VALUE_FIELDS}
        with np.errstate(invalid="ignore", over="ignore"):
            if _are_sound(values, panel.valid[rows], params):
                continue
            found = _impossible(values, panel.valid[rows], _is_priced(values), params)
        unsound = np.zeros(values["open"].shape, np.bool_)
        for name in names:
            unsound |= found[name]
        if unsound.any():
            counts[rows] = unsound.sum(axis=1)
            newest_ms[rows] = np.where(unsound, panel.open_time_ms, 0).max(axis=1)
    return counts, newest_ms


def check_times(records: Mapping[str, NDArray[Any]], interval_ms: int, params: QualityParams) -> list[Finding]:
    """Return what open times break, of raw records (`BAR_RECORD`) by symbol: off the grid, or there twice."""
    on = {rule.name for rule in rules_of("hour", params)}
    found = []
    for symbol, rows in records.items():
        times = np.sort(rows["open_time_ms"])
        off = times[(times % interval_ms != 0) | (times <= 0)]
        again = times[1:][np.diff(times) == 0]
        for name, bad in (("time_off_grid", off), ("bar_twice", again)):
            if name in on and bad.size:
                value, bound = RULES[name].shown({"open_time_ms": float(bad[-1])}, params)
                found.append(Finding(symbol, name, int(bad.size), int(bad[-1]), value, bound))
    return found


# ── Which bars ──


def _is_priced(values: Mapping[str, F8]) -> B1:
    """Return where all four prices are positive numbers."""
    priced: B1 = (values["open"] > 0.0) & (values["high"] > 0.0) & (values["low"] > 0.0) & (values["close"] > 0.0)
    for name in ("open", "high", "low", "close"):
        priced &= values[name] < np.inf
    return priced


def _impossible(values: Mapping[str, F8], valid: B1, priced: B1, params: QualityParams) -> dict[str, B1]:
    """Return rule -> bars that are against arithmetic."""
    opened, high, low, close = (values[name] for name in ("open", "high", "low", "close"))
    volume, quote, taker, trades = (
        values[name] for name in ("volume", "quote_volume", "taker_buy_volume", "trade_count")
    )
    counted = (volume >= 0.0) & (volume < np.inf)
    both = priced & counted
    is_empty = volume == 0.0
    least = low * volume * (1.0 - params.vwap_tolerance_frac)
    most = high * volume * (1.0 + params.vwap_tolerance_frac)
    return {
        "price_not_positive": valid & ~priced,
        "range_inverted": priced & (high < low),
        "open_outside_range": priced & ((opened < low) | (opened > high)),
        "close_outside_range": priced & ((close < low) | (close > high)),
        "volume_negative": valid & ~counted,
        "taker_outside_volume": counted & ((taker < 0.0) | (taker > volume * (1.0 + params.taker_tolerance_frac))),
        "vwap_outside_range": both & ((quote < least) | (quote > most)),
        "trades_without_volume": is_empty & (trades > 0.0),
        "volume_without_trades": counted & ~is_empty & (trades == 0.0),
    }


def _are_sound(values: Mapping[str, F8], valid: B1, params: QualityParams) -> bool:
    """Return True where no bar can be against arithmetic: the same rules as one test, which is much the faster.

    Nearly every block is sound. False says nothing: then `_impossible` finds out which bars, and which rules.
    """
    opened, high, low, close = (values[name] for name in ("open", "high", "low", "close"))
    volume, quote, taker = (values[name] for name in ("volume", "quote_volume", "taker_buy_volume"))
    sound = low > 0.0
    for left, right in ((low, opened), (opened, high), (low, close), (close, high)):
        sound &= left <= right
    sound &= high < np.inf
    sound &= volume >= 0.0
    sound &= volume < np.inf
    sound &= (values["trade_count"] > 0.0) == (volume > 0.0)
    sound &= (taker >= 0.0) & (taker <= volume * (1.0 + params.taker_tolerance_frac))
    sound &= quote >= low * volume * (1.0 - params.vwap_tolerance_frac)
    sound &= quote <= high * volume * (1.0 + params.vwap_tolerance_frac)
    return bool((sound | ~valid).all())


def _improbable(values: Mapping[str, F8], valid: B1, priced: B1, params: QualityParams) -> dict[str, B1]:
    """Return rule -> bars that the market could make, and does not."""
    jump = np.zeros(valid.shape, np.bool_)
    change = values["open"][:, 1:] / values["close"][:, :-1] - 1.0
    jump[:, 1:] = priced[:, 1:] & priced[:, :-1] & (np.abs(change) > params.max_jump_frac)
    wide = priced & (values["high"] / values["low"] - 1.0 > params.max_range_frac)
    return {"range_too_wide": wide, "price_jump": jump}


def _flat_run(values: Mapping[str, F8], priced: B1) -> F8:
    """Return how many bars in a row, up to each one, had no range and no volume, float64 (S, T)."""
    flat = priced & (values["high"] == values["low"]) & (values["open"] == values["close"])
    flat &= (values["open"] == values["high"]) & (values["volume"] == 0.0)
    place = np.arange(1, flat.shape[1] + 1)
    last_moved = np.maximum.accumulate(np.where(flat, 0, place), axis=1)
    return np.asarray(place - last_moved, dtype=np.float64)


def _findings(
    name: str, wrong: B1, columns: Mapping[str, F8], panel: BarPanel, params: QualityParams
) -> Sequence[Finding]:
    found = []
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        at = int(np.flatnonzero(wrong[row])[-1])
        bar = {column: float(values[row, at]) for column, values in columns.items()}
        value, bound = RULES[name].shown(bar, params)
        found.append(
            Finding(panel.symbols[row], name, int(wrong[row].sum()), int(panel.open_time_ms[at]), value, bound)
        )
    return found


__all__ = ["check_bars", "check_times", "count_unsound"]
