from __future__ import annotations

import math

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.panel import DAY_MS
from aione.prefilter import Prefilter

SPOILED = [
    ("volume", {"quote_volume_24h": 4.9e6}, 5e6),
    ("range", {"range_frac_24h": 0.007}, 0.008),
    ("spread", {"spread_frac": 0.0016}, 0.0015),
    ("open_interest", {"open_interest_quote": 0.9e6}, 1e6),
    ("depth", {"depth_quote": 19e3}, 20e3),
    ("atr", {"atr_frac": 0.0001}, 0.0002),
    ("history", {"ready_frac": 0.89}, 0.9),
]


def by_symbol(result):
    return {metric.symbol: metric for metric in result.metrics}


def test_comfortable_symbols_all_pass_and_are_ranked(exchange):
    result = exchange("AUSDT", "BUSDT").spoil("BUSDT", quote_volume_24h=60e6).run()
    assert result.symbols == ("BUSDT", "AUSDT")
    assert [(m.symbol, m.rank, m.passed, m.reason) for m in result.metrics] == [
        ("AUSDT", 2, True, None),
        ("BUSDT", 1, True, None),
    ]
    assert (result.relaxed, result.tightened) == (0, 0)


@pytest.mark.parametrize(("name", "spoiled", "threshold"), SPOILED)
def test_every_drop_has_reason_value_and_threshold(exchange, name, spoiled, threshold):
    result = exchange("GOODUSDT", "BADUSDT").spoil("BADUSDT", **spoiled).run()
    bad = by_symbol(result)["BADUSDT"]
    assert result.symbols == ("GOODUSDT",)
    assert (bad.reason, bad.value, bad.threshold) == (name, next(iter(spoiled.values())), threshold)
    assert (bad.passed, bad.rank, bad.score) == (False, None, None)
    assert result.reasons() == {name: 1}


@pytest.mark.parametrize(("name", "spoiled", "threshold"), SPOILED)
@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, -math.inf])
def test_an_unknown_metric_drops_by_its_own_reason(exchange, name, spoiled, threshold, unknown):
    market = exchange("GOODUSDT", "BADUSDT").spoil("BADUSDT", **dict.fromkeys(spoiled, unknown))
    bad = by_symbol(market.run())["BADUSDT"]
    assert (bad.reason, bad.value, bad.threshold) == (f"{name}_unknown", None, threshold)


def test_the_first_filter_in_the_order_gives_the_reason(exchange):
    everything = {name: value for _, spoiled, _ in SPOILED for name, value in spoiled.items()}
    order = []
    for name, spoiled, _ in SPOILED:
        order.append(by_symbol(exchange("AUSDT").spoil("AUSDT", **everything).run())["AUSDT"].reason)
        for metric in spoiled:
            del everything[metric]
        assert order[-1] == name


def test_funnel_counts_what_went_in_and_came_out_in_order(exchange):
    market = exchange(*(f"S{k}USDT" for k in range(10)))
    for row, (_, spoiled, _) in enumerate(SPOILED):
        market.spoil(f"S{row}USDT", **spoiled)
    result = market.run()
    assert [name for name, _, _ in result.funnel] == ["contract", "age", *(name for name, _, _ in SPOILED)]
    assert [came_out for _, _, came_out in result.funnel] == [10, 10, 9, 8, 7, 6, 5, 4, 3]
    assert all(out == went_in for (_, _, out), (_, went_in, _) in zip(result.funnel, result.funnel[1:], strict=False))
    assert len(result.symbols) == 3


def test_only_what_is_left_comes_back_from_each_step(exchange, settings_with, now_ms):
    market = exchange("AUSDT", "BUSDT", "CUSDT").spoil("AUSDT", quote_volume_24h=1.0).spoil("BUSDT", depth_quote=1.0)
    chain = Prefilter(market.infos, settings_with(), now_ms)
    metrics = market.metrics
    assert chain.apply_bulk(metrics["quote_volume_24h"], metrics["range_frac_24h"], metrics["spread_frac"]) == [
        "BUSDT",
        "CUSDT",
    ]
    assert chain.apply_depth(metrics["depth_quote"]) == ["CUSDT"]


def test_a_new_listing_is_dropped_by_age_in_days(exchange, info, now_ms):
    market = exchange("AUSDT", "NEWUSDT")
    market.infos[1] = info("NEWUSDT", onboard_ms=now_ms - 2 * DAY_MS)
    new = by_symbol(market.run())["NEWUSDT"]
    assert (new.reason, new.value, new.threshold) == ("age", 2.0, 3.0)


def test_a_step_that_is_never_applied_does_not_filter(exchange, settings_with, now_ms):
    market = exchange("AUSDT")
    chain = Prefilter(market.infos, settings_with(), now_ms)
    chain.apply_bulk(market.metrics["quote_volume_24h"], market.metrics["range_frac_24h"], None)
    result = chain.result()
    assert result.symbols == ("AUSDT",)
    assert "spread" not in [name for name, _, _ in result.funnel]
    assert result.metrics[0].depth_quote is None


def test_an_empty_answer_of_the_exchange_is_unknown_and_not_a_pass(exchange):
    market = exchange("AUSDT", "BUSDT")
    market.metrics["spread_frac"].clear()
    assert market.run().reasons() == {"spread_unknown": 2}


@pytest.mark.parametrize("late", ["bulk", "open_interest", "depth"])
def test_steps_out_of_order_are_refused(exchange, settings_with, now_ms, late):
    chain = Prefilter(exchange("AUSDT").infos, settings_with(), now_ms)
    chain.apply_depth({"AUSDT": 1e6})
    arguments = {"bulk": ({}, {}, {})}.get(late, ({},))
    with pytest.raises(InvalidInput, match=f"{late} came too late"):
        getattr(chain, f"apply_{late}")(*arguments)


def test_a_symbol_listed_twice_is_refused(info, settings_with, now_ms):
    with pytest.raises(InvalidInput, match="AUSDT was listed more often"):
        Prefilter([info("AUSDT"), info("BUSDT"), info("AUSDT")], settings_with(), now_ms)


def test_no_contracts_give_an_empty_result(settings_with, now_ms):
    chain = Prefilter([], settings_with(), now_ms)
    chain.apply_bulk({}, {}, {})
    result = chain.result()
    assert (result.symbols, result.metrics) == ((), [])
    assert result.funnel[0] == ("contract", 0, 0)


# ── Manual symbols ──


@pytest.mark.parametrize(("name", "spoiled", "threshold"), SPOILED)
def test_a_manual_symbol_passes_every_floor_even_unknown(exchange, name, spoiled, threshold):  # noqa: ARG001
    for values in (spoiled, dict.fromkeys(spoiled, None)):
        result = exchange("AUSDT", "BUSDT").spoil("BUSDT", **values).run(manual=("BUSDT",))
        assert set(result.symbols) == {"AUSDT", "BUSDT"}
        assert by_symbol(result)["BUSDT"].is_manual
        assert not by_symbol(result)["AUSDT"].is_manual


def test_a_manual_symbol_is_not_too_young(exchange, info, now_ms):
    market = exchange("NEWUSDT")
    market.infos[0] = info("NEWUSDT", onboard_ms=now_ms)
    assert market.run(manual=("NEWUSDT",)).symbols == ("NEWUSDT",)


@pytest.mark.parametrize(("field", "value"), [("status", "SETTLING"), ("contract_type", "TRADIFI_PERPETUAL")])
def test_a_manual_symbol_that_is_no_trading_perpetual_is_refused_with_reason(exchange, info, field, value):
    market = exchange("AUSDT", "BUSDT")
    market.infos[1] = info("BUSDT", **{field: value})
    result = market.run(manual=("BUSDT",))
    refused = by_symbol(result)["BUSDT"]
    assert result.symbols == ("AUSDT",)
    assert (refused.reason, refused.value, refused.is_manual) == ("contract", f"{field} {value}", True)


def test_a_manual_symbol_that_is_not_listed_is_refused_with_reason(exchange):
    result = exchange("AUSDT").run(manual=("NOPEUSDT",))
    refused = by_symbol(result)["NOPEUSDT"]
    assert (refused.reason, refused.value, refused.passed) == ("contract", "not listed", False)
    assert result.funnel[0] == ("contract", 1, 1)


# ── Relaxing and tightening ──


def test_too_few_relax_the_floors_until_enough_pass(exchange, settings_with):
    market = exchange("AUSDT", "BUSDT", "CUSDT").spoil("BUSDT", quote_volume_24h=3e6).spoil("CUSDT", spread_frac=0.005)
    settings = settings_with(params={"min_symbols": 2})
    result = market.run(settings)
    assert set(result.symbols) == {"AUSDT", "BUSDT"}
    assert result.relaxed == 1
    assert result.floors["volume"] == 2.5e6
    assert by_symbol(result)["CUSDT"].threshold == result.floors["spread"] == 0.003


def test_relaxing_stops_at_the_most_steps(exchange, settings_with):
    market = exchange("AUSDT").spoil("AUSDT", quote_volume_24h=1.3e6)
    assert market.run(settings_with(params={"min_symbols": 1, "max_relax_steps": 1})).symbols == ()
    assert market.run(settings_with(params={"min_symbols": 1, "max_relax_steps": 2})).symbols == ("AUSDT",)


def test_a_step_that_brings_nothing_back_is_not_taken(exchange, settings_with):
    market = exchange("AUSDT", "BUSDT").spoil("BUSDT", quote_volume_24h=1.0)
    result = market.run(settings_with(params={"min_symbols": 2}))
    assert (result.symbols, result.relaxed) == (("AUSDT",), 0)
    assert by_symbol(result)["BUSDT"].threshold == 5e6


def test_manual_symbols_count_as_passing(exchange, settings_with):
    market = exchange("AUSDT", "BUSDT", "CUSDT").spoil("BUSDT", quote_volume_24h=1.0).spoil("CUSDT", spread_frac=0.002)
    result = market.run(settings_with(params={"min_symbols": 2}), manual=("BUSDT",))
    assert (set(result.symbols), result.relaxed) == ({"AUSDT", "BUSDT"}, 0)


def test_each_step_relaxes_only_its_own_floors(exchange, settings_with):
    market = exchange("AUSDT", "BUSDT").spoil("BUSDT", open_interest_quote=0.6e6)
    result = market.run(settings_with(params={"min_symbols": 2}))
    assert set(result.symbols) == {"AUSDT", "BUSDT"}
    assert (result.floors["open_interest"], result.floors["volume"], result.relaxed) == (0.5e6, 5e6, 1)


def test_too_many_tighten_by_the_rank_quantile_and_say_so(exchange, settings_with):
    market = exchange(*(f"S{k:02}USDT" for k in range(20)))
    for row in range(20):
        market.spoil(f"S{row:02}USDT", quote_volume_24h=1e7 * (row + 1))
    result = market.run(settings_with(params={"max_symbols": 15, "winsor_frac": 0.0}))
    assert (result.tightened, result.quantile) == (3, 0.3)
    assert result.symbols[0] == "S19USDT"
    assert len(result.symbols) == 14
    assert result.funnel[-1] == ("rank", 20, 14)
    worst = by_symbol(result)["S00USDT"]
    assert worst.reason == "rank"
    assert worst.value == worst.score < worst.threshold
    assert worst.rank is None


def test_the_volume_quantile_drops_the_thinnest_where_it_is_on(exchange, settings_with):
    market = exchange(*(f"S{k}USDT" for k in range(5)))
    for row in range(5):
        market.spoil(f"S{row}USDT", quote_volume_24h=1e7 * (row + 1))
    result = market.run(settings_with(params={"quantile_floor": 0.5}))
    assert set(result.symbols) == {"S2USDT", "S3USDT", "S4USDT"}
    dropped = by_symbol(result)["S0USDT"]
    assert (dropped.reason, dropped.value, dropped.threshold) == ("volume_quantile", 1e7, 3e7)


def test_the_result_does_not_depend_on_the_order_of_the_listing(exchange):
    rng = np.random.default_rng(7)
    market = exchange(*(f"S{k:02}USDT" for k in range(40)))
    for name, values in market.metrics.items():
        for symbol in values:
            values[symbol] *= float(rng.lognormal(0.0, 1.0)) if name != "ready_frac" else 1.0
    straight = market.run()
    market.infos.reverse()
    backwards = market.run()
    assert straight.symbols == backwards.symbols
    assert by_symbol(straight) == by_symbol(backwards)


def test_names_that_are_not_ascii_are_names_like_others(exchange):
    result = exchange("币安人生USDT", "AUSDT").spoil("AUSDT", depth_quote=0.0).run()
    assert result.symbols == ("币安人生USDT",)
