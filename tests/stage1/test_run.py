from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import numpy as np
import pytest

from aione.errors import ConfigError, InvalidInput
from aione.panel import MarketSnapshot
from aione.stage1 import TriggerInput, TriggerResult, effective_thresholds, run_stage1
from aione.stage1 import registry as registry_module
from aione.stage1.triggers import volatility_burst

BREAKOUT = {
    "close": 106.5,
    "prev_close": 104.0,
    "volume_z": 5.0,
    "relative_volume": 3.0,
    "body_frac": 0.8,
    "taker_imbalance": 0.4,
    "taker_imbalance_z": 3.0,
}


def same(first, second):
    """Two results hold the same numbers, to the bit."""
    for name in ("evidence", "side", "alert", "gated", "scored"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert dict(first.states) == dict(second.states)
    for name, found in first.triggers.items():
        for column in ("fired", "side", "strength", "value", "threshold"):
            np.testing.assert_array_equal(getattr(found, column), getattr(second.triggers[name], column))


def test_a_breakout_with_volume_is_an_alert_with_side_and_reasons(market, settings):
    one = market().set("BUSDT", **BREAKOUT)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert found.alert.tolist() == found.announced.tolist() == [False, True, False]
    assert found.side.tolist() == [0, 1, 0]
    assert found.reasons(1) == ["breakout_up", "bull_vol_spike", "volume_spike", "order_imbalance"]
    assert found.reasons(0) == []
    strength = {name: result.strength[1] for name, result in found.triggers.items()}
    weights = settings.STAGE1_MONITOR_PARAMS.trigger_weights
    doubt = np.prod([1.0 - weights[name] * strength[name] for name in found.reasons(1)])
    assert found.evidence[1] == pytest.approx(1.0 - doubt, abs=1e-12)
    assert found.states["BUSDT"].is_alert
    assert found.states["BUSDT"].announced == {
        "+1:breakout_up,bull_vol_spike,order_imbalance,volume_spike": found.states["BUSDT"].last_bar_ms
    }


def test_reasons_stand_strongest_first_and_then_by_name(market, settings):
    one = market().set("AUSDT", rsi=99.0, vwap_z=2.0, taker_imbalance_z=2.5, bearish_div=0.6)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert found.reasons(0) == ["rsi_overbought", "bearish_div", "order_imbalance", "vwap_deviation"]


def test_the_same_bar_again_is_the_same_result_but_nothing_is_announced_again(market, settings):
    one = market().set("BUSDT", **BREAKOUT)
    first = run_stage1(one.readings(), one.snapshot(), settings, {})
    again = run_stage1(one.readings(), one.snapshot(), settings, first.states)
    same(first, again)
    assert first.announced.any()
    assert not again.announced.any()


@pytest.mark.parametrize(
    "changes", [{"bars_age": 1.0}, {"ready_frac": 0.89}, {"bars_age": np.nan}, {"ready_frac": np.nan}]
)
def test_a_symbol_with_missing_bars_is_never_alerted(market, settings, changes):
    one = market(base=BREAKOUT).set("BUSDT", **changes, atr_frac=0.0001)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert found.scored.tolist() == found.alert.tolist() == [True, False, True]
    assert np.isnan(found.evidence[1])
    assert (found.side[1], found.gated[1], found.reasons(1)) == (0, False, [])
    assert not found.states["BUSDT"].is_alert


def test_enough_bars_are_enough(market, settings):
    one = market(base={"ready_frac": settings.MIN_READY_PCT})
    assert run_stage1(one.readings(), one.snapshot(), settings, {}).scored.all()


def test_an_unknown_symbol_leaves_the_others_alone(market, settings):
    full, holed = market(base=BREAKOUT), market(base=BREAKOUT).blank("AUSDT")
    first = run_stage1(full.readings(), full.snapshot(), settings, {})
    second = run_stage1(holed.readings(), holed.snapshot(), settings, {})
    np.testing.assert_array_equal(first.evidence[1:], second.evidence[1:])
    assert second.alert.tolist() == [False, True, True]


def test_the_gate_lets_a_breakout_through_and_nothing_else(market, settings):
    one = market(base=BREAKOUT).set("BUSDT", atr_frac=0.0003)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert found.gated.tolist() == [False, True, False]
    assert found.evidence[1] == pytest.approx(
        settings.STAGE1_MONITOR_PARAMS.trigger_weights["breakout_up"] * found.triggers["breakout_up"].strength[1]
    )
    assert "volume_spike" in found.reasons(1)
    assert list(found.states["BUSDT"].announced) == ["+1:breakout_up"]


def test_each_symbol_has_its_own_gate(market, settings):
    one = market("BTCUSDT", "WIFUSDT", base={**BREAKOUT, "atr_frac": 0.0005})
    assert run_stage1(one.readings(), one.snapshot(), settings, {}).gated.tolist() == [False, True]


def test_a_trigger_that_is_switched_off_has_no_say(market, changed):
    settings = changed(STAGE2_CONFIG={"switches": {"triggers": {"breakout_up": False, "volatility_spike": False}}})
    one = market(base=BREAKOUT)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert "breakout_up" not in found.triggers
    assert "volatility_burst" not in found.triggers
    assert "breakout_up" not in found.reasons(0)


def test_a_run_may_bring_its_own_thresholds(market, settings):
    one = market(base={"rsi": 75.0})
    found = run_stage1(one.readings(), one.snapshot(), settings, {}, override={"rsi_overbought": 80.0})
    assert not found.triggers["rsi_overbought"].fired.any()
    assert found.thresholds.layer("rsi_overbought", 0) == "run"
    with pytest.raises(ConfigError, match="rsi_overbougt"):
        run_stage1(one.readings(), one.snapshot(), settings, {}, override={"rsi_overbougt": 80.0})


def test_computed_layers_are_in_force(market, settings):
    one = market(base={"rsi": 75.0})
    found = run_stage1(one.readings(), one.snapshot(), settings, {}, rules={"BUSDT": {"rsi_overbought": 80.0}})
    assert found.triggers["rsi_overbought"].fired.tolist() == [True, False, True]


def test_readings_and_market_must_be_aligned(market, settings):
    one = market()
    other = MarketSnapshot.of(("AUSDT", "CUSDT", "BUSDT"))
    with pytest.raises(InvalidInput, match="market must hold the 3 symbols of the readings in their order"):
        run_stage1(one.readings(), other, settings, {})
    with pytest.raises(InvalidInput, match="thresholds must hold"):
        TriggerInput(one.readings(), one.snapshot(), effective_thresholds(("AUSDT",), settings))


def test_symbols_in_another_order_are_the_same_symbols(market, settings):
    one = market.random(5, size=30)
    one.values["bars_age"][:], one.values["ready_frac"][:] = 0.0, 1.0
    turned = one.take(*reversed(one.symbols))
    first = run_stage1(one.readings(), one.snapshot(), settings, {})
    second = run_stage1(turned.readings(), turned.snapshot(), settings, {})
    np.testing.assert_array_equal(first.evidence, second.evidence[::-1])
    assert dict(first.states) == dict(second.states)


def test_the_market_upside_down_alerts_the_other_side(market, settings):
    one = market.random(11, size=200)
    for each in (one, one.mirrored()):
        each.values["bars_age"][:], each.values["ready_frac"][:] = 0.0, 1.0
    first = run_stage1(one.readings(), one.snapshot(), settings, {})
    second = run_stage1(one.mirrored().readings(), one.mirrored().snapshot(), settings, {})
    np.testing.assert_allclose(first.evidence, second.evidence, rtol=1e-12)
    np.testing.assert_array_equal(first.side, -second.side)
    assert first.alert.any()


def test_no_symbols_are_an_empty_result(market, settings):
    nobody = market().take()
    found = run_stage1(nobody.readings(), nobody.snapshot(), settings, {})
    assert found.alert.shape == found.evidence.shape == (0,)
    assert len(found.states) == 0


# ── Third parties ──


@pytest.fixture
def install(monkeypatch):
    def with_trigger(evaluate):
        module = ModuleType("someone_moon")
        module.evaluate = evaluate
        monkeypatch.setitem(sys.modules, "someone_moon", module)
        point = EntryPoint("moon", "someone_moon:evaluate", "aione.triggers")
        monkeypatch.setattr(registry_module, "installed_triggers", lambda: {"moon": point})

    return with_trigger


def test_a_third_partys_trigger_counts(market, settings, install):
    install(volatility_burst.evaluate)
    one = market(base={"true_range": 3.75})
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert found.reasons(0) == ["moon", "volatility_burst"]
    assert found.evidence[0] == pytest.approx(1.0 - (1.0 - 0.3 * 0.75) * (1.0 - 0.45 * 0.75))
    assert found.failures == {}


def _answer(**wrong):
    def evaluate(inputs):
        size = len(inputs.readings.symbols)
        columns = {
            "fired": np.ones(size, dtype=np.bool_),
            "side": np.ones(size, dtype=np.int8),
            "strength": np.ones(size),
            "value": np.ones(size),
            "threshold": np.ones(size),
        }
        return TriggerResult(**{**columns, **wrong})

    return evaluate


def _raises(inputs):
    raise ZeroDivisionError(len(inputs.readings.symbols))


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        (_raises, "ZeroDivisionError: 3"),
        (lambda inputs: inputs.readings["rsi"], "must return a TriggerResult, returned ndarray"),
        (_answer(strength=np.ones(2)), r"strength must be of kind 'f' and shape \(3,\), was float64 \(2,\)"),
        (_answer(fired=np.ones(3)), "fired must be of kind 'b'"),
        (_answer(strength=np.full(3, 1.5)), r"strength must lie in \[0, 1\]"),
        (_answer(strength=np.full(3, np.nan)), r"strength must lie in \[0, 1\]"),
        (_answer(side=np.full(3, 2, dtype=np.int8)), "side must be -1, 0 or"),
        (_answer(side=None), "AttributeError"),
        (_answer(names=("volum_z",)), r"names must be thresholds \(volume_z, .*, held volum_z"),
        (_answer(names=("volume_z",), which=np.zeros(2)), r"which must be one number or of shape \(3,\)"),
    ],
)
def test_one_that_fails_is_named_and_the_run_goes_on(market, settings, install, evaluate, message):
    one = market(base={"true_range": 3.0})
    without = run_stage1(one.readings(), one.snapshot(), settings, {})
    install(evaluate)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert list(found.failures) == ["moon"]
    assert re.search(message, found.failures["moon"])
    same(without, found)
