from __future__ import annotations

import numpy as np
import pytest

from aione.panel import DAY_MS
from aione.prefilter import filters
from config.models import FilterParams, MetricResults

EVERY = [getattr(filters, name) for name in filters.__all__ if isinstance(getattr(filters, name), filters.Filter)]


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each.name)
def test_no_filter_lets_an_unknown_value_pass(each):
    assert not each.passes(np.array([np.nan]), 0.0).any()


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each.name)
def test_the_threshold_itself_passes_and_the_next_number_on_the_wrong_side_does_not(each):
    wrong = -np.inf if each.bound == "floor" else np.inf
    values = np.array([1.5, np.nextafter(1.5, wrong), np.nextafter(1.5, -wrong)])
    assert each.passes(values, 1.5).tolist() == [True, False, True]


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each.name)
def test_relaxing_never_drops_a_symbol_that_passed(each):
    values = np.linspace(0.0, 3.0, 61)
    passed = each.passes(values, 1.5)
    for steps in range(4):
        relaxed = each.passes(values, each.relaxed(1.5, steps, 0.5))
        assert (relaxed | ~passed).all()
        passed = relaxed


@pytest.mark.parametrize("each", [filters.AGE, filters.HISTORY])
def test_what_guards_the_data_does_not_relax(each):
    assert each.relaxed(0.9, 3, 0.5) == 0.9


def test_every_filter_reads_a_metric_that_the_result_reports():
    assert {each.metric for each in EVERY} - {"age_days"} <= MetricResults.model_fields.keys()


def test_every_floor_of_the_configuration_is_used_by_a_filter():
    assert FilterParams.model_fields.keys() - {"quote_asset"} <= {each.parameter for each in EVERY}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contract_type", "TRADIFI_PERPETUAL"),
        ("contract_type", "CURRENT_QUARTER"),
        ("underlying_type", "INDEX"),
        ("status", "SETTLING"),
        ("quote_asset", "USDC"),
    ],
)
def test_a_contract_that_does_not_belong_is_named_with_what_it_is(info, field, value):
    fault = filters.contract_fault(info("AUSDT", **{field: value}), FilterParams())
    assert fault is not None
    assert fault[0] == f"{field} {value}"
    assert fault[1].startswith(f"{field} ")


def test_a_trading_perpetual_coin_contract_belongs(info):
    assert filters.contract_fault(info("币安人生USDT"), FilterParams()) is None


def test_age_is_negative_before_the_listing(info, now_ms):
    assert filters.age_days(info("AUSDT", onboard_ms=now_ms + DAY_MS), now_ms) == -1.0


def test_quantile_ignores_the_unknown_and_is_off_at_zero():
    values = np.array([1.0, np.nan, 3.0])
    assert filters.quantile_of(values, 0.5) == 2.0
    assert filters.quantile_of(values, 0.0) == -np.inf
    assert filters.quantile_of(np.array([np.nan]), 0.5) == -np.inf
