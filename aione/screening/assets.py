"""From columns to what is published: one `Asset` a symbol of the universe."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from aione.prices import format_price, get_tick_size
from aione.publish.payload import Asset, asset_of
from aione.quality import Quarantined
from aione.screening.analyse import Found, Scored
from aione.screening.columns import AGES, SOURCES, Columns, rounded_why
from aione.screening.load import Loaded
from aione.stage3.trade import Trade
from config.models import MetricResults
from config.settings import Settings


def build_assets(
    loaded: Loaded, found: Found, scored: Scored, trades: Mapping[str, Trade], settings: Settings
) -> list[Asset]:
    """Return an asset for every symbol of the universe: analysed where screened, else with the reason why not."""
    metrics = {row.symbol: row for row in loaded.prefilter.metrics}
    rows = {symbol: row for row, symbol in enumerate(loaded.panel.symbols)}
    columns = Columns.of(loaded, found)
    assets = []
    for symbol in loaded.infos:
        verdict = metrics.get(symbol) or MetricResults(symbol=symbol, reason="unknown")
        parts = _outside(symbol, verdict, settings)
        if symbol in rows:
            parts |= _analysed(rows[symbol], symbol, columns, loaded, found, scored, settings)
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
    row: int, symbol: str, columns: Columns, loaded: Loaded, found: Found, scored: Scored, settings: Settings
) -> dict[str, Any]:
    stage1, stage2 = found.stage1, scored.stage2
    close = columns.close[row] if isfinite(columns.close[row]) else None
    tick_size = get_tick_size(symbol, close or 0.0, settings, loaded.infos[symbol].tick_size)
    ages = dict(zip(AGES, columns.ages[row], strict=True))
    is_scored, has_bar = columns.scored[row], columns.has_bar[row]
    parts: dict[str, Any] = {
        "state": settings.ASSET_STATE[_state(row, symbol, columns, loaded)],
        "price": close,
        "price_str": format_price(close, tick_size),
        "volume": columns.volume_24h[row],
        "trigger_reasons": stage1.reasons(row),
        "stats": dict(zip(columns.stat_names, columns.stats[row], strict=True)),
        "thresholds": dict(zip(columns.threshold_names, columns.thresholds[row], strict=True)),
        "explain": {
            "stage1": rounded_why(stage1.explain(row)),
            "stage2": (stage2.explain(row) or None) if is_scored else None,
        },
        "ages": ages,
        "bar_finality": ("final" if columns.is_final[row] else "provisional") if has_bar else "missing",
        "bar_source": SOURCES.get(columns.source[row]),
        "data_age_ms": int(ages["bar_ms"]) if isfinite(ages["bar_ms"]) else None,
    }
    if symbol in loaded.quarantine:
        parts["quarantine"] = _quarantine_view(loaded.quarantine[symbol])
    if is_scored:
        parts |= {"signal": stage2.signal(row), **stage2.view(row, tick_size)}
    return parts


def _state(row: int, symbol: str, columns: Columns, loaded: Loaded) -> str:
    """Return the key of ``ASSET_STATE``: data first, whether it is to be trusted next, then the alert."""
    if symbol in loaded.missing or not columns.has_any_bar[row]:
        return "NO_DATA"
    if symbol in loaded.quarantine:
        return "ERROR"
    if not columns.scored[row]:
        return "SYNCING"
    return "ALERT" if columns.alert[row] else "NORMAL"


def _quarantine_view(entry: Quarantined) -> dict[str, Any]:
    names = ("rule", "value", "bound", "bar_ms", "since_ms", "by")
    return {"detail": entry.detail, **{name: getattr(entry, name) for name in names}}


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


__all__ = ["build_assets"]
