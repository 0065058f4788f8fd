from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from aione.errors import ConfigError
from aione.stage1 import canonical_name, registry
from aione.stage1.registry import ENTRY_POINT_GROUP, select_triggers
from aione.stage1.triggers import near_low, volatility_burst

NONE = {}


@pytest.fixture
def foreign(monkeypatch):
    """Install a module as someone else's package would be, and return its entry point."""

    def install(name, **members):
        module = ModuleType(f"someone_{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        value = f"{module.__name__}:evaluate" if "evaluate" in members else module.__name__
        return {name: EntryPoint(name, value, ENTRY_POINT_GROUP)}

    return install


def test_every_trigger_is_on_with_its_weight(settings):
    chosen = select_triggers(settings, NONE)
    assert list(chosen.active) == sorted(set(settings.TRIGGER_NAME_MAP.values()))
    assert chosen.active["near_low"] is near_low.evaluate
    assert chosen.weights == settings.STAGE1_MONITOR_PARAMS.trigger_weights
    assert (chosen.foreign, chosen.failures) == (frozenset(), {})


@pytest.mark.parametrize("name", ["volatility_burst", "volatility_spike"])
def test_a_switch_turns_a_trigger_off_by_any_of_its_names(changed, name):
    chosen = select_triggers(changed(STAGE2_CONFIG={"switches": {"triggers": {name: False}}}), NONE)
    assert "volatility_burst" not in chosen.active
    assert len(chosen.active) == len(chosen.weights) == 16


def test_an_alias_sets_the_weight_of_the_trigger_it_stands_for(changed):
    settings = changed(STAGE1_MONITOR_PARAMS={"trigger_weights": {"volatility_spike": 0.9}})
    assert select_triggers(settings, NONE).weights["volatility_burst"] == 0.9


def test_a_trigger_without_a_weight_takes_the_default(settings):
    weights = dict(settings.STAGE1_MONITOR_PARAMS.trigger_weights)
    del weights["near_low"]
    params = settings.STAGE1_MONITOR_PARAMS.model_copy(
        update={"trigger_weights": weights, "default_trigger_weight": 0.11}
    )
    chosen = select_triggers(settings.model_copy(update={"STAGE1_MONITOR_PARAMS": params}), NONE)
    assert chosen.weights["near_low"] == 0.11


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"STAGE2_CONFIG": {"switches": {"triggers": {"near_lo": False}}}},
            "switches.triggers: unknown trigger near_lo",
        ),
        ({"STAGE1_MONITOR_PARAMS": {"trigger_weights": {"near_lo": 0.1}}}, "trigger_weights: unknown trigger near_lo"),
        ({"TRIGGER_NAME_MAP": {"moon": "moon_phase"}}, "TRIGGER_NAME_MAP: moon_phase is neither"),
        ({"TRIGGER_NAME_MAP": {"shape": "_shape"}}, "TRIGGER_NAME_MAP: _shape is neither"),
        ({"TRIGGER_NAME_MAP": {"up": "../near_low"}}, "TRIGGER_NAME_MAP: ../near_low is neither"),
    ],
)
def test_a_name_that_does_not_exist_is_refused(changed, parts, message):
    with pytest.raises(ConfigError, match=message):
        select_triggers(changed(**parts), NONE)


def test_names_resolve_to_the_canonical_one(settings):
    assert canonical_name("volatility_spike", settings) == "volatility_burst"
    assert canonical_name("near_low", settings) == "near_low"
    with pytest.raises(ConfigError, match="no trigger moon, expected one of bear_vol_spike"):
        canonical_name("moon", settings)


# ── Third parties ──


def test_a_third_partys_function_joins_with_the_default_weight(settings, foreign):
    chosen = select_triggers(settings, foreign("moon", evaluate=volatility_burst.evaluate))
    assert chosen.active["moon"] is volatility_burst.evaluate
    assert chosen.weights["moon"] == settings.STAGE1_MONITOR_PARAMS.default_trigger_weight
    assert chosen.foreign == {"moon"}


def test_a_third_partys_trigger_obeys_switch_and_weight(changed, foreign):
    moon = foreign("moon", evaluate=volatility_burst.evaluate)
    weighted = changed(STAGE1_MONITOR_PARAMS={"trigger_weights": {"moon": 0.2}})
    assert select_triggers(weighted, moon).weights["moon"] == 0.2
    off = changed(STAGE2_CONFIG={"switches": {"triggers": {"moon": False}}})
    assert "moon" not in select_triggers(off, moon).active


def test_a_broken_one_is_named_and_the_others_stay(settings, foreign):
    points = {
        "gone": EntryPoint("gone", "no_such_package_at_all:evaluate", ENTRY_POINT_GROUP),
        **foreign("number", evaluate=7),
        **foreign("near_low", evaluate=volatility_burst.evaluate),
    }
    chosen = select_triggers(settings, points)
    assert len(chosen.active) == 17
    assert chosen.active["near_low"] is near_low.evaluate
    assert "no_such_package_at_all:evaluate cannot be loaded: ModuleNotFoundError" in chosen.failures["gone"]
    assert "must be a function or a module with evaluate, was int" in chosen.failures["number"]
    assert "the name is a built-in trigger's" in chosen.failures["near_low"]


def test_what_is_installed_is_found_by_its_group(monkeypatch, foreign, settings):
    point = foreign("moon", evaluate=volatility_burst.evaluate)["moon"]
    asked = []
    monkeypatch.setattr(registry, "entry_points", lambda group: asked.append(group) or [point])
    registry.installed_triggers.cache_clear()
    try:
        assert registry.installed_triggers() == {"moon": point}
        assert canonical_name("moon", settings) == "moon"
        assert asked == ["aione.triggers"]
    finally:
        registry.installed_triggers.cache_clear()
