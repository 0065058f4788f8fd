"""Trade events, audit events and cycles as the product writes them, at moments of one's choice."""

from __future__ import annotations

import orjson
import pytest

from aione.audit.record import AuditEvent
from aione.store import keys
from tests.housekeeping.entries import trade_event


@pytest.fixture
def add(redis):
    """Functions that append an entry to a stream as if it were of a given moment."""

    class Add:
        async def trade(self, trade_id, number, at_ms, *, is_open=False):
            event = orjson.dumps(trade_event(trade_id, number, at_ms))
            place = await redis.xadd(keys.trade_events(), {"event": event}, id=f"{at_ms}-*")
            await redis.hset(keys.trade_numbers(), trade_id, f"{number}:x")
            if is_open:
                await redis.hset(
                    keys.open_trades(), "BTCUSDT", orjson.dumps({"trade_id": trade_id, "symbol": "BTCUSDT"})
                )
            return place.decode()

        async def audit(self, number, at_ms):
            event = AuditEvent(f"a-{number}", at_ms, "qde", "decision", "BTCUSDT", "1m", ("new",), {"rr": number})
            return (await redis.xadd(keys.audit_events(), {"e": event.to_json()}, id=f"{at_ms}-*")).decode()

        async def cycle(self, bar_ms, at_ms):
            fields = {"bar_time_ms": bar_ms, "cycle": orjson.dumps({"seq": 1})}
            return (await redis.xadd(keys.cycles(), fields, id=f"{at_ms}-*")).decode()

    return Add()
