"""The rules themselves, the gravest of each dataset first; what a rule is stands in `aione.quality.rules`."""

from __future__ import annotations

from typing import Final

from aione.quality.rule import Row, Rule


def _worst_price(row: Row) -> float:
    prices = [float(row[name]) for name in ("open", "high", "low", "close")]
    return next((price for price in prices if price - price != 0.0), min(prices))  # what is not finite comes first


def _edge(row: Row, name: str) -> tuple[float, float]:
    return row[name], row["low"] if row[name] < row["low"] else row["high"]


def _vwap(row: Row) -> tuple[float, float]:
    vwap = row["quote_volume"] / row["volume"] if row["volume"] else float("inf")
    return vwap, row["low"] if vwap < row["low"] else row["high"]


_BAR_RULES: Final = (
    Rule(
        "price_not_positive",
        "hour",
        "a price is not a positive number",
        lambda row, _: (_worst_price(row), 0.0),
        is_impossible=True,
    ),
    Rule(
        "range_inverted",
        "hour",
        "the high is below the low",
        lambda row, _: (row["high"], row["low"]),
        is_impossible=True,
    ),
    Rule(
        "open_outside_range",
        "hour",
        "the open is outside low to high",
        lambda row, _: _edge(row, "open"),
        is_impossible=True,
    ),
    Rule(
        "close_outside_range",
        "hour",
        "the close is outside low to high",
        lambda row, _: _edge(row, "close"),
        is_impossible=True,
    ),
    Rule(
        "volume_negative",
        "hour",
        "the volume is negative or no number",
        lambda row, _: (row["volume"], 0.0),
        is_impossible=True,
    ),
    Rule(
        "taker_outside_volume",
        "hour",
        "takers bought less than nothing or more than was traded",
        lambda row, _: (row["taker_buy_volume"], 0.0 if row["taker_buy_volume"] < 0 else row["volume"]),
        is_impossible=True,
    ),
    Rule(
        "vwap_outside_range",
        "hour",
        "quote volume over volume is no price between low and high",
        lambda row, _: _vwap(row),
        is_impossible=True,
    ),
    Rule(
        "trades_without_volume",
        "hour",
        "trades were counted and nothing was traded",
        lambda row, _: (row["trade_count"], 0.0),
        is_impossible=True,
    ),
    Rule(
        "volume_without_trades",
        "hour",
        "something was traded and no trade was counted",
        lambda row, _: (row["volume"], 0.0),
        is_impossible=True,
    ),
    Rule(
        "time_off_grid",
        "hour",
        "a bar does not begin on a minute",
        lambda row, _: (row["open_time_ms"], 0.0),
    ),
    Rule(
        "bar_twice",
        "hour",
        "the same minute is there more than once",
        lambda row, _: (row["open_time_ms"], 1.0),
    ),
    Rule(
        "range_too_wide",
        "hour",
        "high over low of one minute is beyond belief",
        lambda row, params: (row["high"] / row["low"] - 1.0, params.max_range_frac),
    ),
    Rule(
        "price_jump",
        "hour",
        "the open is too far from the close before it",
        lambda row, params: (row["open"] / row["previous_close"] - 1.0, params.max_jump_frac),
    ),
    Rule(
        "price_frozen",
        "hour",
        "nothing was traded and no price moved for so many minutes",
        lambda row, params: (row["flat_run"], params.frozen_bars),
    ),
)

_SYMBOL_RULES: Final = (
    Rule(
        "unsound_bars",
        "history",
        "bars of the history are against arithmetic",
        lambda row, _: (row["unsound_bars"], 0.0),
    ),
    Rule(
        "absent_share",
        "history",
        "the exchange has no bar of too many minutes",
        lambda row, params: (row["absent_share"], params.max_absent_frac),
    ),
    Rule(
        "holes",
        "history",
        "bars are missing inside the history",
        lambda row, params: (row["holes"], params.max_holes),
        keeps_out=False,
    ),
    Rule(
        "stale",
        "history",
        "the newest bar is old",
        lambda row, params: (row["age_bars"], params.max_age_bars),
        keeps_out=False,
    ),
    Rule(
        "tick_size_not_positive",
        "universe",
        "the tick size is not a positive number",
        lambda row, _: (row["tick_size"], 0.0),
    ),
    Rule(
        "step_size_not_positive",
        "universe",
        "the step size is not a positive number",
        lambda row, _: (row["step_size"], 0.0),
    ),
    Rule(
        "min_notional_negative",
        "universe",
        "the least order value is negative or no number",
        lambda row, _: (row["min_notional"], 0.0),
    ),
    Rule(
        "not_trading",
        "universe",
        "the contract is not trading",
        lambda _row, _params: (0.0, 1.0),
    ),
    Rule(
        "symbol_twice",
        "universe",
        "the symbol is listed more than once",
        lambda row, _: (row["listings"], 1.0),
    ),
    Rule(
        "onboard_time_strange",
        "universe",
        "it was listed before the exchange began, or is yet to be",
        lambda row, params: (row["onboard_ms"], params.min_onboard_ms),
    ),
    Rule(
        "universe_collapsed",
        "universe",
        "far fewer symbols are tradable than before",
        lambda row, _: (row["symbols"], row["least"]),
        keeps_out=False,
    ),
)

TABLE: Final[tuple[Rule, ...]] = (*_BAR_RULES, *_SYMBOL_RULES)

__all__ = ["TABLE"]
