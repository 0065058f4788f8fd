"""Open interest by polling: by rank, within its budget, with the past hour."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import islice, pairwise

import pytest

from aione.errors import SymbolRejected, VenueUnavailable
from aione.sim.clock import RealClock
from aione.sim.server import SimServer
from aione.sim.synthetic import SyntheticMarket
from aione.store.state import StateStore
from aione.stream.open_interest import BEST, EVERY_S, OpenInterestPoller, turns, updated
from aione.stream.outlet import RedisOutlet
from aione.venue.ledger import LocalLedger, Priority
from aione.venue.rest import BinanceRest
from config.models import VenueParams

MINUTE = 60_000
NOW = 1_779_278_400_000


def test_half_of_the_polls_are_the_best_ranks_and_everyone_has_a_turn():
    symbols = [f"S{number}" for number in range(500)]
    counts = Counter(islice(turns(symbols), 900))
    assert set(counts) == set(symbols)
    assert all(counts[symbol] == 9 for symbol in symbols[:BEST])
    assert all(counts[symbol] == 1 for symbol in symbols[BEST:])


def test_a_sample_is_kept_every_five_minutes_for_an_hour():
    row = None
    for minute in range(180):
        row = updated(row, 100.0 + minute, NOW + minute * MINUTE)
    assert (row["open_interest"], row["at_ms"]) == (279.0, NOW + 179 * MINUTE)
    times = [at_ms for at_ms, _ in row["samples"]]
    assert len(times) == 13
    assert {after - before for before, after in pairwise(times)} == {5 * MINUTE}


async def test_it_polls_within_its_budget_and_survives_what_is_gone_and_what_fails(redis):
    async with SimServer(SyntheticMarket(6), clock=RealClock()) as sim:
        params = VenueParams()
        async with BinanceRest(sim.rest_url, LocalLedger(params)) as rest:
            outlet, booked = RedisOutlet(redis), []
            reserve = rest.ledger.reserve

            async def spy(weight, budget=None, *, priority):
                booked.append((weight, priority))
                return await reserve(weight, budget, priority=priority)

            rest.ledger.reserve = spy
            poller = OpenInterestPoller(rest, outlet, weight_per_minute=30)
            symbols = ("BTCUSDT", "NOPEUSDT", "ETHUSDT")
            for turn in range(6):
                await poller.run_once(symbols, NOW + turn * int(1000 * EVERY_S))
        assert booked == [(1, Priority.REFRESH)] * 15, "30 a minute, five seconds a turn"
    rows = await StateStore(redis).load_derivatives()
    assert set(rows) == {"BTCUSDT", "ETHUSDT"}
    assert rows["BTCUSDT"]["open_interest"] > 0
    assert rows["BTCUSDT"]["at_ms"] > NOW
    assert len(rows["BTCUSDT"]["samples"]) == 1


async def test_a_restart_goes_on_with_the_samples_that_are_stored(redis):
    outlet = RedisOutlet(redis)
    await outlet.save_open_interest({"BTCUSDT": updated(None, 5.0, NOW)})

    class Rest:
        def at(self, _priority):
            return self

        async def open_interest(self, symbol):
            if symbol == "BADUSDT":
                raise SymbolRejected("Invalid symbol.", -1121)
            if symbol == "DOWNUSDT":
                raise VenueUnavailable("status 502")
            return type("Found", (), {"open_interest": 7.0})

    poller = OpenInterestPoller(Rest(), outlet, weight_per_minute=120)
    await poller.run_once(("BTCUSDT", "BADUSDT"), NOW + 6 * MINUTE)
    row = (await outlet.load_open_interest(["BTCUSDT"]))["BTCUSDT"]
    assert row["samples"] == [[NOW, 5.0], [NOW + 6 * MINUTE, 7.0]]
    with pytest.raises(VenueUnavailable):
        await poller.run_once(("DOWNUSDT",), NOW)


@pytest.mark.parametrize("per_minute", [150, 30, 7])
async def test_after_an_outage_it_polls_no_more_than_in_any_other_turn(per_minute):
    class Rest:
        is_down, asked = True, 0

        def at(self, _priority):
            return self

        async def open_interest(self, _symbol):
            self.asked += 1
            if self.is_down:
                raise VenueUnavailable("status 502")
            return type("Found", (), {"open_interest": 7.0})

    class Shelf:
        async def save_open_interest(self, rows):
            pass

        async def load_open_interest(self, _symbols):
            return {}

    rest = Rest()
    poller = OpenInterestPoller(rest, Shelf(), weight_per_minute=per_minute)
    symbols = [f"S{number}" for number in range(400)]

    async def turn(number):
        with suppress(VenueUnavailable):
            await poller.run_once(symbols, NOW + number * int(1000 * EVERY_S))

    for number in range(60):
        await turn(number)
    rest.is_down, asked = False, []
    for number in range(60, 72):
        before = rest.asked
        await turn(number)
        asked.append(rest.asked - before)
    assert max(asked) <= -(-per_minute // 12)
    assert per_minute - 1 <= sum(asked) <= per_minute


async def test_the_past_that_a_refresh_has_asked_for_is_taken_over(redis):
    """The worker polled a symbol before the refresh stored its past: neither may forget the other's samples."""

    class Rest:
        def at(self, _priority):
            return self

        async def open_interest(self, _symbol):
            return type("Found", (), {"open_interest": 7.0})

    outlet = RedisOutlet(redis)
    poller = OpenInterestPoller(Rest(), outlet, weight_per_minute=60)
    await poller.run_once(("BTCUSDT",), NOW)
    past = [[NOW - minutes * MINUTE, 4.0] for minutes in range(60, 4, -5)]
    stored = (await outlet.load_open_interest(["BTCUSDT"]))["BTCUSDT"]
    await outlet.save_open_interest({"BTCUSDT": {**stored, "samples": past}})
    await poller.run_once(("BTCUSDT",), NOW + MINUTE)
    row = (await outlet.load_open_interest(["BTCUSDT"]))["BTCUSDT"]
    assert row["samples"] == [*past, [NOW, 7.0]]
