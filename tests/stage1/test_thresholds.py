from __future__ import annotations

import json

import numpy as np
import pytest

from aione.errors import ConfigError, InvalidInput
from aione.stage1.thresholds import NAMES, effective_thresholds
from config.models import TriggerThresholds

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
    )
    thresholds = effective_thresholds(
        SYMBOLS,
        settings,
        market_state={"AUSDT": {"rsi_oversold": 21.0, "near_atr_mult": 0.5}, "ABSENTUSDT": {"vwap_z": 9.0}},
        rules={"AUSDT": {"near_atr_mult": 0.6, "low_gate": 0.001}},
        override={"low_gate": 0.002},
    )
    expected = {
        "relative_volume": (1.5, "global"),
        "volume_z": (3.0, "class:all"),
        "vwap_z": (3.5, "class:one"),
        "imbalance_z": (4.0, "symbol"),
        "rsi_oversold": (21.0, "market_state"),
        "near_atr_mult": (0.6, "rules"),
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
        ({"class_thresholds": {"meme": {"volum_z": 3.0}}}, r"class_thresholds\.meme: unknown threshold volum_z"),
        ({"symbol_thresholds": {"AUSDT": {"volum_z": 3.0}}}, r"symbol_thresholds\.AUSDT: unknown threshold volum_z"),
        ({"class_thresholds": {"memes": {"volume_z": 3.0}}}, "unknown asset class memes, .* has major, meme"),
        ({"class_thresholds": {"meme": {"volume_z": -3.0}}}, r"class_thresholds\.meme\.volume_z: .*was -3"),
        ({"symbol_thresholds": {"AUSDT": {"rsi_overbought": 40.0}}}, r"AUSDT\.rsi_overbought: .*was 40"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named_with_its_place(changed, parts, message):
    with pytest.raises(ConfigError, match=message):
        effective_thresholds(SYMBOLS, changed(STAGE1_MONITOR_PARAMS=parts))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"override": {"volum_z": 3.0}}, "run override: unknown threshold volum_z, expected one of volume_z"),
        ({"override": {"volume_z": float("nan")}}, r"run override\.volume_z: "),
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
