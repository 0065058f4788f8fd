"""The questions that are asked most, answered by doing it to the constants of a running program."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aione.indicators.readings import compute_readings
from aione.panel import MINUTE_MS, BarPanel, MarketSnapshot
from aione.stage1 import registry, run_stage1, triggers
from aione.stage2.result import STATUSES
from aione.stage2.run import run_stage2
from config.config import STAGE1_MONITOR_PARAMS, STAGE2_CONFIG, TRIGGER_NAME_MAP
from config.settings import SettingsError, load_settings

PAGE = Path(__file__).parents[2] / "docs" / "stage1.md"
SYMBOLS = ("BTCUSDT", "WIFUSDT", "AUSDT")
BARS = 600


@pytest.fixture(scope="module")
def panel():
    """Quiet bars; A's last one has several times the usual volume."""
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, (3, BARS)), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    volume = rng.lognormal(3.0, 0.2, close.shape)
    volume[2, -1] = volume[2].mean() + 5.0 * volume[2].std()
    return BarPanel(
        SYMBOLS,
        1_750_000_020_000 + MINUTE_MS * np.arange(BARS, dtype=np.int64),
        open=opened,
        high=np.maximum(opened, close) * 1.0005,
        low=np.minimum(opened, close) * 0.9995,
        close=close,
        volume=volume,
        quote_volume=volume * close,
        taker_buy_volume=volume / 2.0,
        trade_count=volume,
        valid=np.ones(close.shape, dtype=np.bool_),
    )


def now(panel):
    """Everything that a cycle which starts now would say."""
    settings = load_settings(environ={})
    readings = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators)
    market = MarketSnapshot.of(panel.symbols)
    stage1 = run_stage1(readings, market, settings, {})
    return stage1, run_stage2(panel, None, readings, market, stage1, settings)


# ── How do I change the threshold of the volume spike? ──


@pytest.mark.parametrize(
    ("constant", "layer"),
    [(STAGE1_MONITOR_PARAMS["thresholds"], "global"), (STAGE2_CONFIG["trigger_thresholds"], "stage2_config")],
    ids=["STAGE1_MONITOR_PARAMS", "STAGE2_CONFIG"],
)
def test_the_threshold_of_the_volume_spike_is_one_line_in_either_constant(panel, monkeypatch, constant, layer):
    before, _ = now(panel)
    score = before.triggers["volume_spike"].value[2]
    assert "volume_spike" in before.reasons(2)
    monkeypatch.setitem(constant, "volume_z", float(score) + 0.1)
    after, _ = now(panel)
    assert "volume_spike" not in after.reasons(2)
    spike = next(one for one in after.explain(2)["triggers"] if one["name"] == "volume_spike")
    assert (spike["value"], spike["threshold"], spike["layer"]) == (score, score + 0.1, layer)


def test_stage2_config_is_laid_on_the_global_value_and_below_class_and_symbol(panel, monkeypatch):
    monkeypatch.setitem(STAGE1_MONITOR_PARAMS["thresholds"], "volume_z", 4.0)
    monkeypatch.setitem(STAGE2_CONFIG["trigger_thresholds"], "volume_z", 6.0)
    monkeypatch.setitem(STAGE1_MONITOR_PARAMS["symbol_thresholds"], "BTCUSDT", {"volume_z": 7.0})
    monkeypatch.setitem(STAGE1_MONITOR_PARAMS, "market_state_thresholds", {})
    thresholds = now(panel)[0].thresholds
    assert thresholds["volume_z"].tolist() == [7.0, 3.0, 6.0]
    assert [thresholds.layer("volume_z", row) for row in range(3)] == ["symbol", "class:meme", "stage2_config"]


def test_a_threshold_that_there_is_not_is_named_with_its_place(monkeypatch):
    monkeypatch.setitem(STAGE2_CONFIG["trigger_thresholds"], "volume_spike", 3.0)
    with pytest.raises(
        SettingsError, match=r"^config/config\.py: STAGE2_CONFIG\.trigger_thresholds\.volume_spike.*vwap_z"
    ):
        load_settings(environ={})


# ── How do I turn the analyst off? ──


def test_qde_is_off_from_the_next_cycle_on(panel, monkeypatch):
    stage1, stage2 = now(panel)
    off_status = STATUSES.index("OFF")
    assert not (stage2.status == off_status).any()
    monkeypatch.setitem(STAGE2_CONFIG["switches"], "use_qde", False)
    without, off = now(panel)
    assert not off.is_signal.any()
    assert (off.status == off_status).all()
    np.testing.assert_array_equal(stage1.evidence, without.evidence)


# ── How do I add a trigger? ──


@pytest.fixture
def new_trigger(tmp_path, monkeypatch):
    """The file that the page shows, in the folder of the triggers; its name is in no map yet."""
    text = PAGE.read_text(encoding="utf-8")
    source = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def evaluate" in block)
    (tmp_path / "squeeze.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(triggers, "__path__", [*triggers.__path__, str(tmp_path)])
    for known in (registry._is_builtin, registry._builtin):
        known.cache_clear()
    yield "squeeze"
    for known in (registry._is_builtin, registry._builtin):
        known.cache_clear()


def squeezed(panel):
    """A's last 20 bars hardly move."""
    close = panel.close.copy()
    close[2, -21:] = close[2, -22]
    flat = {name: close.copy() for name in ("open", "close")}
    return replace(panel, **flat, high=close + 0.3, low=close - 0.3)


def test_one_file_one_name_one_switch_add_a_trigger(panel, monkeypatch, new_trigger):
    assert new_trigger not in now(panel)[0].triggers
    monkeypatch.setitem(TRIGGER_NAME_MAP, new_trigger, new_trigger)
    monkeypatch.setitem(STAGE2_CONFIG["switches"]["triggers"], new_trigger, True)
    found, _ = now(squeezed(panel))
    assert new_trigger in found.reasons(2)
    told = next(one for one in found.explain(2)["triggers"] if one["name"] == new_trigger)
    assert told["fired"]
    assert told["counted"]
    assert told["weight"] == load_settings(environ={}).STAGE1_MONITOR_PARAMS.default_trigger_weight
    monkeypatch.setitem(STAGE2_CONFIG["switches"]["triggers"], new_trigger, False)
    assert new_trigger not in now(squeezed(panel))[0].triggers
