"""Every streamed bar is compared once with REST, cheaply, and what REST says is the last word."""

from __future__ import annotations

import time
from collections import Counter

import httpx
import numpy as np
import orjson
import pytest

from aione.errors import RateLimited, ServiceUnavailable
from aione.panel.bars import BAR_RECORD, VALUE_FIELDS, Finality, Source
from aione.sim import faults
from aione.sim.clock import ManualClock
from aione.sim.memory import MemoryExchange, MemoryTransport
from aione.sim.synthetic import SyntheticMarket
from aione.store.ring_layout import CORRECTED, absent_bars
from aione.store.rings import BarRings, MemoryRings
from aione.stream.verify import SETTLED_MS, Verifier, VerifyReport
from aione.venue.absent import CONFIRMED
from aione.venue.clock import ServerClock
from aione.venue.ledger import LocalLedger, Priority
from aione.venue.rest import BinanceRest
from config.settings import load_settings

MINUTE = 60_000
START = 1_779_278_400_000
HISTORY = 200
ROUND = 60
SETTINGS = load_settings(environ={}).model_copy(update={"PRELOAD_1M_LOOKBACK_INIT": HISTORY})
EVERY_MINUTE = SETTINGS.model_copy(update={"VERIFY_INTERVAL_SEC": 60})
A, B = "BTCUSDT", "ETHUSDT"
KLINES = "/fapi/v1/klines"


class Asked(MemoryTransport):
    """Brings requests to the exchange and keeps which bars were asked for, in minutes from the start."""

    def __init__(self, exchange):
        super().__init__(exchange)
        self.ranges = []

    async def handle_async_request(self, request):
        query = request.url.params
        if request.url.path == KLINES:
            first, last = int(query["startTime"]), int(query["endTime"])
            self.ranges.append((query["symbol"], (first - START) // MINUTE, (last - START) // MINUTE))
        return await super().handle_async_request(request)


class World:
    """The simulated exchange at a moment that the test sets, and a client of it."""

    def __init__(self):
        self.clock = ManualClock(START)
        self.exchange = MemoryExchange(SyntheticMarket(6), self.clock, None, time.monotonic)
        self.asked = Asked(self.exchange)

        def now_s():
            return self.clock.now_ms() / 1000

        async def sleep(seconds):
            self.clock.advance(int(1000 * seconds) + 1)

        self.ledger = LocalLedger(SETTINGS.VENUE, clock=ServerClock(now_s, now_s), sleep=sleep)
        self.rest = BinanceRest("http://exchange", self.ledger, transport=self.asked)
        self.rest.clock = ServerClock(now_s, now_s)

    def at(self, minute, second=5):
        """Let it be this moment; return it."""
        self.clock.moment_ms = START + minute * MINUTE + second * 1000
        return self.clock.moment_ms

    async def streamed(self, symbol, minutes, *, finality=Finality.STREAM_CLOSED, wrong=False):
        """Return bars as the exchange's own JSON has them, read past the product; or all of them off by one."""
        first, last = START + min(minutes) * MINUTE, START + max(minutes) * MINUTE
        params = {"symbol": symbol, "interval": "1m", "startTime": first, "endTime": last, "limit": 1500}
        shown_ms, self.clock.moment_ms = self.clock.moment_ms, START + 1000 * MINUTE
        async with httpx.AsyncClient(transport=MemoryTransport(self.exchange), base_url="http://exchange") as client:
            reply = orjson.loads((await client.get(KLINES, params=params)).content)
        self.clock.moment_ms = shown_ms
        rows = np.zeros(len(reply), BAR_RECORD)
        rows["open_time_ms"] = [row[0] for row in reply]
        for name, at in zip(VALUE_FIELDS, (1, 2, 3, 4, 5, 7, 9, 8), strict=True):
            rows[name] = [float(row[at]) for row in reply]
        if wrong:
            rows["close"] += 1.0
        rows["finality"], rows["source"] = finality, Source.STREAM
        return rows[np.isin((rows["open_time_ms"] - START) // MINUTE, list(minutes))]


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr("aione.venue.filling.BACKOFF_BASE_S", 0.001)
    one = World()
    async with one.rest:
        yield one


def finalities(rings, symbol, first, last):
    window = rings._window(symbol, START + first * MINUTE, last - first + 1)
    return window["finality"].tolist()


# ── What is compared ──


async def test_streamed_bars_are_compared_once_and_the_exchange_has_the_last_word(world):
    """A process of its own for each half hour: which bars are still to be compared stands in the rings."""
    rings = MemoryRings()
    await rings.write({A: await world.streamed(A, range(-HISTORY, 0), finality=Finality.REST_CONFIRMED)})
    await rings.write({A: await world.streamed(A, range(6)), B: await world.streamed(B, range(-3, 0), wrong=True)})
    total = Counter()
    for minute in range(10, 70):
        if minute % 30 == 10:
            verifier = Verifier(world.rest, rings, SETTINGS)
        report = await verifier.run_once([A, B], world.at(minute))
        total.update(compared=report.compared, corrected=report.corrected)
    assert total == {"compared": 9, "corrected": 3}
    assert sorted(world.asked.ranges) == [(A, 0, 5), (B, -3, -1)]
    truth = await world.streamed(B, range(-3, 0))
    assert [(c.symbol, c.before["close"][0] - 1.0, c.after["close"][0]) for c in rings.corrections] == [
        (B, close, close) for close in truth["close"]
    ]
    held = (await rings.records([A, B], START - 3 * MINUTE, START + 5 * MINUTE))[B]
    for name in ("open_time_ms", *VALUE_FIELDS):
        np.testing.assert_array_equal(held[name], truth[name], err_msg=name)
    assert held["reserved"].tolist() == [CORRECTED] * 3
    assert finalities(rings, A, 0, 5) == finalities(rings, B, -3, -1) * 2 == [Finality.REST_CONFIRMED] * 6
    for minute in range(70, 140):
        assert await verifier.run_once([A, B], world.at(minute)) == VerifyReport()


async def test_the_rings_in_redis_are_corrected_and_journaled_alike(world, redis):
    rings = BarRings(redis)
    wrong = await world.streamed(B, range(4), wrong=True)
    await rings.write({B: wrong})
    verifier = Verifier(world.rest, rings, EVERY_MINUTE)
    assert await verifier.run_once([B], world.at(10)) == VerifyReport(4, 4)
    held = (await rings.records([B], START, START + 3 * MINUTE))[B]
    np.testing.assert_array_equal(held["close"], wrong["close"] - 1.0)
    assert len(await rings.corrections()) == 4


@pytest.mark.parametrize("finality", [one for one in Finality if one is not Finality.STREAM_CLOSED])
async def test_only_what_its_closing_event_alone_has_confirmed_is_compared(world, finality):
    """What is less sure is healing's, what is surer is known."""
    rings = MemoryRings()
    await rings.write({A: await world.streamed(A, range(5), finality=finality, wrong=True)})
    await rings.write({A: absent_bars(np.array([START + 6 * MINUTE]), CONFIRMED)})
    verifier = Verifier(world.rest, rings, EVERY_MINUTE)
    assert await verifier.run_once([A], world.at(20)) == VerifyReport()
    assert world.asked.ranges == []
    assert finalities(rings, A, 0, 4) == [finality] * 5


async def test_a_bar_that_was_absent_at_a_first_look_is_asked_for_once_more_and_takes_its_place(world):
    rings = MemoryRings()
    await rings.write({A: await world.streamed(A, range(5), finality=Finality.REST_CONFIRMED)})
    await rings.write({A: absent_bars(np.array([START + 5 * MINUTE]))})
    verifier = Verifier(world.rest, rings, EVERY_MINUTE)
    assert await verifier.run_once([A], world.at(20)) == VerifyReport()
    assert world.asked.ranges == [(A, 5, 5)]
    assert finalities(rings, A, 5, 5) == [Finality.REST_CONFIRMED]


async def test_a_bar_is_compared_when_it_ended_five_minutes_ago(world):
    rings = MemoryRings()
    await rings.write({A: await world.streamed(A, range(10))})
    verifier = Verifier(world.rest, rings, EVERY_MINUTE)
    assert SETTLED_MS == 300_000
    compared = [
        (await verifier.run_once([A], world.at(minute, second))).compared for minute, second in ((5, 59), (6, 0))
    ]
    assert compared == [0, 1], "the first one ends at minute 1"
    assert (await verifier.run_once([A], world.at(9, 1))).compared == 3
    assert world.asked.ranges == [(A, 0, 0), (A, 1, 3)]


async def test_what_is_older_than_the_history_is_not_compared(world):
    rings = MemoryRings()
    await rings.write({A: await world.streamed(A, range(-HISTORY - 10, 1))})
    verifier = Verifier(world.rest, rings, EVERY_MINUTE)
    assert (await verifier.run_once([A], world.at(6))).compared == HISTORY
    assert world.asked.ranges[0][1] == -HISTORY + 1


async def test_only_the_symbols_that_are_followed_are_compared_and_none_needs_no_request(world):
    rings = MemoryRings()
    for symbol in (A, B):
        await rings.write({symbol: await world.streamed(symbol, range(3))})
    verifier = Verifier(world.rest, rings, EVERY_MINUTE)
    assert await verifier.run_once([], world.at(20)) == VerifyReport()
    assert await verifier.run_once(["NEWUSDT"], world.at(21)) == VerifyReport()
    assert world.asked.ranges == []
    assert (await verifier.run_once([B, "NEWUSDT"], world.at(22))).compared == 3
    assert world.asked.ranges == [(B, 0, 2)]


# ── When ──


class Looked(MemoryRings):
    """Rings that keep which symbols were looked at."""

    def __init__(self):
        super().__init__()
        self.symbols_read = []

    async def records(self, symbols, start_ms, end_ms):
        self.symbols_read += symbols
        return await super().records(symbols, start_ms, end_ms)


async def looked_at(world, minutes, symbols, settings=SETTINGS):
    """Return minute -> symbols that a fresh process looks at, which is asked at these minutes alone."""
    rings = Looked()
    verifier, seen = Verifier(world.rest, rings, settings), {}
    for minute in minutes:
        await verifier.run_once(symbols, world.at(minute))
        seen[minute], rings.symbols_read = rings.symbols_read, []
    return seen


SYMBOLS = [f"S{number}USDT" for number in range(600)]


async def test_every_symbol_has_one_minute_of_a_round_the_same_in_every_process(world):
    first = await looked_at(world, range(100, 100 + ROUND), SYMBOLS)
    assert sorted(symbol for group in first.values() for symbol in group) == sorted(SYMBOLS)
    later = await looked_at(world, range(100 + 7 * ROUND, 100 + 8 * ROUND), SYMBOLS[::-1])
    assert {minute + 7 * ROUND: sorted(group) for minute, group in first.items()} == {
        minute: sorted(group) for minute, group in later.items()
    }
    sizes = [len(group) for group in first.values()]
    assert 1 <= min(sizes) <= max(sizes) <= 25, "ten a minute on average; by chance alone few would be so far off"


async def test_minutes_that_were_missed_are_made_up_for_and_no_minute_has_two_turns(world):
    one_by_one = await looked_at(world, range(200, 221), SYMBOLS)
    at_times = await looked_at(world, [200, 200, 201, 213, 220, 220], SYMBOLS)
    for minute, missed in ((201, [201]), (213, range(202, 214)), (220, [])):
        assert sorted(at_times[minute]) == sorted(symbol for one in missed for symbol in one_by_one[one]), minute
    assert at_times[200] == [], "the second call of a minute finds nothing to do"


@pytest.mark.parametrize("away", [ROUND, ROUND + 1, 50 * ROUND])
async def test_after_a_round_or_more_away_every_symbol_is_looked_at_once(world, away):
    seen = await looked_at(world, [300, 300 + away], SYMBOLS)
    assert sorted(seen[300 + away]) == sorted(SYMBOLS)


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 1), (89, 1), (91, 2), (600, 10)])
async def test_a_round_is_as_many_minutes_as_the_settings_say(world, seconds, minutes):
    settings = SETTINGS.model_copy(update={"VERIFY_INTERVAL_SEC": seconds})
    seen = await looked_at(world, range(400, 400 + minutes), SYMBOLS, settings)
    assert sorted(symbol for group in seen.values() for symbol in group) == sorted(SYMBOLS)
    assert all(len(group) < len(SYMBOLS) for group in seen.values()) is (minutes > 1)


# ── What it costs ──


async def test_an_hour_of_a_symbol_is_one_request_of_weight_one_after_everything_else(world):
    rings = MemoryRings()
    await rings.write({A: await world.streamed(A, range(60))})
    booked, reserve = [], world.ledger.reserve

    async def spy(weight, budget=None, *, priority):
        booked.append((weight, priority))
        return await reserve(weight, budget, priority=priority)

    world.ledger.reserve = spy
    report = await Verifier(world.rest, rings, EVERY_MINUTE).run_once([A], world.at(66))
    assert report.compared == 60
    assert world.asked.ranges == [(A, 0, 59)]
    assert [weight for weight, _ in booked] == [1, 1], "the exchange's clock, and the bars"
    assert booked[1] == (1, Priority.REFRESH)


# ── Failures ──


async def test_the_newest_bars_are_not_compared_yet_and_a_failure_comes_up_again(world):
    rings = MemoryRings()
    await rings.write({A: await world.streamed(A, [0])})
    verifier = Verifier(world.rest, rings, EVERY_MINUTE)
    assert (await verifier.run_once([A], world.at(5))).compared == 0
    world.exchange.faults.add(faults.HttpError(path=KLINES, count=4))
    assert (await verifier.run_once([A], world.at(7))).compared == 0
    assert finalities(rings, A, 0, 0) == [Finality.STREAM_CLOSED]
    assert (await verifier.run_once([A], world.at(8))).compared == 1


async def test_a_symbol_that_is_refused_does_not_keep_the_others(world):
    rings = MemoryRings()
    gone = await world.streamed(A, range(2))
    await rings.write({"GONEUSDT": gone, A: gone, B: await world.streamed(B, range(3), wrong=True)})
    report = await Verifier(world.rest, rings, EVERY_MINUTE).run_once(["GONEUSDT", A, B], world.at(20))
    assert report == VerifyReport(compared=5, corrected=3)
    assert finalities(rings, "GONEUSDT", 0, 1) == [Finality.STREAM_CLOSED] * 2


async def test_a_bar_that_the_exchange_does_not_have_is_left_as_it_was_streamed(world):
    rings = MemoryRings()
    before = START - 10 * 366 * 24 * 60 * MINUTE
    row = await world.streamed(A, [0])
    row["open_time_ms"] = before
    await rings.write({A: row})
    world.clock.moment_ms = before + 20 * MINUTE
    report = await Verifier(world.rest, rings, EVERY_MINUTE).run_once([A], world.clock.now_ms())
    assert (report.corrected, len(world.asked.ranges)) == (0, 1)
    assert (await rings.records([A], before, before))[A].tobytes() == row.tobytes()


async def test_an_exchange_that_serves_nobody_is_an_error_and_the_same_symbols_come_up_again(world):
    """Five symbols in a row are as many as are tried; the hold lasts longer than anybody should wait."""
    turn, group = next(
        (at, names) for at, names in (await looked_at(world, range(100, 160), SYMBOLS)).items() if len(names) >= 5
    )
    rings, rows = MemoryRings(), await world.streamed(A, range(3))
    await rings.write(dict.fromkeys(group, rows))
    verifier = Verifier(world.rest, rings, SETTINGS)
    await verifier.run_once(SYMBOLS, world.at(turn - 1))
    world.exchange.faults.add(faults.Banned(path=KLINES, retry_after_s=150, count=1))
    with pytest.raises(RateLimited, match="on hold"):
        await verifier.run_once(SYMBOLS, world.at(turn))
    world.asked.ranges.clear()
    await verifier.run_once(SYMBOLS, world.at(turn + 4))
    assert {symbol for symbol, _, _ in world.asked.ranges} == set(group)


class Switched(MemoryRings):
    """Rings that do not answer while they are down."""

    is_down = False

    async def records(self, symbols, start_ms, end_ms):
        if self.is_down:
            raise ServiceUnavailable("away")
        return await super().records(symbols, start_ms, end_ms)

    async def write(self, records):
        if self.is_down:
            raise ServiceUnavailable("away")
        return await super().write(records)


async def test_rings_that_are_away_are_an_error_and_the_same_symbols_come_up_again(world):
    rings = Switched()
    await rings.write({A: await world.streamed(A, range(3))})
    verifier = Verifier(world.rest, rings, SETTINGS)
    turn = next(at for at, group in (await looked_at(world, range(100, 160), [A])).items() if group)
    await verifier.run_once([A], world.at(turn - 1))
    rings.is_down = True
    with pytest.raises(ServiceUnavailable, match="away"):
        await verifier.run_once([A], world.at(turn))
    rings.is_down = False
    assert (await verifier.run_once([A], world.at(turn + 1))).compared == 3
