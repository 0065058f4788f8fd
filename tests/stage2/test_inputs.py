"""The declared inputs are the inputs: each is taken away in turn, and what then changes is compared."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest

from aione.stage2.confidence import QUALITIES, quality
from aione.stage2.context import market_context
from aione.stage2.factors import FACTORS, directional_factors
from aione.stage2.inputs import FACTOR_INPUTS, MANIPULATION_INPUTS, QUALITY_INPUTS
from aione.stage2.run import _levels
from aione.stage2.scenarios import manipulation
from config.models import RecoThresholds

from .conftest import daily_panel, inputs, random_panel

SIZE = 6
TAKEN = (float("nan"), 1e6, 7.77e-5)
"""Put in an input's place, each in turn, for a part may not care for one of them."""


@pytest.fixture(scope="module")
def scene(settings):
    """Readings, market and levels in which every part speaks: outside of the range, spread wide, volume heavy."""
    panel, daily = random_panel(2), daily_panel(2)
    _, _, readings, market, _ = inputs(settings, panel, daily, spread_frac=np.full(SIZE, 9e-4))
    levels = _levels(panel, daily, readings, settings)
    values = dict(readings.values) | {
        "range_high_20": readings["close"] - readings["atr"] * 0.1,
        "range_high_60": readings["close"] - readings["atr"] * 0.05,
        "vwap_z": np.full(SIZE, 1.9),
        "efficiency_ratio": np.full(SIZE, 0.11),
        "volume_z": np.full(SIZE, 4.0),
        "relative_volume": np.full(SIZE, 1.1),
        "true_range": readings["atr_prev"] * 0.7,
        "upper_wick_frac": np.full(SIZE, 0.40),
        "lower_wick_frac": np.full(SIZE, 0.25),
        "high": readings["low"] + 5.0 * readings["atr_prev"],
        "atr_percentile": np.full(SIZE, 0.2),
        "bars_age": np.zeros(SIZE),
        "return_60": readings["atr_frac"] * 3.0,
        "adx": np.full(SIZE, 15.0),
    }
    market = replace(market, open_interest_change_frac=np.full(SIZE, 0.01), depth_bid_quote=np.full(SIZE, 1.9e5))
    wide = {"market_breadth": 0.6, "btc_regime": 1.0}
    return replace(readings, values=values, market={**readings.market, **wide}), market, levels


def said(readings, market, levels):
    """Every factor, quality and the manipulation score, by name."""
    context = market_context(levels, readings["close"], readings["atr"])
    factors = directional_factors(readings, market, context)
    qualities = quality(readings, market, levels, np.ones(SIZE), RecoThresholds())
    parts = dict(zip(FACTORS, factors, strict=True)) | {"manipulation": manipulation(readings, market)}
    return parts | {f"quality {name}": column for name, column in zip(QUALITIES, qualities, strict=True)}


def without(scene, source, value):
    """The scene in which one input is another."""
    readings, market, levels = scene
    kind, name = source.split(".", 1)
    column = np.full(SIZE, value)
    if kind == "readings":
        readings = replace(readings, values={**readings.values, name: column})
    elif kind == "universe":
        readings = replace(readings, market={**readings.market, name: value})
    elif kind == "market":
        market = replace(market, **{name: column})
    else:
        levels = replace(levels, **{name: column})
    return readings, market, levels


def sources(scene):
    """Everything that could be an input."""
    readings, market, levels = scene
    found = [f"readings.{name}" for name in readings.values] + [f"universe.{name}" for name in readings.market]
    found += [f"market.{field.name}" for field in fields(market) if field.name != "symbols"]
    return found + [f"levels.{field.name}" for field in fields(levels) if getattr(levels, field.name).ndim == 1]


def test_every_part_depends_on_its_declared_inputs_and_on_no_other(scene):
    declared = {**FACTOR_INPUTS, **{f"quality {name}": names for name, names in QUALITY_INPUTS.items()}}
    declared["manipulation"] = MANIPULATION_INPUTS
    whole = said(*scene)
    found = {name: set() for name in declared}
    for source, value in product(sources(scene), TAKEN):
        for name, column in said(*without(scene, source, value)).items():
            if not np.array_equal(column, whole[name], equal_nan=True):
                found[name].add(source)
    assert found == {name: set(names) for name, names in declared.items()}


def test_every_declared_input_exists(scene):
    names = {name for group in (FACTOR_INPUTS, QUALITY_INPUTS) for one in group.values() for name in one}
    assert names | set(MANIPULATION_INPUTS) <= set(sources(scene))
    assert tuple(FACTOR_INPUTS) == FACTORS
    assert tuple(QUALITY_INPUTS) == QUALITIES
