"""What the tests of trades share."""

from __future__ import annotations

from aione.panel import MINUTE_MS
from aione.stage3.machine import Event
from aione.stage3.trade import TradeEvent


async def open_trade(services, symbol, bar_ms, close):
    """Open a long trade at ``close``, far from its stop and its target, eight minutes before a bar."""
    plan = {
        "symbol": symbol, "side": 1, "planned_ms": bar_ms - 9 * MINUTE_MS, "entry": close, "stop_initial": close * 0.5,
        "targets": [close * 2.0], "quantity": 1.0, "step_size": 0.001, "spread_frac": 0.0, "slippage_frac": 0.0,
        "fee_frac": 0.0, "confidence": 0.5, "scenario": "BULLISH_CONTROL", "recommendation": "BUY_IN_DIPS",
        "corr_btc": 0.0, "contributions": {}, "thresholds": {},
    }  # fmt: skip
    fill = {"price": close, "quantity": 1.0, "fee_quote": 0.0}
    trade_id, at_ms = f"{symbol}-{plan['planned_ms']}-long", bar_ms - 8 * MINUTE_MS
    events = [
        TradeEvent(trade_id, 1, at_ms, Event.PLANNED, plan),
        TradeEvent(trade_id, 2, at_ms, Event.ENTRY_FILLED, fill),
    ]
    assert await services.trades.append(events) == 2
