"""From columns to what is published: one `Asset` a symbol of the universe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from aione.panel import MINUTE_MS, Finality
from aione.panel.bars import Source
from aione.prices import format_price, get_tick_size
from aione.publish.payload import Asset, asset_of
from aione.screening.analyse import Found, Scored
from aione.screening.load import Loaded
from aione.stage3.trade import Trade
from config.models import MetricResults
from config.settings import Settings

STATS: Final = (
    "rsi",
    "adx",
    "atr",
    "atr_frac",
    "atr_percentile",
    "volume_z",
    "relative_volume",
    "vwap",
    "vwap_dev_frac",
    "vwap_z",
    "realized_vol",
    "vol_ratio",
    "band_frac_20",
    "band_position_20",
    "taker_imbalance",
    "taker_imbalance_z",
    "slope_t",
    "efficiency_ratio",
    "htf_alignment",
    "beta_btc",
    "corr_btc",
    "return_15",
    "return_60",
    "relative_strength",
    "relative_strength_rank",
)
"""The readings that are published with every screened asset, by their names."""


SOURCES: Final = {Source.REST.value: "rest", Source.STREAM.value: "stream", Source.RECORDED.value: "recorded"}


def build_assets(
    loaded: Loaded, found: Found, scored: Scored, trades: Mapping[str, Trade], settings: Settings
) -> list[Asset]:
    """Return an asset for every symbol of the universe: analysed where screened, else with the reason why not."""
    metrics = {row.symbol: row for row in loaded.prefilter.metrics}
    rows = {symbol: row for row, symbol in enumerate(loaded.panel.symbols)}
    assets = []
    for symbol in loaded.infos:
        verdict = metrics.get(symbol) or MetricResults(symbol=symbol, reason="unknown")
        parts = _outside(symbol, verdict, settings)
        if symbol in rows:
            parts |= _analysed(rows[symbol], symbol, loaded, found, scored, settings)
        if symbol in trades:
            parts["trade"] = _trade_view(trades[symbol], parts.get("price"))
        assets.append(asset_of(parts))
    return assets


def _outside(symbol: str, verdict: MetricResults, settings: Settings) -> dict[str, Any]:
    """Return what is known of a symbol without its bars."""
    return {
        "symbol": symbol,
        "state": settings.ASSET_STATE["NO_TRADE"],
        "rank": verdict.rank,
        "is_manual": verdict.is_manual,
        "quote_volume": verdict.quote_volume_24h,
        "prefilter": {
            "passed": verdict.passed,
            "reason": verdict.reason,
            "value": verdict.value,
            "threshold": verdict.threshold,
        },
    }


def _analysed(
    row: int, symbol: str, loaded: Loaded, found: Found, scored: Scored, settings: Settings
) -> dict[str, Any]:
    readings, stage1, stage2 = found.readings, found.stage1, scored.stage2
    close = _number(readings["close"][row])
    tick_size = get_tick_size(symbol, close or 0.0, settings, loaded.infos[symbol].tick_size)
    age_bars = readings["bars_age"][row]
    stats = {name: _number(readings[name][row]) for name in STATS}
    stats["change_24h_frac"] = _change_24h(loaded, row)
    stats["evidence"] = _number(stage1.evidence[row])
    stats["spread_frac"] = _number(loaded.market.spread_frac[row])
    stats["funding_rate"] = _number(loaded.market.funding_rate[row])
    stats["open_interest_quote"] = _number(loaded.market.open_interest_quote[row])
    parts: dict[str, Any] = {
        "state": settings.ASSET_STATE[_state(row, symbol, loaded, found)],
        "price": close,
        "price_str": format_price(close, tick_size),
        "volume": _sum_24h(loaded, row),
        "trigger_reasons": stage1.reasons(row),
        "stats": stats,
        "thresholds": {name: _number(stage1.thresholds[name][row]) for name in stage1.thresholds},
        "bar_finality": _finality(row, loaded),
        "bar_source": SOURCES.get(int(loaded.source[row])),
        "data_age_ms": None
        if np.isnan(age_bars)
        else int(loaded.now_ms - (loaded.bar_time_ms + MINUTE_MS) + age_bars * MINUTE_MS),
    }
    if stage1.scored[row]:
        parts |= {"signal": stage2.signal(row), **stage2.view(row, tick_size)}
    return parts


def _state(row: int, symbol: str, loaded: Loaded, found: Found) -> str:
    """Return the key of ``ASSET_STATE``: data first, then the alert."""
    if not loaded.panel.valid[row].any():
        return "NO_DATA"
    if symbol in loaded.missing:
        return "NO_DATA"
    if not found.stage1.scored[row]:
        return "SYNCING"
    return "ALERT" if found.stage1.alert[row] else "NORMAL"


def _finality(row: int, loaded: Loaded) -> str:
    if not loaded.panel.valid[row, -1]:
        return "missing"
    return "final" if loaded.finality[row] >= Finality.STREAM_CLOSED else "provisional"


def _trade_view(trade: Trade, price: float | None) -> dict[str, Any]:
    risk = abs(trade.entry - trade.stop_initial)
    entry = trade.entry if trade.entry_fill is None else trade.entry_fill
    return {
        "trade_id": trade.trade_id,
        "side": "long" if trade.side > 0 else "short",
        "state": trade.state.value,
        "entry": entry,
        "sl": trade.stop,
        "tp": list(trade.targets),
        "opened_ms": trade.opened_ms or trade.planned_ms,
        "unrealised_r": None if price is None else trade.side * (price - entry) / risk,
        "mae_r": trade.mae_r,
        "mfe_r": trade.mfe_r,
        "quantity": trade.quantity_open,
    }


def _change_24h(loaded: Loaded, row: int) -> float | None:
    close = loaded.panel.close[row]
    day = 1440
    if close.size <= day:
        return None
    return _number(close[-1] / close[-1 - day] - 1.0)


def _sum_24h(loaded: Loaded, row: int) -> float | None:
    """Return the base volume of the last 24 h; unknown while a bar of them is."""
    volume = loaded.panel.volume[row, -1440:]
    return _number(volume.sum()) if volume.size == 1440 else None


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


__all__ = ["STATS", "build_assets"]
