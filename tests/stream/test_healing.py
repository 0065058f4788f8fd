"""What the stream did not bring is fetched, once, cheaply, and never forgotten."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import httpx
import numpy as np
import orjson
import pytest

from aione.errors import VenueUnavailable
from aione.panel.bars import BAR_RECORD, Finality
from aione.store.rings import MemoryRings
from aione.stream.bars import BarFeed
from aione.stream.healing import FULL_CHECK_EVERY_S, RECENT_BARS, Healer, HealReport, without_leading
from aione.venue.ledger import LocalLedger
from aione.venue.rest import BinanceRest
from aione.venue.stream_wire import Kline
from config.settings import load_settings

MINUTE = 60_000
START_MS = 1_779_278_400_000
HISTORY = 200


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
            return httpx.Response(503, text="unavailable")
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


class ExchangeTime:
    """A server clock that is always right."""

    monotonic_s = staticmethod(time.monotonic)

    def __init__(self, exchange):
        self._exchange = exchange

    def now_ms(self):
        return self._exchange.now_ms

    @property
    def known_ms(self):
        return self._exchange.now_ms

    def measured(self, *_args, **_kwargs):
        """Nothing to learn."""


@pytest.fixture
async def exchange():
    return Exchange()


@pytest.fixture
async def parts(exchange):
    """(healer, rings, feed) with 200 bars of history for A and none for NEW."""
    settings = load_settings(environ={}).model_copy(update={"PRELOAD_1M_LOOKBACK_INIT": HISTORY})
    rings, feed = MemoryRings(), BarFeed()
    await rings.write({"A": bars(range(-HISTORY, 0))})
    ledger = LocalLedger(settings.VENUE)
    async with BinanceRest("http://exchange", ledger, transport=httpx.MockTransport(exchange)) as rest:
        rest.clock = ledger.clock = ExchangeTime(exchange)
        yield Healer(rest, rings, feed, settings), rings, feed


def bars(minutes, finality=Finality.STREAM_CLOSED):
    rows = np.zeros(len(minutes), BAR_RECORD)
    rows["open_time_ms"] = START_MS + MINUTE * np.array(list(minutes))
    for name in ("open", "high", "low", "close"):
        rows[name] = [price(at) for at in rows["open_time_ms"]]
    rows["finality"] = finality
    return rows


async def missing(rings, symbol, first, last):
    ranges = (await rings.gaps([symbol], START_MS + first * MINUTE, START_MS + last * MINUTE))[symbol]
    return [((a - START_MS) // MINUTE, (b - START_MS) // MINUTE) for a, b in ranges]


def at(exchange, minute, second=5):
    exchange.now_ms = START_MS + minute * MINUTE + second * 1000
    return exchange.now_ms


async def test_a_complete_ring_costs_no_request(exchange, parts):
    healer, _, _ = parts
    assert await healer.heal(["A"], at(exchange, 0)) == HealReport()
    assert exchange.asked == []


async def test_the_last_bar_is_asked_for_only_when_it_must_have_closed(exchange, parts):
    healer, rings, _ = parts
    await healer.heal(["A"], at(exchange, 1, second=3))
    assert exchange.asked == []
    report = await healer.heal(["A"], at(exchange, 1, second=5))
    assert (report.missing, report.filled) == (1, 1)
    assert exchange.asked == [("A", 0, 0)]
    assert await missing(rings, "A", -HISTORY, 0) == []


async def test_a_hole_in_the_history_is_found_when_a_symbol_is_first_seen(exchange, parts):
    healer, rings, _ = parts
    other = np.concatenate([bars(range(-150, -80)), bars(range(-70, 0))])
    await rings.write({"B": other})
    report = await healer.heal(["A", "B"], at(exchange, 0))
    assert (report.missing, report.filled) == (10, 10)
    assert exchange.asked == [("B", -80, -71)]
    assert await missing(rings, "B", -HISTORY, -1) == [(-HISTORY, -151)], "before its first bar is the preload's"


async def test_of_an_empty_ring_only_the_recent_bars_are_fetched(exchange, parts):
    healer, rings, _ = parts
    report = await healer.heal(["NEW"], at(exchange, 0))
    assert report.filled == RECENT_BARS
    assert await missing(rings, "NEW", -RECENT_BARS, -1) == []


async def test_an_outage_is_caught_up_whole_once_rest_answers_again(exchange, parts):
    healer, rings, _ = parts
    await healer.heal(["A"], at(exchange, 0))
    exchange.delisted.add("A")
    for minute in range(1, 9):
        assert (await healer.heal(["A"], at(exchange, minute))).filled == 0
    exchange.delisted.clear()
    report = await healer.heal(["A"], at(exchange, 9))
    assert report.filled == 9
    assert await missing(rings, "A", -HISTORY, 8) == []


async def test_a_hole_older_than_the_recent_bars_is_found_by_the_full_check(exchange, parts):
    healer, rings, _ = parts
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
    healer, rings, _ = parts
    exchange.lacks.add(START_MS)
    assert (await healer.heal(["A"], at(exchange, 1))).filled == 0
    exchange.lacks.clear()
    assert (await healer.heal(["A"], at(exchange, 2))).filled == 2
    assert await missing(rings, "A", -HISTORY, 1) == []


# ── Provisional bars ──


def provisional(feed, minutes, symbol="A"):
    for minute in minutes:
        feed.take(
            Kline(START_MS + minute * MINUTE, symbol, "1m", 99.0, 99.0, 99.0, 99.0, 1.0, 99.0, 0.5, 1, is_closed=False)
        )


async def test_a_provisional_bar_gets_the_exchanges_last_word(exchange, parts):
    healer, rings, feed = parts
    provisional(feed, [0, 1])
    await rings.write({"A": bars([0], Finality.SUCCESSOR_SEEN)})
    report = await healer.heal(["A"], at(exchange, 1))
    assert (report.suspected, report.confirmed) == (1, 1)
    panel = await rings.load(["A"], START_MS, 1)
    assert panel.close[0, 0] == price(START_MS)
    assert feed.suspects(10**15) == {}


async def test_a_provisional_bar_that_may_yet_be_closed_by_the_stream_is_left_in_peace(exchange, parts):
    healer, rings, feed = parts
    provisional(feed, [0, 1])
    await rings.write({"A": bars([0], Finality.SUCCESSOR_SEEN)})
    report = await healer.heal(["A"], at(exchange, 1, second=3))
    assert report.suspected == 0
    assert exchange.asked == []


async def test_several_provisional_bars_of_a_symbol_cost_one_request(exchange, parts):
    healer, rings, feed = parts
    provisional(feed, [0, 1, 2, 3])
    await rings.write({"A": bars([0, 1, 2], Finality.SUCCESSOR_SEEN)})
    assert (await healer.heal(["A"], at(exchange, 3))).confirmed == 3
    assert exchange.asked == [("A", 0, 2)]


async def test_while_rest_is_away_a_suspicion_stays(exchange, parts):
    healer, rings, feed = parts
    provisional(feed, [0, 1])
    await rings.write({"A": bars([0], Finality.SUCCESSOR_SEEN)})
    exchange.fails = 1
    with pytest.raises(VenueUnavailable):
        await healer.heal(["A"], at(exchange, 1))
    assert (await healer.heal(["A"], at(exchange, 1))).confirmed == 1


async def test_a_symbol_that_the_exchange_no_longer_knows_is_not_asked_for_for_ever(exchange, parts):
    healer, rings, feed = parts
    provisional(feed, [0, 1])
    await rings.write({"A": bars([0], Finality.SUCCESSOR_SEEN)})
    exchange.delisted.add("A")
    assert (await healer.heal([], at(exchange, 1))).confirmed == 0
    assert feed.suspects(10**15) == {}


async def test_a_suspicion_that_nobody_can_settle_is_dropped_in_the_end(exchange, parts):
    healer, _, feed = parts
    provisional(feed, [0, 1])
    exchange.lacks.add(START_MS)
    assert (await healer.heal([], at(exchange, 1))).confirmed == 0
    assert feed.suspects(10**15) != {}
    assert (await healer.heal([], at(exchange, 40))).suspected == 1
    assert feed.suspects(10**15) == {}


def test_the_leading_gap_alone_is_left_out():
    end_ms = 10 * MINUTE
    inner = [(4 * MINUTE, 5 * MINUTE), (10 * MINUTE, 10 * MINUTE)]
    assert without_leading([(1 * MINUTE, 2 * MINUTE), *inner], end_ms, 10) == inner
    assert without_leading(inner, end_ms, 10) == inner
    assert without_leading([], end_ms, 10) == []
