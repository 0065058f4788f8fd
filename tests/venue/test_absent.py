"""A bar is marked as absent only when replies that hold its neighbours lack it: anything less says nothing."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.panel.bars import Finality
from aione.store.ring_layout import ABSENT
from aione.store.rings import MemoryRings
from aione.venue.absent import CONFIRMED, Doubt, doubts
from aione.venue.history import fetch_ranges, preload

MINUTE_MS = 60_000
END = 1_700_000_400_000
KLINES = "/fapi/v1/klines"
BARS = 100


@pytest.fixture(autouse=True)
def frozen(exchange):
    exchange.frozen_ms = END + MINUTE_MS + 700


def ago(minutes):
    return END - minutes * MINUTE_MS


async def fetch(rest, rings):
    return await preload(rest, rings, ["AUSDT"], interval="1m", bars=BARS, end_ms=END, concurrency=1)


async def full(rest, exchange, without):
    """Return rings that hold every bar but those so many minutes ago."""
    rings = MemoryRings()
    exchange.halts = {ago(n) for n in without}
    source = MemoryRings()
    await preload(rest, source, ["AUSDT"], interval="1m", bars=BARS, end_ms=END, concurrency=1)
    held = (await source.records(["AUSDT"], ago(BARS - 1), END))["AUSDT"]
    await rings.write({"AUSDT": held[held["reserved"] & ABSENT == 0]})
    exchange.halts = set()
    exchange.asked.clear()
    return rings


async def marks(rings):
    """Return (minutes ago, finality) of each mark."""
    held = (await rings.records(["AUSDT"], ago(BARS - 1), END))["AUSDT"]
    absent = held[held["reserved"] & ABSENT != 0]
    return [((END - int(row["open_time_ms"])) // MINUTE_MS, int(row["finality"])) for row in absent]


@pytest.mark.parametrize("keep", [0, 5], ids=["empty", "partial"])
async def test_an_answer_without_its_neighbours_marks_nothing(exchange, rest, canned, row, keep):
    rings = await full(rest, exchange, range(30, 50))
    whole = [row(ago(n)) for n in range(49, 29, -1)]
    lying = canned(body=orjson.dumps(whole[:keep]))
    exchange.answer(KLINES, lying, lying)
    report = await fetch(rest, rings)
    assert report.absent_bars == 0
    assert await marks(rings) == []
    assert (await fetch(rest, rings)).gaps_left == {}, "so they are asked for again, and come"


async def test_bars_that_are_lacking_between_their_neighbours_are_marked_and_cost_one_request_more(exchange, rest):
    rings = await full(rest, exchange, range(30, 40))
    exchange.halts = {ago(n) for n in range(30, 40)}
    report = await fetch(rest, rings)
    assert (report.absent_bars, report.requests) == (10, 2)
    assert await marks(rings) == [(n, Finality.PROVISIONAL) for n in range(39, 29, -1)]
    assert (await fetch(rest, rings)).requests == 0


async def test_the_second_look_makes_a_mark_sure_or_brings_the_bar(exchange, rest):
    rings = await full(rest, exchange, [30, 40])
    exchange.halts = {ago(30), ago(40)}
    await fetch(rest, rings)
    exchange.halts = {ago(30)}
    again = {"AUSDT": [(ago(40), ago(40)), (ago(30), ago(30))]}
    await fetch_ranges(rest, rings, again, end_ms=END, concurrency=1, mark=CONFIRMED)
    assert await marks(rings) == [(30, CONFIRMED)]
    assert (await rings.load(["AUSDT"], END, BARS)).valid.sum() == BARS - 1


async def test_what_the_stream_has_said_of_a_bar_is_never_taken_for_absent(exchange, rest):
    rings = await full(rest, exchange, [])
    held = (await rings.records(["AUSDT"], ago(30), ago(30)))["AUSDT"].copy()
    fresh = MemoryRings()
    everything = (await rings.records(["AUSDT"], ago(BARS - 1), END))["AUSDT"].copy()
    everything["finality"][everything["open_time_ms"] == ago(30)] = Finality.STREAM_CLOSED
    await fresh.write({"AUSDT": everything})
    exchange.halts = {ago(30)}
    again = {"AUSDT": [(ago(30), ago(30))]}
    await fetch_ranges(rest, fresh, again, end_ms=END, concurrency=1, mark=CONFIRMED)
    kept = (await fresh.records(["AUSDT"], ago(30), ago(30)))["AUSDT"]
    assert kept["close"].tolist() == held["close"].tolist()
    assert await marks(fresh) == []


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_a_doubt_is_a_stretch_with_its_nearest_known_neighbours(in_vain, known):
    known -= in_vain
    found = list(doubts(np.array(sorted(in_vain), np.int64), np.array(sorted(known), np.int64), 1))
    covered = set()
    for doubt in found:
        stretch = set(range(doubt.first_ms, doubt.last_ms + 1))
        assert stretch <= in_vain
        covered |= stretch
        assert doubt.after_ms == min(n for n in known if n > doubt.last_ms)
        assert doubt.before_ms == max((n for n in known if n < doubt.first_ms), default=None)
    assert covered == {n for n in in_vain if any(k > n for k in known)}


def test_a_stretch_too_long_for_one_request_is_left_alone_unless_it_is_before_a_listing():
    assert Doubt(2, 1700, 1, 1701).question(1) is None
    assert Doubt(2, 1700, None, 1701).question(1) == (202, 1701)
