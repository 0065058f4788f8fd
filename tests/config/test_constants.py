from __future__ import annotations

from importlib import import_module

import pytest

from config import config, models
from config.settings import RECOMMENDATIONS, Settings, load_settings

MISSION = [
    "DEFAULT_LOOKBACK",
    "DEFAULT_TIMEFRAME",
    "MIN_READY_PCT",
    "MAX_PARALLEL_STAGE2",
    "TRADE_REFRESH_INTERVAL",
    "BUY_SET",
    "SELL_SET",
    "REDIS_CHANNEL_ASSET_STATE",
    "REDIS_SNAPSHOT_KEY",
    "UI_LOCALE",
    "UI_COLUMN_VOLUME",
    "TICK_SIZE_MAP",
    "TICK_SIZE_BRACKETS",
    "TICK_SIZE_DEFAULT",
    "STAGE2_STATUS",
    "ASSET_STATE",
    "TRIGGER_TP_SL_SWAP_LONG",
    "TRIGGER_TP_SL_SWAP_SHORT",
    "TRIGGER_SIGNAL_GENERATED",
    "TRIGGER_NAME_MAP",
    "OI_SEMAPHORE",
    "KLINES_SEMAPHORE",
    "DEPTH_SEMAPHORE",
    "REDIS_CACHE_TTL",
    "INTERVAL_TTL_MAP",
    "SymbolInfo",
    "FilterParams",
    "MetricResults",
    "ASSET_CLASS_MAPPING",
    "STAGE2_CONFIG",
    "OPTUNA_PARAM_RANGES",
    "STAGE1_PREFILTER_THRESHOLDS",
    "MANUAL_FAST_SYMBOLS_SEED",
    "USER_SETTINGS_DEFAULT",
    "PRELOAD_1M_LOOKBACK_INIT",
    "SCREENING_LOOKBACK",
    "PRELOAD_DAILY_DAYS",
    "FAST_SYMBOLS_TTL_MANUAL",
    "FAST_SYMBOLS_TTL_AUTO",
    "PREFILTER_INTERVAL_SEC",
    "STAGE1_MONITOR_PARAMS",
    "PREFILTER_BASE_PARAMS",
    "OPTUNA_SQLITE_URI",
    "MIN_CONFIDENCE_TRADE_PLACEHOLDER",
]


@pytest.mark.parametrize("name", MISSION)
def test_every_constant_of_the_mission_is_there(name):
    assert hasattr(config, name)


def test_the_public_names_are_there_and_sorted():
    assert all(hasattr(config, name) for name in config.__all__)
    assert len(set(config.__all__)) == len(config.__all__)
    assert all(hasattr(models, name) for name in models.__all__)


def test_every_constant_is_validated_and_nothing_else_is():
    constants = {name for name in config.__all__ if name.isupper()}
    assert constants == set(Settings.model_fields)


def test_defaults_are_valid_and_come_through_unchanged():
    settings = load_settings(environ={})
    assert settings.DEFAULT_LOOKBACK == config.DEFAULT_LOOKBACK
    assert settings.STAGE2_CONFIG.model_dump() == config.STAGE2_CONFIG
    assert settings.STAGE1_MONITOR_PARAMS.model_dump() == config.STAGE1_MONITOR_PARAMS
    assert settings.VENUE.model_dump() == config.VENUE


def test_every_trigger_has_a_name_a_weight_a_switch_and_a_module():
    canonical = set(config.TRIGGER_NAME_MAP.values())
    assert all(config.TRIGGER_NAME_MAP[name] == name for name in canonical)
    assert set(config.STAGE1_MONITOR_PARAMS["trigger_weights"]) == canonical
    assert set(config.STAGE2_CONFIG["switches"]["triggers"]) == canonical
    for name in canonical:
        assert callable(import_module(f"aione.stage1.triggers.{name}").evaluate)


def test_buying_and_selling_are_different_recommendations():
    assert not config.BUY_SET & config.SELL_SET
    assert set(RECOMMENDATIONS) >= config.BUY_SET | config.SELL_SET
    assert len(config.BUY_SET) == len(config.SELL_SET)


def test_class_thresholds_speak_of_classes_that_exist():
    assert set(config.STAGE1_MONITOR_PARAMS["class_thresholds"]) <= set(config.ASSET_CLASS_MAPPING)


def test_every_parameter_that_calibration_searches_is_a_number_inside_its_range():
    settings = load_settings(environ={})
    for path, searched in settings.OPTUNA_PARAM_RANGES.items():
        value = settings
        for part in path.split("."):
            value = getattr(value, part)
        assert searched.low <= value <= searched.high, path


@pytest.mark.parametrize(("shorter", "longer"), [("vol_short", "vol_long"), ("range_short", "range_long")])
def test_long_windows_are_longer_than_short_ones(shorter, longer):
    indicators = models.IndicatorParams()
    assert getattr(indicators, shorter) < getattr(indicators, longer)


def test_brackets_rise():
    below = [bracket["below"] for bracket in config.TICK_SIZE_BRACKETS]
    assert below == sorted(below)
