"""Assets are built from what the engine has, and nothing that it says is lost on the way."""

from __future__ import annotations

from types import MappingProxyType

import msgspec
import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.publish.payload import Asset, Level, asset_of, snapshot_of

WHOLE = {
    "symbol": "SOLUSDT",
    "state": "alert",
    "rank": 3,
    "is_manual": True,
    "price": 171.5,
    "price_str": "171.50",
    "quote_volume": 7.2e9,
    "volume": 4.2e7,
    "signal": "ALERT_BUY",
    "trigger_reasons": ["breakout_up", "volume_spike"],
    "stats": {"rsi": 62.0, "volume_z": None},
    "thresholds": {"volume_z": 2.5},
    "market_context": {
        "scenario": "BULLISH_BREAKOUT",
        "scenario_scores": {"BULLISH_BREAKOUT": 0.7},
        "key_levels": {
            "immediate_support": 170.0,
            "immediate_resistance": None,
            "next_major_support": 160.0,
            "next_major_resistance": None,
            "band": [170.0, 175.0],
            "band_frac": 0.03,
            "room_down_atr": 1.2,
            "room_up_atr": None,
        },
        "key_levels_meta": [
            {
                "price": 170.0,
                "kind": "pivot",
                "tier": "micro",
                "touches": 3,
                "breaks": 1,
                "age_bars": 12,
                "strength": 0.8,
            }
        ],
    },
    "recommendation": "STRONG_BUY",
    "reco_original": "STRONG_BUY",
    "reco_gate_reason": None,
    "confidence_metrics": {
        "raw": 0.7,
        "calibrated": 0.6,
        "calibration": "2026-01",
        "direction": 0.8,
        "quality": {"liquidity": 0.9},
        "factors": {"trend": 0.4, "open_interest": None},
        "risk_class": "low",
        "unknown": ["open_interest"],
    },
    "contributions": {"breakout": 0.4},
    "risk_parameters": {
        "side": "long",
        "entry": 171.5,
        "sl": 170.0,
        "tp": [173.0, 174.5, 176.0],
        "rr": 1.8,
        "rr_mean": 1.9,
        "risk_class": "low",
        "tags": [],
    },
    "anomaly_detection": {"wide_spread": False},
    "narrative": {"en": "up", "uk": "вгору"},
    "trade": {
        "trade_id": "SOLUSDT-1-long",
        "side": "long",
        "state": "open",
        "entry": 171.5,
        "sl": 170.0,
        "tp": [173.0],
        "opened_ms": 1,
        "unrealised_r": 0.5,
        "mae_r": 0.1,
        "mfe_r": 0.6,
        "quantity": 2.0,
    },
    "prefilter": {"passed": True, "reason": None, "value": None, "threshold": None},
    "quarantine": {
        "rule": "price_jump",
        "detail": "the open is too far from the close before it: 9, bound 0.1",
        "value": 9.0,
        "bound": 0.1,
        "bar_ms": 1_747_742_340_000,
        "since_ms": 1_747_742_400_000,
        "by": "suite",
    },
    "explain": {
        "stage1": {
            "scored": True,
            "evidence": 0.71,
            "side": 1,
            "alert": True,
            "announced": False,
            "silence": "cooldown",
            "alert_on": 0.6,
            "alert_off": 0.4,
            "held_bars": 3,
            "min_hold_bars": 2,
            "cooldown_until_ms": 1_747_742_400_000,
            "gated": False,
            "low_gate": {"value": 0.0011, "threshold": 0.0003, "layer": "class:major"},
            "triggers": [
                {
                    "name": "breakout_up",
                    "fired": True,
                    "counted": True,
                    "side": 1,
                    "strength": 0.8,
                    "weight": 0.7,
                    "value": 0.4,
                    "threshold": 0.1,
                    "layer": "global",
                }
            ],
            "failures": {"moon": "ImportError: no moon"},
            "context": {"rank_relative_strength": 0.9, "btc_regime": 1.0, "market_breadth": None},
        },
        "stage2": {
            "scenario": {
                "name": "BULLISH_BREAKOUT",
                "score": 0.7,
                "runner_up": "BULLISH_CONTROL",
                "runner_up_score": 0.5,
                "margin": 0.2,
                "margin_needed": 0.08,
                "floor": 0.3,
            },
            "direction": 0.8,
            "factors": [{"name": "trend", "value": 0.4, "weight": 1.0, "contribution": 0.1}],
            "qualities": {"liquidity": 0.9, "data": None},
            "table_row": {"index": 6, "word": "strong", "conditions": "drive, confident"},
            "gates": [{"name": "insufficient_rr", "passed": True, "value": 1.8, "threshold": 1.5}],
            "unknown": ["open_interest"],
            "anomalies": ["volume_spike"],
        },
    },
    "ages": {"bar_ms": 1800.0, "book_ms": 250.0, "mark_ms": 900.0, "depth_ms": None, "open_interest_ms": 60000.0},
    "status": "done",
    "data_age_ms": 1800,
    "bar_finality": "final",
    "bar_source": "stream",
    "last_updated": 7,
}


def test_an_asset_keeps_every_field_in_the_documented_order() -> None:
    kept = msgspec.to_builtins(asset_of(WHOLE))
    assert kept == WHOLE
    assert list(kept) == list(WHOLE)
    assert list(kept["market_context"]["key_levels_meta"][0]) == [
        "price",
        "kind",
        "tier",
        "touches",
        "breaks",
        "age_bars",
        "strength",
    ]


def test_unknown_numbers_become_null_whatever_their_type() -> None:
    stats = {"a": np.float64("nan"), "b": np.float32(1.5), "c": float("inf"), "d": np.int64(3), "e": -np.inf}
    asset = asset_of({"symbol": "X", "state": "normal", "stats": stats, "price": np.float64("nan")})
    assert asset.stats == {"a": None, "b": 1.5, "c": None, "d": 3.0, "e": None}
    assert asset.price is None


def test_read_only_mappings_sets_and_structs_are_taken() -> None:
    asset = asset_of(
        MappingProxyType(
            {
                "symbol": "X",
                "state": "alert",
                "trigger_reasons": frozenset({"b", "a"}),
                "market_context": {"scenario": "UNCERTAIN", "key_levels_meta": [Level(price=1.0, kind="poc")]},
            }
        )
    )
    assert asset.trigger_reasons == ["a", "b"]
    assert asset.market_context is not None
    assert asset.market_context.key_levels_meta == [Level(price=1.0, kind="poc")]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"state": "sleeping"}, "sleeping"),
        ({"price": "171"}, "price"),
        ({"signal": "BUY"}, "signal"),
        ({"symbol": None}, "symbol"),
        ({"colour": "red"}, "colour"),
        ({"market_context": {"scenario": "UNCERTAIN", "mood": 1}}, "market_context.mood"),
        ({"market_context": {"scenario": "SIDEWAYS"}}, "scenario"),
        ({"explain": {"stage1": {"scored": True, "mood": 1}}}, "explain.stage1.mood"),
        ({"explain": {"stage2": {"gates": [{"name": "a"}, {"name": "b", "mood": 1}]}}}, "explain.stage2.gates.1.mood"),
        ({"risk_parameters": {"side": "long", "entry": 1.0, "sl": 1.0, "tp": []}}, "rr"),
        (
            {"market_context": {"scenario": "UNCERTAIN", "key_levels_meta": [{"price": float("nan"), "kind": "x"}]}},
            "price",
        ),
        ({"stats": {"rsi": object()}}, "object"),
    ],
)
def test_what_has_no_place_in_the_payload_is_refused_by_name(change, names) -> None:
    with pytest.raises(InvalidInput, match=names):
        asset_of(WHOLE | change)


def test_a_reader_ignores_fields_of_a_newer_minor_version() -> None:
    content = {
        "type": "snapshot",
        "meta": {
            "schema_version": "1.7.0",
            "epoch": "e",
            "seq": 1,
            "ts": 1,
            "source": "s",
            "stale": False,
            "bar_time_ms": 0,
            "mood": "new",
        },
        "counters": {"universe": 1, "moons": 2},
        "assets": [{"symbol": "X", "state": "normal", "halo": [1]}],
    }
    assert snapshot_of(content).assets == [Asset(symbol="X", state="normal")]


def test_a_snapshot_that_breaks_the_schema_is_refused() -> None:
    with pytest.raises(InvalidInput, match="meta"):
        snapshot_of({"type": "snapshot", "counters": {}, "assets": []})
