"""Days, and trade events as the product writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from aione.stage3.machine import Event

DAY_MS = 86_400_000


def midnight_ms(days_ago: int = 0) -> int:
    """Return the first moment of the UTC day that was so many days ago."""
    return int(datetime.now(UTC).timestamp() * 1000) // DAY_MS * DAY_MS - days_ago * DAY_MS


def trade_event(trade_id: str, number: int, ts_ms: int, kind: Event = Event.ENTRY_FILLED) -> dict:
    payload = {"price": 1.0 + number, "symbol": "BTCUSDT"}
    return {"trade_id": trade_id, "number": number, "ts_ms": ts_ms, "kind": kind.value, "payload": payload}
