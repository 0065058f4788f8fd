"""What the stream did not bring is fetched, once, cheaply, and never forgotten."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.panel.bars import BAR_RECORD, VALUE_FIELDS, Finality
from aione.store.rings import MemoryRings
from aione.stream.healing import (
    FULL_CHECK_EVERY_S,
    RECENT_BARS,
    WAIT_AT_MOST_MS,
    Healer,
    HealReport,
    open_times,
    ranges_of,
)
from aione.venue.clock import ServerClock
from aione.venue.ledger import LocalLedger, Priority
from aione.venue.rest import BinanceRest
from config.settings import load_settings

MINUTE = 60_000
START_MS = 1_779_278_400_000
HISTORY = 200
SETTINGS = load_settings(environ={}).model_copy(update={"PRELOAD_1M_LOOKBACK_INIT": HISTORY})


def price(open_ms):
    return 100.0 + open_ms // MINUTE % 10


class Exchange:
    """Klines of any symbol at any minute up to ``now_ms``; remembers what it was asked."""

    def __init__(self):
        self.now_ms = START_MS
        self.asked = []
        self.lacks = set()
        self.fails = 0
        self.delisted = set()

    def __call__(self, request):
        query = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        if request.url.path == "/fapi/v1/time":
            return httpx.Response(200, json={"serverTime": self.now_ms})
        if self.fails:
            self.fails -= 1
            return httpx.Response(502, text="unavailable")
        if query["symbol"] in self.delisted:
            return httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."})
        first, last = int(query["startTime"]), int(query["endTime"])
        self.asked.append((query["symbol"], (first - START_MS) // MINUTE, (last - START_MS) // MINUTE))
        opens = [at for at in range(first, last + 1, MINUTE) if at <= self.now_ms and at not in self.lacks]
        rows = [
            [at, *[str(price(at))] * 4, "1", at + MINUTE - 1, "100", 3, "0.5", "50", "0"]
            for at in opens[: int(query["limit"])]
        ]
        return httpx.Response(200, content=orjson.dumps(rows), headers={"Content-Type": "application/json"})


class ExchangeTime(ServerClock):
    """A server clock that is always right."""

    def __init__(self, exchange):
        super().__init__(lambda: exchange.now_ms / 1000, time.monotonic)
        self._exchange = exchange

    def now_ms(self):
        return self._exchange.now_ms

    def measured(self, server_ms, **_):
        self.known_ms = server_ms

    def off_ms(self, *_, **__):
        return 0.0


@pytest.fixture
async def exchange():
    return Exchange()


@pytest.fixture
async def parts(exchange):
    """(healer, rings) with 200 bars of history for A and none for NEW."""
    rings = MemoryRings()
    await rings.write({"A": bars(range(-HISTORY, 0))})
    ledger = LocalLedger(SETTINGS.VENUE)
    async with BinanceRest("http://exchange", ledger, transport=httpx.MockTransport(exchange)) as rest:
        rest.clock = ledger.clock = ExchangeTime(exchange)
        yield Healer(rest, rings, SETTINGS), rings


def bars(minutes, finality=Finality.STREAM_CLOSED, *, wrong=False):
    rows = np.zeros(len(minutes), BAR_RECORD)
    rows["open_time_ms"] = START_MS + MINUTE * np.array(list(minutes))
    for name in ("open", "high", "low", "close"):
        rows[name] = [7.0 if wrong else price(at) for at in rows["open_time_ms"]]
    for name in VALUE_FIELDS[4:]:
        rows[name] = {"volume": 1.0, "quote_volume": 100.0, "taker_buy_volume": 0.5, "trade_count": 3}[name]
    rows["finality"] = finality
    return rows


async def missing(rings, symbol, first, last):
    ranges = (await rings.gaps([symbol], START_MS + first * MINUTE, START_MS + last * MINUTE))[symbol]
    return [((a - START_MS) // MINUTE, (b - START_MS) // MINUTE) for a, b in ranges]


def at(exchange, minute, second=5):
    exchange.now_ms = START_MS + minute * MINUTE + second * 1000
    return exchange.now_ms


async def test_a_complete_ring_costs_no_request(exchange, parts):
    healer, _ = parts
    assert await healer.heal(["A"], at(exchange, 0)) == HealReport()
    assert exchange.asked == []


async def test_the_last_bar_is_asked_for_only_when_it_must_have_closed(exchange, parts):
    healer, rings = parts
    await healer.heal(["A"], at(exchange, 1, second=3))
    assert exchange.asked == []
    report = await healer.heal(["A"], at(exchange, 1, second=5))
    assert (report.missing, report.filled) == (1, 1)
    assert exchange.asked == [("A", 0, 0)]
    assert await missing(rings, "A", -HISTORY, 0) == []


async def test_a_hole_in_the_history_is_found_when_a_symbol_is_first_seen(exchange, parts):
    healer, rings = parts
    other = np.concatenate([bars(range(-150, -80)), bars(range(-70, 0))])
    await rings.write({"B": other})
    report = await healer.heal(["A", "B"], at(exchange, 0))
    assert (report.missing, report.filled) == (10, 10)
    assert exchange.asked == [("B", -80, -71)]
    assert await missing(rings, "B", -HISTORY, -1) == [(-HISTORY, -151)], "before its first bar is the preload's"


async def test_of_an_empty_ring_only_the_recent_bars_are_fetched(exchange, parts):
    healer, rings = parts
    report = await healer.heal(["NEW"], at(exchange, 0))
    assert report.filled == RECENT_BARS
    assert await missing(rings, "NEW", -RECENT_BARS, -1) == []


async def test_an_outage_is_caught_up_whole_once_rest_answers_again(exchange, parts):
    healer, rings = parts
    await healer.heal(["A"], at(exchange, 0))
    exchange.delisted.add("A")
    for minute in range(1, 9):
        assert (await healer.heal(["A"], at(exchange, minute))).filled == 0
    exchange.delisted.clear()
    report = await healer.heal(["A"], at(exchange, 9))
    assert report.filled == 9
    assert await missing(rings, "A", -HISTORY, 8) == []


async def test_a_hole_older_than_the_recent_bars_is_found_by_the_full_check(exchange, parts):
    healer, rings = parts
    for minute in range(int(FULL_CHECK_EVERY_S // 60) + 1):
        await rings.write({"A": bars([minute])})
        await healer.heal(["A"], at(exchange, minute + 1))
    fresh = MemoryRings()
    await fresh.write({"A": bars([m for m in range(-HISTORY, 12) if m != -50])})
    healer._rings = fresh
    for minute in range(12, 12 + int(FULL_CHECK_EVERY_S // 60)):
        await fresh.write({"A": bars([minute])})
        await healer.heal(["A"], at(exchange, minute + 1))
    assert await missing(fresh, "A", -HISTORY, 20) == []
    assert ("A", -50, -50) in exchange.asked


async def test_a_bar_that_the_exchange_has_late_is_asked_for_again(exchange, parts):
    healer, rings = parts
    exchange.lacks.add(START_MS)
    assert (await healer.heal(["A"], at(exchange, 1))).filled == 0
    exchange.lacks.clear()
    assert (await healer.heal(["A"], at(exchange, 2))).filled == 2
    assert await missing(rings, "A", -HISTORY, 1) == []


async def test_while_the_market_stands_still_it_is_asked_less_and_less_often(exchange, parts):
    healer, rings = parts
    exchange.lacks.update(START_MS + MINUTE * minute for minute in range(60))
    for minute in range(1, 61):
        for second in (5, 20, 35, 50):  # connections come and go, and each calls for a check
            await healer.heal(["A"], at(exchange, minute, second))
    assert len(exchange.asked) <= 4 + 60 // (WAIT_AT_MOST_MS // MINUTE)
    exchange.lacks.clear()
    await healer.heal(["A"], at(exchange, 60 + WAIT_AT_MOST_MS // MINUTE))
    assert await missing(rings, "A", -HISTORY, 60) == []


async def test_an_old_bar_in_vain_does_not_delay_the_new_ones(exchange, parts):
    healer, rings = parts
    exchange.lacks.add(START_MS)
    for minute in range(1, 6):
        await healer.heal(["A"], at(exchange, minute))
        assert await missing(rings, "A", 0, minute - 1) == [(0, 0)]
    assert sum(first <= 0 <= last for _, first, last in exchange.asked) == 3, "after one minute, then after two"


# ── Provisional bars ──


async def test_a_provisional_bar_gets_the_exchanges_last_word(exchange, parts):
    healer, rings = parts
    await rings.write({"A": bars([0], Finality.SUCCESSOR_SEEN, wrong=True)})
    report = await healer.heal(["A"], at(exchange, 1))
    assert (report.unconfirmed, report.confirmed, report.missing, report.corrected) == (1, 1, 0, 0)
    view = await rings.view(["A"], START_MS, 1)
    assert (view.panel.close[0, 0], view.finality[0]) == (price(START_MS), Finality.REST_CONFIRMED)


async def test_a_provisional_bar_that_may_yet_be_closed_by_the_stream_is_left_in_peace(exchange, parts):
    healer, rings = parts
    await rings.write({"A": bars([0], Finality.SUCCESSOR_SEEN)})
    assert await healer.heal(["A"], at(exchange, 1, second=3)) == HealReport()
    assert exchange.asked == []


async def test_what_is_missing_and_what_is_provisional_share_the_cheapest_requests(exchange, parts):
    healer, rings = parts
    await rings.write({"A": bars([0, 2], Finality.SUCCESSOR_SEEN)})
    report = await healer.heal(["A"], at(exchange, 3))
    assert (report.missing, report.filled, report.unconfirmed, report.confirmed) == (1, 1, 2, 2)
    assert exchange.asked == [("A", 0, 2)]


async def test_while_rest_is_away_nothing_is_forgotten(exchange, parts, monkeypatch):
    healer, rings = parts
    monkeypatch.setattr("aione.venue.filling.BACKOFF_BASE_S", 0.001)
    await rings.write({"A": bars([0], Finality.SUCCESSOR_SEEN)})
    exchange.fails = 4
    report = await healer.heal(["A"], at(exchange, 1))
    assert (report.unconfirmed, report.confirmed) == (1, 0)
    assert (await healer.heal(["A"], at(exchange, 1))).confirmed == 1


async def test_provisional_bars_are_found_again_by_a_process_that_knows_nothing(exchange, parts):
    _, rings = parts
    await rings.write({"A": bars([-150], Finality.PROVISIONAL, wrong=True)})
    fresh = MemoryRings()
    history = bars(range(-HISTORY, 0))
    history[50]["finality"] = Finality.SUCCESSOR_SEEN
    await fresh.write({"A": history})
    healer = Healer(parts[0]._rest, fresh, SETTINGS)
    assert (await healer.heal(["A"], at(exchange, 0))).confirmed == 1
    assert exchange.asked == [("A", -150, -150)]


async def test_a_symbol_is_behind_while_an_old_bar_is_missing_and_no_longer(exchange, parts):
    healer, _ = parts
    exchange.lacks.add(START_MS)
    assert (await healer.heal(["A"], at(exchange, 1))).behind == ()
    assert (await healer.heal(["A"], at(exchange, 4))).behind == ("A",)
    exchange.lacks.clear()
    assert (await healer.heal(["A"], at(exchange, 6))).behind == ()


async def test_symbols_are_healed_in_the_order_given_and_before_refreshes(exchange, parts):
    healer, _ = parts
    healer._concurrency = 1
    booked = []
    reserve = healer._rest.ledger.reserve

    async def spy(weight, budget=None, *, priority):
        booked.append(priority)
        return await reserve(weight, budget, priority=priority)

    healer._rest.ledger.reserve = spy
    await healer.heal(["Z", "A", "M"], at(exchange, 1))
    assert [symbol for symbol, _, _ in exchange.asked] == ["Z", "A", "M"]
    assert booked == [Priority.HEAL] * 4, "the exchange's clock and three symbols"


# ── The parts ──


@given(
    held=st.dictionaries(st.integers(0, 29), st.sampled_from(list(Finality)), max_size=30), has_history=st.booleans()
)
def test_open_times_are_what_a_set_says(held, has_history):
    rows = bars(sorted(held))
    rows["finality"] = [held[minute] for minute in sorted(held)]
    open_ms, is_missing = open_times(rows, START_MS, START_MS + 29 * MINUTE, has_history=has_history)
    first = 0 if has_history else min(held, default=30 - RECENT_BARS)
    expected = [m for m in range(first, 30) if m not in held or not held[m].is_final]
    assert ((open_ms - START_MS) // MINUTE).tolist() == expected
    assert is_missing.tolist() == [minute not in held for minute in expected]
    assert [m for a, b in ranges_of(open_ms) for m in range(a, b + 1, MINUTE)] == open_ms.tolist()
