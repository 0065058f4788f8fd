"""Which stream goes over which connection, and how one connection takes over from another."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.sim.memory import VirtualLoop
from aione.stream.fleet import OVERLAP_S, SUCCEED_WITHIN_S, TRY_ANEW_S, Fleet, place
from aione.venue.session_parts import Close, Connect, End, Phase, Rotate
from aione.venue.stream_track import StreamState
from config.models import VenueParams

NAMES = st.integers(0, 40).map(str)


@given(
    shards=st.lists(st.lists(NAMES, max_size=6), max_size=5),
    wanted=st.lists(NAMES, unique=True, max_size=40),
    limit=st.integers(1, 6),
)
def test_every_wanted_stream_has_one_place_and_nobody_moves_without_need(shards, wanted, limit):
    seen, distinct = set(), []
    for shard in shards:
        distinct.append([name for name in dict.fromkeys(shard) if name not in seen][:limit])
        seen.update(distinct[-1])
    placed = place(distinct, wanted, limit)
    assert sorted(name for shard in placed for name in shard) == sorted(wanted)
    assert all(len(shard) <= limit for shard in placed)
    assert len(placed) >= len(distinct)
    for before, after in zip(distinct, placed, strict=False):
        assert [name for name in after if name in before] == [name for name in before if name in wanted]
        assert before or not after
    assert all(placed[len(distinct) :])
    made = placed[len(distinct) :]
    room = sum(limit - len(shard) for shard in placed if shard)
    assert not made or room < limit, "no connection more than is needed"


@pytest.mark.parametrize(
    ("count", "limit", "sizes"),
    [(0, 3, []), (3, 3, [3]), (7, 3, [3, 2, 2]), (201, 200, [101, 100]), (400, 200, [200] * 2)],
)
def test_new_streams_are_spread_evenly_over_as_few_connections_as_will_do(count, limit, sizes):
    assert [len(shard) for shard in place([], [str(at) for at in range(count)], limit)] == sizes


def test_new_streams_go_where_the_fewest_are():
    before = [["a", "b", "c"], [], ["d"]]
    assert place(before, [*"abcdefg"], limit=4) == [["a", "b", "c", "g"], [], ["d", "e", "f"]]


# ── Connections: their sessions are moved by a driver that does as the test's `Air` says ──


class Air:
    """What happens to every attempt at a connection, and which streams deliver each half second."""

    def __init__(self):
        self.refuses = None
        self.hangs = False
        self.silent = set()
        self.drivers = []

    def socket(self, session, _deliver, *, on_open, on_rotate):
        driver = Driver(self, session, on_open, on_rotate)
        self.drivers.append(driver)
        return driver


class Driver:
    def __init__(self, air, session, on_open, on_rotate):
        self.air, self.session, self.on_open, self.on_rotate = air, session, on_open, on_rotate
        self.is_cut = False

    def wake(self):
        """It looks every half second anyway."""

    async def run(self):
        loop, session = asyncio.get_running_loop(), self.session
        session.start(loop.time())
        while not session.is_over:
            for command in session.commands():
                self.carry_out(command, loop.time())
            if self.is_cut and session.phase is Phase.OPEN:
                session.closed(End("cut"), loop.time())
            for stream in [*session.streams]:
                if session.phase is Phase.OPEN and stream not in self.air.silent:
                    assert session.received(quote(stream), loop.time()) is not None
            await asyncio.sleep(0.5)
            session.tick(loop.time())

    def carry_out(self, command, now_s):
        if isinstance(command, Connect):
            if self.air.refuses is not None:
                self.session.closed(self.air.refuses, now_s)
            elif not self.air.hangs:
                self.session.connected(now_s)
                self.on_open()
        elif isinstance(command, Close):
            self.session.closed(End(command.reason), now_s)
        elif isinstance(command, Rotate):
            self.on_rotate()


def quote(stream):
    event = {"e": "bookTicker", "E": 1, "s": stream.partition("@")[0].upper(), "b": "1", "a": "2"}
    return orjson.dumps({"stream": stream, "data": event})


STREAMS = ["a@bookTicker", "b@bookTicker"]
NO_PATH = End("no such path", status=404)
AWAY = End("away", status=503)


class Flight:
    """A fleet whose time passes in no time."""

    def __init__(self, group, air, **venue):
        self.air, self.opened = air, []
        self.fleet = Fleet(
            VenueParams(**venue), group, lambda _: None, lambda streams: self.opened.append(sorted(streams)),
            open_socket=air.socket,
        )  # fmt: skip

    async def after(self, seconds):
        """Let time pass, as the worker does: a review each second."""
        for _ in range(int(seconds)):
            await asyncio.sleep(1.0)
            self.fleet.review()

    @property
    def first(self):
        return self.air.drivers[0].session


def flown(story, **venue):
    """Run ``story(flight)`` in virtual time, then end everything."""

    async def run():
        air = Air()
        async with asyncio.TaskGroup() as group:
            flight = Flight(group, air, **venue)
            await story(flight)
            flight.fleet.want([])
            for session in (driver.session for driver in air.drivers):
                session.stop()
                if session.phase is Phase.CONNECTING:
                    session.closed(End("over"), 0.0)

    loop = VirtualLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(run(), 1e4))
    finally:
        loop.close()


@pytest.mark.parametrize("refusal", [NO_PATH, AWAY])
def test_a_connection_whose_successor_is_refused_goes_on_and_is_replaced_later(refusal):
    async def story(flight):
        flight.fleet.want(STREAMS)
        await flight.after(300)
        flight.air.refuses = refusal
        await flight.after(600)
        assert flight.fleet.totals().rotations == 1
        assert flight.fleet.open_connections() == 1
        assert flight.fleet.states() == {"proven": 2}
        assert (flight.fleet.down(), flight.fleet.failures()) == ([], [])
        flight.air.refuses = None
        await flight.after(700)
        assert flight.first.is_over
        assert flight.fleet.states() == {"proven": 2}
        assert flight.fleet.totals().reconnects <= 100, "what the refused successor tried is counted"

    flown(story, connection_life_s=600.0)


def test_a_connection_is_replaced_when_its_successor_has_proven_every_stream_and_not_before():
    async def story(flight):
        flight.fleet.want(STREAMS)
        await flight.after(5)
        flight.air.silent.add("b@bookTicker")
        await flight.after(5)
        flight.air.drivers[0].on_rotate()
        flight.air.drivers[0].on_rotate()
        await flight.after(30)
        assert len(flight.air.drivers) == 2, "one successor at a time"
        assert flight.fleet.open_connections() == 2
        flight.air.silent.clear()
        await flight.after(3)
        assert flight.first.is_over
        assert flight.fleet.open_connections() == 1
        assert flight.fleet.states() == {"proven": 2}

    flown(story)


def test_a_stream_that_is_silent_on_both_does_not_keep_an_old_connection():
    async def story(flight):
        flight.air.silent.add("b@bookTicker")
        flight.fleet.want(STREAMS)
        await flight.after(5)
        flight.air.drivers[0].on_rotate()
        await flight.after(OVERLAP_S - 2)
        assert not flight.first.is_over
        await flight.after(6)
        assert flight.first.is_over
        assert flight.fleet.states() == {"proven": 1, "unproven": 1}

    flown(story)


def test_a_successor_that_delivers_nothing_is_given_up():
    async def story(flight):
        flight.fleet.want(STREAMS)
        await flight.after(5)
        flight.air.hangs = True
        flight.air.drivers[0].on_rotate()
        await flight.after(SUCCEED_WITHIN_S - 5)
        assert flight.fleet.states() == {"proven": 2}
        await flight.after(10)
        flight.air.drivers[1].session.closed(End("no connection within 10 s"), 0.0)
        await flight.after(2)
        assert flight.air.drivers[1].session.is_over
        assert flight.fleet.states() == {"proven": 2}
        assert not flight.first.is_over

    flown(story)


def test_a_successor_that_is_refused_for_good_makes_room_for_another_at_once():
    async def story(flight):
        flight.fleet.want(STREAMS)
        await flight.after(5)
        flight.air.refuses = NO_PATH
        flight.air.drivers[0].on_rotate()
        await flight.after(3)
        flight.air.refuses = None
        flight.air.drivers[0].on_rotate()
        await flight.after(3)
        assert len(flight.air.drivers) == 3
        assert flight.first.is_over
        assert flight.fleet.states() == {"proven": 2}

    flown(story)


def test_when_the_old_connection_is_gone_a_successor_that_stands_takes_over():
    async def story(flight):
        flight.fleet.want(STREAMS)
        await flight.after(5)
        flight.air.silent.add("a@bookTicker")
        flight.air.drivers[0].on_rotate()
        await flight.after(3)
        assert not flight.first.is_over
        flight.air.refuses = AWAY
        flight.air.drivers[0].is_cut = True
        await flight.after(3)
        assert flight.first.is_over
        assert flight.fleet.open_connections() == 1

    flown(story)


def test_what_is_wanted_meanwhile_is_wanted_of_the_successor_too():
    async def story(flight):
        flight.fleet.want(STREAMS)
        await flight.after(5)
        flight.air.hangs = True
        flight.air.drivers[0].on_rotate()
        await asyncio.sleep(1.0)
        flight.fleet.want([*STREAMS, "c@bookTicker"])
        assert sorted(flight.air.drivers[1].session.streams) == [*STREAMS, "c@bookTicker"]
        flight.air.hangs = False
        flight.fleet.want([])
        flight.air.drivers[1].session.connected(asyncio.get_running_loop().time())
        await flight.after(3)
        assert all(driver.session.is_over for driver in flight.air.drivers)
        assert flight.fleet.streams() == {}

    flown(story)


def test_opened_and_not_wanted_any_more_within_one_turn_of_the_loop_is_no_mistake():
    async def story(flight):
        flight.fleet.want(["a@bookTicker"])
        flight.fleet.want(["!markPrice@arr@1s"])
        flight.air.hangs = True
        await asyncio.sleep(1.0)
        assert flight.first.phase is Phase.STOPPED
        assert flight.fleet.streams() == {"!markPrice@arr@1s": "wanted"}

    flown(story)


def test_a_first_connection_that_hangs_is_down_and_its_streams_are_unproven():
    async def story(flight):
        flight.air.hangs = True
        flight.fleet.want(STREAMS)
        await flight.after(7)
        assert flight.fleet.down() == ["bookTicker: not open yet"]
        assert flight.fleet.states() == {"wanted": 2}
        await flight.after(3)
        assert sorted(flight.fleet.in_state(StreamState.UNPROVEN)) == STREAMS

    flown(story)


def test_what_was_given_up_for_good_is_unproven_and_tried_anew():
    async def story(flight):
        flight.air.refuses = NO_PATH
        flight.fleet.want(STREAMS)
        await flight.after(20)
        assert flight.fleet.failures() == ["bookTicker: no such path"]
        assert sorted(flight.fleet.in_state(StreamState.UNPROVEN)) == STREAMS
        flight.air.refuses = None
        await flight.after(TRY_ANEW_S)
        assert flight.fleet.states() == {"proven": 2}

    flown(story)
