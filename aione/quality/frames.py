"""The stacked frames that the suites validate: all bars of all symbols in one, all symbols in another.

Written in pandas from the raw records, and independent of the guards, which are NumPy on the panel: what both say of
the same data is compared by tests and by every run of the quality flow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aione.panel import BAR_RECORD, I8, VALUE_FIELDS
from aione.quality.guards import UniverseRows
from aione.quality.rules import rules_of
from config.models import QualityParams

Records: TypeAlias = NDArray[Any]
Frame: TypeAlias = pd.DataFrame

PRICES = ["open", "high", "low", "close"]


def bar_frame(records: Mapping[str, Records], interval_ms: int, params: QualityParams) -> Frame:
    """Return every bar as a row, by symbol and time, with what the rules compare.

    Parameters
    ----------
    records : mapping symbol -> rows of `BAR_RECORD`
        Without the marks of bars that the exchange does not have.
    interval_ms : int
    params : QualityParams

    Returns
    -------
    DataFrame
        ``symbol``, ``open_time_ms``, the values, and: ``is_priced`` (four positive prices), ``is_counted`` (a volume
        that is one), ``previous_close`` and ``jump_frac`` (NaN after a gap), ``range_frac``, ``flat_run``,
        ``quote_least``, ``quote_most``, ``taker_most``, ``grid_offset_ms``.
    """
    stacked = np.concatenate([np.empty(0, BAR_RECORD), *records.values()])
    symbols = np.repeat(np.array(list(records), dtype=object), [len(rows) for rows in records.values()])
    values = {name: stacked[name].astype(np.float64) for name in VALUE_FIELDS}
    frame = pd.DataFrame({"symbol": symbols, "open_time_ms": stacked["open_time_ms"].astype(np.int64), **values})
    frame = frame.sort_values(["symbol", "open_time_ms"], kind="stable", ignore_index=True)
    prices = frame[PRICES]
    frame["is_priced"] = (np.isfinite(prices) & prices.gt(0.0)).all(axis="columns")
    frame["is_counted"] = np.isfinite(frame["volume"]) & frame["volume"].ge(0.0)
    before = frame.groupby("symbol", sort=False).shift(1)
    follows = frame["open_time_ms"].sub(before["open_time_ms"]).eq(interval_ms)
    both_priced = frame["is_priced"] & before["is_priced"].eq(True)  # missing before the first
    frame["previous_close"] = before["close"].where(follows & both_priced)
    frame["jump_frac"] = frame["open"].div(frame["previous_close"]).sub(1.0)
    frame["range_frac"] = frame["high"].div(frame["low"]).sub(1.0).where(frame["is_priced"])
    frame["flat_run"] = _flat_run(frame, follows)
    frame["quote_least"] = frame["low"] * frame["volume"] * (1.0 - params.vwap_tolerance_frac)
    frame["quote_most"] = frame["high"] * frame["volume"] * (1.0 + params.vwap_tolerance_frac)
    frame["taker_most"] = frame["volume"] * (1.0 + params.taker_tolerance_frac)
    frame["grid_offset_ms"] = frame["open_time_ms"].mod(interval_ms).where(frame["open_time_ms"].gt(0), -1)
    return frame


def history_frame(
    bars: Frame, symbols: Sequence[str], holes: I8, end_ms: int, interval_ms: int, most: int, params: QualityParams
) -> Frame:
    """Return every symbol as a row: ``unsound_bars``, ``absent_share``, ``holes``, ``age_bars``.

    Parameters
    ----------
    bars : DataFrame
        Of `bar_frame`, the whole history.
    symbols : sequence of str
        Also those without a bar.
    holes : int64 (S,)
    end_ms : int
        Open time of the last bar that there should be.
    most : int
        Bars asked for: the age of a symbol without any.
    params : QualityParams
    """
    is_unsound = unsound(bars, params)
    by_symbol = bars.assign(is_unsound=is_unsound).groupby("symbol")
    known = pd.DataFrame(
        {
            "bars": by_symbol.size(),
            "first_ms": by_symbol["open_time_ms"].min(),
            "last_ms": by_symbol["open_time_ms"].max(),
            "unsound_bars": by_symbol["is_unsound"].sum(),
        }
    ).reindex(list(symbols))
    frame = known.rename_axis("symbol").reset_index()
    frame["holes"] = holes
    span = (frame["last_ms"] - frame["first_ms"]) / interval_ms + 1
    frame["absent_share"] = ((span - frame["bars"] - frame["holes"]).clip(lower=0) / span).fillna(0.0)
    frame["age_bars"] = ((end_ms - frame["last_ms"]) / interval_ms).fillna(most)
    frame["unsound_bars"] = frame["unsound_bars"].fillna(0)
    frame["open_time_ms"] = end_ms
    newest = bars[is_unsound].groupby("symbol")["open_time_ms"].max().reindex(frame["symbol"]).to_numpy()
    frame["unsound_ms"] = np.where(np.isnan(newest.astype(np.float64)), end_ms, newest)
    return frame


def unsound(bars: Frame, params: QualityParams) -> pd.Series:
    """Return which bars are against arithmetic, of the rules that are on, a boolean column."""
    priced, counted = bars["is_priced"], bars["is_counted"]
    low, high = bars["low"], bars["high"]
    taker, quote, trades = bars["taker_buy_volume"], bars["quote_volume"], bars["trade_count"]
    traded = bars["volume"].ne(0.0)
    sound = {
        "price_not_positive": priced,
        "range_inverted": ~priced | high.ge(low),
        "open_outside_range": ~priced | bars["open"].between(low, high),
        "close_outside_range": ~priced | bars["close"].between(low, high),
        "volume_negative": counted,
        "taker_outside_volume": ~counted | taker.isna() | taker.between(0.0, bars["taker_most"]),
        "vwap_outside_range": ~priced
        | ~counted
        | quote.isna()
        | quote.between(bars["quote_least"], bars["quote_most"]),
        "trades_without_volume": ~counted | traded | ~trades.gt(0.0),
        "volume_without_trades": ~counted | ~traded | trades.ne(0.0),
    }
    wrong = pd.Series(data=False, index=bars.index)
    for rule in rules_of("hour", params):
        if rule.is_impossible:
            wrong |= ~sound[rule.name]
    return wrong


def universe_frame(rows: UniverseRows, now_ms: int) -> Frame:
    """Return every listing as a row, with how often its symbol is listed."""
    frame = pd.DataFrame(
        {
            "symbol": list(rows.symbols),
            "status": list(rows.status),
            "tick_size": rows.tick_size,
            "step_size": rows.step_size,
            "min_notional": rows.min_notional,
            "onboard_ms": rows.onboard_ms,
        }
    )
    frame["listings"] = frame.groupby("symbol")["symbol"].transform("size")
    frame["open_time_ms"] = now_ms
    return frame


def _flat_run(frame: Frame, follows: pd.Series) -> pd.Series:
    """Return how many bars in a row, without a gap, had no range and no volume."""
    flat = frame["is_priced"] & frame["volume"].eq(0.0)
    flat &= frame[PRICES].max(axis="columns").eq(frame[PRICES].min(axis="columns"))
    run = (~flat | ~follows).cumsum()  # a bar that does not follow on another begins a run, if it is flat itself
    return flat.astype(np.int64).groupby(run).cumsum().astype(np.float64)


__all__ = ["Frame", "bar_frame", "history_frame", "universe_frame", "unsound"]
