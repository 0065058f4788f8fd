from __future__ import annotations

import json

import numpy as np
import pytest

from aione.errors import ConfigError, InvalidInput
from aione.stage1.layers import COLUMN, DenseLayer
from aione.stage1.market_state import MarketStates
from aione.stage1.thresholds import NAMES, effective_thresholds
from config.models import TriggerThresholds
from config.settings import SettingsError, load_settings

SYMBOLS = ("BTCUSDT", "WIFUSDT", "AUSDT")


def test_without_layers_everyone_has_the_global_value(changed):
    settings = changed(STAGE1_MONITOR_PARAMS={"class_thresholds": {"meme": {}, "major": {}}})
    settings = settings.model_copy(
        update={"STAGE1_MONITOR_PARAMS": settings.STAGE1_MONITOR_PARAMS.model_copy(update={"class_thresholds": {}})}
    )
    thresholds = effective_thresholds(SYMBOLS, settings)
    for name, value in TriggerThresholds().model_dump().items():
        np.testing.assert_array_equal(thresholds[name], np.full(3, value))
        assert thresholds.layer(name, 0) == "global"
    assert list(thresholds) == list(NAMES)


def test_each_layer_overwrites_the_ones_below_value_by_value(changed):
    settings = changed(
        ASSET_CLASS_MAPPING={"all": list(SYMBOLS), "one": ["AUSDT"]},
        STAGE1_MONITOR_PARAMS={
            "class_thresholds": {"all": {"volume_z": 3.0, "vwap_z": 3.0, "imbalance_z": 3.0}, "one": {"vwap_z": 3.5}},
            "symbol_thresholds": {"AUSDT": {"imbalance_z": 4.0, "rsi_oversold": 20.0}, "ABSENTUSDT": {"vwap_z": 9.0}},
        },
        STAGE2_CONFIG={"trigger_thresholds": {"relative_volume": 1.6, "volume_z": 2.9}},
    )
    thresholds = effective_thresholds(
        SYMBOLS,
        settings,
        market_state={"AUSDT": {"rsi_oversold": 21.0, "near_atr_mult": 0.5}, "ABSENTUSDT": {"vwap_z": 9.0}},
        rules={"AUSDT": {"near_atr_mult": (0.6, "rules:night"), "low_gate": 0.001, "burst_atr_mult": 3.0}},
        override={"low_gate": 0.002},
    )
    expected = {
        "relative_volume": (1.6, "stage2_config"),
        "volume_z": (3.0, "class:all"),
        "vwap_z": (3.5, "class:one"),
        "imbalance_z": (4.0, "symbol"),
        "rsi_oversold": (21.0, "market_state"),
        "near_atr_mult": (0.6, "rules:night"),
        "burst_atr_mult": (3.0, "rules"),
        "low_gate": (0.002, "run"),
    }
    for name, (value, layer) in expected.items():
        assert (thresholds[name][2], thresholds.layer(name, 2)) == (value, layer), name
    assert thresholds["near_atr_mult"].tolist() == [0.25, 0.25, 0.6]
    assert thresholds["low_gate"].tolist() == [0.002] * 3


def test_the_defaults_hold_memes_to_more_and_majors_to_less(settings):
    thresholds = effective_thresholds(SYMBOLS, settings)
    assert thresholds["volume_z"].tolist() == [2.5, 3.0, 2.5]
    assert thresholds["low_gate"].tolist() == [0.0003, 0.0006, 0.0004]


def test_explain_tells_value_and_layer_of_every_threshold_ready_for_json(settings):
    told = effective_thresholds(SYMBOLS, settings, override={"vwap_z": 2.2}).explain(1)
    assert json.loads(json.dumps(told)) == told
    assert list(told) == list(NAMES)
    assert told["volume_z"] == {"value": 3.0, "layer": "class:meme"}
    assert told["vwap_z"] == {"value": 2.2, "layer": "run"}
    assert told["rsi_oversold"] == {"value": 30.0, "layer": "global"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"class_thresholds": {"meme": {"volum_z": 3.0}}}, r"class_thresholds\.meme\.volum_z.*no threshold volum_z"),
        ({"symbol_thresholds": {"AUSDT": {"volum_z": 3.0}}}, r"symbol_thresholds\.AUSDT\.volum_z"),
        ({"class_thresholds": {"meme": {"volume_z": -3.0}}}, r"class_thresholds\.meme: .*volume_z: .*greater than 0"),
        ({"symbol_thresholds": {"AUSDT": {"rsi_overbought": 40.0}}}, r"AUSDT: .*rsi_overbought: .*greater than 50"),
        (
            {"market_state_thresholds": {"mad": {}}},
            r"_thresholds\.mad.*'calm', 'ordinary', 'wild' or 'btc_",
        ),
        ({"market_state_thresholds": {"calm": {"volum_z": 3.0}}}, r"calm\.volum_z.*no threshold volum_z"),
        ({"market_state_thresholds": {"calm": {"volume_z": -3.0}}}, r"calm: .*volume_z: .*greater than 0"),
        ({"market_state_thresholds": {"calm": {"volume_z": {"factor": 0}}}}, r"calm\.volume_z.*factor: .*greater than"),
        ({"market_state_thresholds": {"calm": {"volume_z": {"times": 2}}}}, r"calm\.volume_z.*times: Extra inputs"),
        ({"market_state": {"calm_vol_ratio": 2.0}}, r"calm_vol_ratio must be below wild_vol_ratio 1\.8, was 2\.0"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named_with_its_place_when_they_are_loaded(parts, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(environ={}, overrides={"STAGE1_MONITOR_PARAMS": parts})


def test_a_class_that_does_not_exist_is_named(changed):
    settings = changed(STAGE1_MONITOR_PARAMS={"class_thresholds": {"memes": {"volume_z": 3.0}}})
    with pytest.raises(ConfigError, match=r"unknown asset class memes, .* has major, meme"):
        effective_thresholds(SYMBOLS, settings)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"override": {"volum_z": 3.0}}, "run override: unknown threshold volum_z, expected one of volume_z"),
        ({"override": {"volume_z": float("nan")}}, r"run override\.volume_z: must be a finite number, was nan"),
        ({"override": {"volume_z": 0.0}}, r"run override: every symbol\.volume_z must be above 0, was 0"),
        ({"override": {"rsi_overbought": 101.0}}, r"rsi_overbought must be above 50 and at most 100, was 101\.0"),
        ({"rules": {"AUSDT": {"volume_z": "3"}}}, r"layer rules: AUSDT\.volume_z: must be a finite number, was '3'"),
        (
            {"rules": {"AUSDT": {"volume_z": (-3.0, "rules:x")}}},
            r"rules: AUSDT\.volume_z must be above 0, was -3",
        ),
        ({"rules": {"AUSDT": {"volum_z": 3.0}}}, "layer rules: AUSDT: unknown threshold volum_z"),
        ({"market_state": {"AUSDT": {"volum_z": 3.0}}}, "layer market_state: AUSDT: unknown threshold volum_z"),
    ],
)
def test_what_is_wrong_in_a_run_is_named(settings, layers, message):
    with pytest.raises(ConfigError, match=message):
        effective_thresholds(SYMBOLS, settings, **layers)


def test_asking_for_a_threshold_that_there_is_not_names_it(settings):
    thresholds = effective_thresholds(SYMBOLS, settings)
    assert "volume_z" in thresholds
    assert "volum_z" not in thresholds
    with pytest.raises(InvalidInput, match="no threshold volum_z"):
        _ = thresholds["volum_z"]
    with pytest.raises(InvalidInput, match="no threshold volum_z"):
        thresholds.layer("volum_z", 0)


def test_the_settled_layers_are_remembered_and_no_run_changes_them(settings):
    first = effective_thresholds(SYMBOLS, settings)
    run = effective_thresholds(SYMBOLS, settings, override={"volume_z": 9.0})
    assert effective_thresholds(tuple(SYMBOLS), settings) is first
    assert (first["volume_z"][0], run["volume_z"][0]) == (2.5, 9.0)
    with pytest.raises(ValueError, match="read-only"):
        first["volume_z"][0] = 1.0


def test_other_settings_and_other_symbols_are_settled_anew(settings, changed):
    other = changed(STAGE1_MONITOR_PARAMS={"thresholds": {"volume_z": 7.0}})
    assert effective_thresholds(("AUSDT",), settings)["volume_z"].tolist() == [2.5]
    assert effective_thresholds(("AUSDT",), other)["volume_z"].tolist() == [7.0]
    assert effective_thresholds(("AUSDT", "WIFUSDT"), settings)["volume_z"].tolist() == [2.5, 3.0]


# ── Market states ──

STATES = {
    "calm": {"volume_z": 2.0, "vwap_z": {"factor": 1.5}},
    "ordinary": {"vwap_z": {"factor": 1.25}},
    "wild": {"volume_z": {"factor": 1.2, "add": 0.5}, "rsi_overbought": {"add": 40.0}, "rsi_oversold": {"add": -40.0}},
    "btc_trend": {"volume_z": {"factor": 2.0}},
}


def in_states(settings, *volatility, btc=False, symbols=SYMBOLS, **layers):
    states = MarketStates(symbols, np.array(volatility, dtype=np.int8), btc)
    return effective_thresholds(symbols, settings, market_state=states, **layers)


@pytest.fixture
def stateful():
    return load_settings(environ={}, overrides={"STAGE1_MONITOR_PARAMS": {"market_state_thresholds": STATES}})


def test_a_state_sets_or_changes_what_the_layers_below_say(stateful):
    """BTC has the global 2.5, WIF its class's 3.0."""
    calm, ordinary, wild = (in_states(stateful, state, state, state) for state in (0, 1, 2))
    np.testing.assert_allclose(calm["volume_z"], [2.0, 2.0, 2.0])
    np.testing.assert_allclose(calm["vwap_z"], 3.0)
    np.testing.assert_allclose(ordinary["volume_z"], [2.5, 3.0, 2.5])
    np.testing.assert_allclose(ordinary["vwap_z"], 2.5)
    np.testing.assert_allclose(wild["volume_z"], [3.5, 4.1, 3.5])
    assert [calm.layer(name, 1) for name in ("volume_z", "vwap_z", "low_gate")] == [
        "market_state:calm",
        "market_state:calm",
        "class:meme",
    ]
    assert (ordinary.layer("volume_z", 0), ordinary.layer("vwap_z", 0)) == ("global", "market_state:ordinary")


def test_a_change_stops_at_the_bounds_of_the_threshold(stateful):
    wild = in_states(stateful, 2, 2, 2)
    assert wild["rsi_overbought"].tolist() == [100.0] * 3
    assert wild["rsi_oversold"].tolist() == [0.0] * 3


def test_a_btc_trend_is_laid_over_the_own_state(stateful):
    trend = in_states(stateful, 0, 1, 3, btc=True)
    np.testing.assert_allclose(trend["volume_z"], [4.0, 6.0, 5.0])
    assert [trend.layer("volume_z", row) for row in range(3)] == ["market_state:btc_trend"] * 3
    assert [trend.layer("vwap_z", row) for row in range(3)] == ["market_state:calm", "market_state:ordinary", "global"]


def test_an_unknown_state_leaves_everything_as_it_is(stateful):
    unknown, plain = in_states(stateful, 3, 3, 3), effective_thresholds(SYMBOLS, stateful)
    np.testing.assert_array_equal(unknown.values, plain.values)
    assert unknown.explain(1) == plain.explain(1)


def test_each_symbol_has_its_own_state_and_a_run_and_the_rules_come_after_it(stateful):
    mixed = in_states(stateful, 0, 2, 3, rules={"WIFUSDT": {"volume_z": (9.0, "rules:x")}}, override={"vwap_z": 7.0})
    np.testing.assert_allclose(mixed["volume_z"], [2.0, 9.0, 2.5])
    assert [mixed.layer("volume_z", row) for row in range(3)] == ["market_state:calm", "rules:x", "global"]
    assert mixed["vwap_z"].tolist() == [7.0] * 3
    assert in_states(stateful, 0, 2, 3)["volume_z"][1] == pytest.approx(4.1)


def test_states_of_other_symbols_are_refused(settings):
    states = MarketStates(("AUSDT",), np.zeros(1, dtype=np.int8), is_btc_trending=False)
    with pytest.raises(InvalidInput, match="of the run's 3 symbols"):
        effective_thresholds(SYMBOLS, settings, market_state=states)


# ── Layers as columns ──


def test_columns_say_what_the_mapping_says(settings):
    rules = {
        "AUSDT": {"volume_z": (3.5, "rules:a"), "low_gate": 0.002},
        "WIFUSDT": {"vwap_z": (2.25, "rules:b"), "volume_z": (4.0, "rules:a")},
        "ABSENTUSDT": {"vwap_z": 9.0},
    }
    columns = DenseLayer.of(SYMBOLS, rules, "rules")
    one, other = (effective_thresholds(SYMBOLS, settings, rules=layer) for layer in (rules, columns))
    for row in range(3):
        assert one.explain(row) == other.explain(row)
    assert one.explain(2)["volume_z"] == {"value": 3.5, "layer": "rules:a"}
    assert one.explain(1)["low_gate"] == {"value": 0.0006, "layer": "class:meme"}


def test_columns_that_do_not_fit_are_refused(settings):
    columns = DenseLayer.of(("AUSDT",), {"AUSDT": {"volume_z": 3.0}}, "rules")
    with pytest.raises(InvalidInput, match="layer rules must hold the 3 symbols of the run in their order, held 1"):
        effective_thresholds(SYMBOLS, settings, rules=columns)
    with pytest.raises(InvalidInput, match=r"values of a layer must have shape \(12, 3\), was \(12, 1\)"):
        DenseLayer(SYMBOLS, columns.values, columns.sources, columns.labels)
    columns.values[COLUMN["rsi_oversold"]] = 50.0
    with pytest.raises(ConfigError, match=r"rules: AUSDT\.rsi_oversold must be at least 0 and below 50, was 50"):
        effective_thresholds(("AUSDT",), settings, rules=columns)


def test_nobody_at_all_has_no_thresholds(settings):
    nobody = in_states(settings, symbols=(), rules={"AUSDT": {"volume_z": 3.0}}, override={"vwap_z": 3.0})
    assert nobody["volume_z"].shape == (0,)
