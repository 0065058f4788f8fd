"""Nonsense made of real events: each kind is one that the product refuses, and none is what was sent."""

import orjson
import pytest

from aione.sim.faults import Faults, Partial, Strange
from aione.sim.strange import OTHER, strange

KLINE = orjson.dumps({
    "e": "kline", "E": 1_790_000_030_000, "s": "BTCUSDT",
    "k": {"t": 1_790_000_000_000, "s": "BTCUSDT", "i": "1m", "o": "1.0", "h": "2", "l": "0.5", "c": "1", "x": False},
})  # fmt: skip


def test_each_kind_of_nonsense_differs_from_the_event_and_they_come_round():
    kinds = [strange(KLINE, number) for number in range(10)]
    assert len(set(kinds)) == 10
    assert KLINE not in kinds
    assert [strange(KLINE, number + 10) for number in range(10)] == kinds


def test_one_of_them_is_another_symbols_closed_bar():
    events = [orjson.loads(kind) for kind in (strange(KLINE, number) for number in range(10)) if kind.endswith(b"}}")]
    assert [event["k"]["x"] for event in events if event["s"] == event["k"]["s"] == OTHER] == [True]


@pytest.mark.parametrize("payload", [b'[{"e":"markPriceUpdate","E":5}]', b'{"e":"depthUpdate"}'])
def test_other_events_and_lists_of_them_can_be_made_nonsense_too(payload):
    assert all(isinstance(strange(payload, number), bytes) for number in range(8))


def test_nonsense_goes_before_matching_messages_alone_and_is_counted():
    faults = Faults()
    faults.add(Strange(stream="btc*", count=2))
    asked = ("ethusdt@kline_1m", "btcusdt@kline_1m", "btcusdt@kline_1m", "btcusdt@kline_1m")
    assert [faults.strangeness(stream) for stream in asked] == [None, 0, 1, None]


async def test_a_partial_answer_is_whole_json_of_the_first_rows(rest, sim, fault):
    query = {"symbol": "BTCUSDT", "interval": "1m", "limit": 10}
    whole = (await rest.get("/fapi/v1/klines", params=query)).json()
    await fault(sim, "partial", path="/fapi/v1/klines", keep_frac=0.5, count=1)
    assert (await rest.get("/fapi/v1/klines", params=query)).json() == whole[:5]
    await fault(sim, "partial", path="/fapi/v1/klines", count=1)
    assert (await rest.get("/fapi/v1/klines", params=query)).json() == []
    assert Partial().keep_frac == 0.0
