"""Trades to test with: a long from 100 with its stop at 98 and targets at 102, 104, 106, free of costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aione.stage3.machine import Event
from aione.stage3.manage import Leader, TradeBar
from aione.stage3.trade import Trade, TradeEvent
from config.models import Stage3Params

T0 = 1_747_742_400_000
MINUTE = 60_000


def plan_events(symbol: str = "XUSDT", side: int = 1, planned_ms: int = T0, **over) -> list[TradeEvent]:
    trade_id = f"{symbol}-{planned_ms}-{'long' if side > 0 else 'short'}"
    plan = {
        "symbol": symbol,
        "side": side,
        "planned_ms": planned_ms,
        "entry": 100.0,
        "stop_initial": 100.0 - 2.0 * side,
        "targets": [100.0 + 2.0 * k * side for k in (1, 2, 3)],
        "quantity": 3.0,
        "step_size": 0.1,
        "spread_frac": 0.0,
        "slippage_frac": 0.0,
        "fee_frac": 0.0,
        "confidence": 0.5,
        "scenario": "BULLISH_CONTROL",
        "recommendation": "BUY_IN_DIPS",
        "corr_btc": 0.9,
        "contributions": {"trend": 0.4, "flow": None},
        "thresholds": {"volume_z": 2.5},
    } | over
    fill = {"price": plan["entry"], "quantity": plan["quantity"], "fee_quote": 0.0}
    return [
        TradeEvent(trade_id, 1, planned_ms + MINUTE, Event.PLANNED, plan),
        TradeEvent(trade_id, 2, planned_ms + MINUTE, Event.ENTRY_FILLED, fill),
    ]


def open_trade(**over) -> Trade:
    planned, filled = plan_events(**over)
    return Trade.planned(planned).applied(filled)


@pytest.fixture
def lead() -> Callable[..., Leader]:
    """Lead a trade through bars given as (open, high, low, close), minute after minute from its entry."""

    def through(trade: Trade, *bars, atr: float = float("nan"), **params) -> Leader:
        leader = Leader(trade, Stage3Params(**params), 0.01, [])
        first = trade.managed_ms + MINUTE
        leader.lead([TradeBar(first + at * MINUTE, *bar, atr) for at, bar in enumerate(bars)])
        return leader

    return through
