"""The rules as expectations of Great Expectations: a suite a dataset, evaluated on the frames of `frames`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import great_expectations as gx
from great_expectations import expectations as expect
from great_expectations.expectations.row_conditions import Column

from aione.quality.rules import Dataset, rules_of
from config.models import QualityParams

_LARGEST: Final = sys.float_info.max
_PRICED: Final = Column("is_priced") == 1
_COUNTED: Final = Column("is_counted") == 1
_BOTH: Final = _PRICED & _COUNTED
_EMPTY: Final = Column("volume") == 0.0
_TRADED: Final = _COUNTED & (Column("volume") > 0.0)
"""Rows that a rule is about; Great Expectations passes over the others."""


def suite_of(
    dataset: Dataset, params: QualityParams, *, now_ms: int = 0, least_symbols: int = 0
) -> gx.ExpectationSuite:
    """Return the suite of a dataset: the rules that are on, by one or more expectations each."""
    made: Iterator[tuple[str, Any]]
    if dataset == "hour":
        made = _of_bars(params)
    elif dataset == "history":
        made = _of_history(params)
    else:
        made = _of_universe(params, now_ms, least_symbols)
    on = {rule.name for rule in rules_of(dataset, params)}
    expectations = []
    for rule, expectation in made:
        if rule in on:
            expectation.meta = {"rule": rule}
            expectations.append(expectation)
    return gx.ExpectationSuite(name=dataset, expectations=expectations)


# ── Rules as expectations ──


def _of_bars(params: QualityParams) -> Iterator[tuple[str, Any]]:
    for name in ("open", "high", "low", "close"):
        yield from _positive("price_not_positive", name)
    for rule, above, below, where in (
        ("range_inverted", "high", "low", _PRICED),
        ("open_outside_range", "high", "open", _PRICED),
        ("open_outside_range", "open", "low", _PRICED),
        ("close_outside_range", "high", "close", _PRICED),
        ("close_outside_range", "close", "low", _PRICED),
        ("taker_outside_volume", "taker_most", "taker_buy_volume", _COUNTED),
        ("vwap_outside_range", "quote_volume", "quote_least", _BOTH),
        ("vwap_outside_range", "quote_most", "quote_volume", _BOTH),
    ):
        yield rule, _at_least(above, below, where)
    yield "volume_negative", expect.ExpectColumnValuesToNotBeNull(column="volume")
    yield "volume_negative", expect.ExpectColumnValuesToBeBetween(column="volume", min_value=0, max_value=_LARGEST)
    yield (
        "taker_outside_volume",
        expect.ExpectColumnValuesToBeBetween(column="taker_buy_volume", min_value=0, row_condition=_COUNTED),
    )
    yield (
        "trades_without_volume",
        expect.ExpectColumnValuesToBeBetween(column="trade_count", max_value=0, row_condition=_EMPTY),
    )
    yield (
        "volume_without_trades",
        expect.ExpectColumnValuesToNotBeInSet(column="trade_count", value_set=[0.0], row_condition=_TRADED),
    )
    yield "time_off_grid", expect.ExpectColumnValuesToBeInSet(column="grid_offset_ms", value_set=[0])
    yield "bar_twice", expect.ExpectCompoundColumnsToBeUnique(column_list=["symbol", "open_time_ms"])
    yield (
        "range_too_wide",
        expect.ExpectColumnValuesToBeBetween(column="range_frac", max_value=params.max_range_frac),
    )
    yield (
        "price_jump",
        expect.ExpectColumnValuesToBeBetween(
            column="jump_frac", min_value=-params.max_jump_frac, max_value=params.max_jump_frac
        ),
    )
    yield (
        "price_frozen",
        expect.ExpectColumnValuesToBeBetween(column="flat_run", max_value=params.frozen_bars, strict_max=True),
    )


def _of_history(params: QualityParams) -> Iterator[tuple[str, Any]]:
    for rule, column, most in (
        ("unsound_bars", "unsound_bars", 0.0),
        ("absent_share", "absent_share", params.max_absent_frac),
        ("holes", "holes", params.max_holes),
        ("stale", "age_bars", params.max_age_bars),
    ):
        yield rule, expect.ExpectColumnValuesToBeBetween(column=column, max_value=most)


def _of_universe(params: QualityParams, now_ms: int, least_symbols: int) -> Iterator[tuple[str, Any]]:
    yield from _positive("tick_size_not_positive", "tick_size")
    yield from _positive("step_size_not_positive", "step_size")
    yield "min_notional_negative", expect.ExpectColumnValuesToNotBeNull(column="min_notional")
    yield (
        "min_notional_negative",
        expect.ExpectColumnValuesToBeBetween(column="min_notional", min_value=0, max_value=_LARGEST),
    )
    yield "not_trading", expect.ExpectColumnValuesToBeInSet(column="status", value_set=["TRADING"])
    yield "symbol_twice", expect.ExpectColumnValuesToBeUnique(column="symbol")
    yield (
        "onboard_time_strange",
        expect.ExpectColumnValuesToBeBetween(column="onboard_ms", min_value=params.min_onboard_ms, max_value=now_ms),
    )
    yield "universe_collapsed", expect.ExpectTableRowCountToBeBetween(min_value=least_symbols)


def _positive(rule: str, column: str) -> Iterator[tuple[str, Any]]:
    yield rule, expect.ExpectColumnValuesToNotBeNull(column=column)
    yield (
        rule,
        expect.ExpectColumnValuesToBeBetween(column=column, min_value=0, strict_min=True, max_value=_LARGEST),
    )


def _at_least(above: str, below: str, where: Any) -> Any:
    return expect.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=above, column_B=below, or_equal=True, ignore_row_if="either_value_is_missing", row_condition=where
    )


__all__ = ["suite_of"]
