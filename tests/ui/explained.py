"""Assets in every state that an explanation must tell apart, as the payload has them."""

from __future__ import annotations

from aione.publish.payload import SCHEMA_VERSION, Asset, Meta, asset_of

BAR_MS = 1_747_742_400_000
META = Meta(
    schema_version=SCHEMA_VERSION, epoch="e", seq=7, ts=BAR_MS + 62_000, source="screening", stale=False,
    bar_time_ms=BAR_MS,
)  # fmt: skip


def trigger(name: str, value: float | None, threshold: float, **more):
    quiet = {"fired": False, "counted": False, "side": 0, "strength": 0.0, "weight": 0.5, "layer": "global"}
    return {"name": name, "value": value, "threshold": threshold, **quiet, **more}


FIRED = {"fired": True, "counted": True, "strength": 0.8}


def stage1(**more):
    known = {
        "scored": True, "evidence": 0.71, "side": 1, "alert": True, "announced": False, "silence": "ongoing",
        "alert_on": 0.6, "alert_off": 0.4, "held_bars": 4, "min_hold_bars": 2, "cooldown_until_ms": BAR_MS + 900_000,
        "gated": False, "low_gate": {"value": 0.0012, "threshold": 0.0003, "layer": "class:major"},
        "triggers": [
            trigger("rsi_oversold", 41.5, 30.0),
            trigger("vwap_deviation", -1.9, 2.0),
            trigger("volume_spike", 3.25, 2.75, layer="rules"),
            trigger("breakout_up", 0.4, 0.1, side=1, **FIRED),
            trigger("liquidity_gap", None, 3.0),
        ],
        "failures": {"moon": "ImportError: no moon"},
        "context": {"rank_relative_strength": 0.875, "market_breadth": None},
    }  # fmt: skip
    return known | more


STAGE2 = {
    "scenario": {
        "name": "BULLISH_BREAKOUT", "score": 0.72, "runner_up": "BULLISH_CONTROL", "runner_up_score": 0.51,
        "margin": 0.21, "margin_needed": 0.08, "floor": 0.3,
    },
    "direction": 0.32,
    "factors": [
        {"name": "location", "value": -0.4, "weight": 0.2, "contribution": -0.08},
        {"name": "breakout", "value": 0.8, "weight": 2.0, "contribution": 0.4},
        {"name": "open_interest", "value": None, "weight": 0.5, "contribution": None},
    ],
    "qualities": {"liquidity": 0.9, "volatility": 0.8, "levels": None, "data": 1.0},
    "table_row": {"index": 7, "word": "enter", "conditions": "drive, direction >= 0.2"},
    "gates": [
        {"name": "stale_data", "passed": True, "value": 0.0, "threshold": 0.0},
        {"name": "insufficient_rr", "passed": False, "value": 0.66, "threshold": 1.5},
        {"name": "low_confidence", "passed": True, "value": 0.41, "threshold": 0.35},
    ],
    "unknown": ["open_interest"],
    "anomalies": ["volume_spike"],
}  # fmt: skip


def analysed(**more) -> Asset:
    """An alerted symbol whose entry a gate holds back."""
    why1, why2 = more.pop("stage1", stage1()), more.pop("stage2", STAGE2)
    parts = {
        "symbol": "AUSDT", "state": "alert", "rank": 3, "price": 100.0, "price_str": "100.00",
        "trigger_reasons": ["breakout_up"], "stats": {"atr": 0.5, "atr_frac": 0.005},
        "market_context": {
            "scenario": "BULLISH_BREAKOUT",
            "key_levels": {"immediate_support": 99.0, "immediate_resistance": 101.5},
            "key_levels_meta": [
                {"price": 99.0, "kind": "hour_pivot_low", "tier": "meso", "touches": 3, "breaks": 1, "age_bars": 130,
                 "strength": 0.62},
                {"price": 101.5, "kind": "prev_day_high", "tier": "macro", "touches": 2, "breaks": 0, "age_bars": 0,
                 "strength": 0.7},
            ],
        },
        "recommendation": "WAIT_FOR_CONFIRMATION", "reco_original": "BUY_IN_DIPS",
        "reco_gate_reason": "insufficient_rr",
        "confidence_metrics": {"raw": 0.41, "quality": {"overall": 0.85}, "risk_class": "medium"},
        "risk_parameters": {
            "side": "long", "entry": 100.0, "sl": 99.0, "tp": [100.5, 102.0], "rr": 0.66, "risk_class": "medium",
        },
        "narrative": {"en": "AUSDT: a breakout upwards.", "uk": "AUSDT: пробій угору."},
        "explain": {"stage1": why1, "stage2": why2},
        "ages": {"bar_ms": 2000.0, "book_ms": 250.0, "mark_ms": None, "depth_ms": 900.0, "open_interest_ms": 240000.0},
        "bar_finality": "final", "bar_source": "stream", "status": "done",
    }  # fmt: skip
    return asset_of(parts | more)


def quiet(**more) -> Asset:
    """A symbol that nothing happens to."""
    calm = {"state": "normal", "trigger_reasons": [], "reco_gate_reason": None, "recommendation": "HOLD"}
    why = stage1(alert=False, evidence=0.12, held_bars=0, silence=None, cooldown_until_ms=None)
    why["triggers"] = [one for one in why["triggers"] if not one["fired"]]
    return analysed(stage1=why, reco_original="HOLD", risk_parameters=None, **calm, **more)


def dropped(reason: str, value, threshold) -> Asset:
    verdict = {"passed": False, "reason": reason, "value": value, "threshold": threshold}
    return asset_of({"symbol": "BUSDT", "state": "no_trade", "prefilter": verdict})
