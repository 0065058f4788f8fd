"""What the doctor says of stream workers and their bars."""

from __future__ import annotations

import re

import pytest

from aione.panel.bars import Finality
from aione.run.doctor import examine
from aione.sim.clock import ManualClock
from aione.store import keys
from aione.venue.ledger_redis import RedisLedger
from config.settings import load_settings

from .conftest import FAIL, OK, START, WARN, Market, look, look_once, wall_ms

# ── The stream ──


@pytest.mark.parametrize("last_word", [None, {"state": "stopped"}, {"age_ms": 10_000}])
async def test_no_worker_fails_and_one_that_stopped_or_fell_silent_is_none(checks, worker, last_word):
    if last_word is not None:
        await worker(**last_word)
    one = await look_once(checks(), "stream")
    assert (one.health, one.text) == (FAIL, "no stream worker runs")
    assert one.advice == "start one with 'aione stream'"


async def test_a_worker_that_delivers_is_ok_with_what_it_says(checks, worker):
    name = await worker(streams={"proven": 9, "wanted": 2}, connections=3, last_message_age_ms=1500)
    one = await look_once(checks(), "stream")
    assert one.health is OK
    assert one.text == "share 1/1: 3 connections, streams 9 proven, 2 wanted, 3 symbols, newest message 1.5 s old"
    assert (one.facts["worker"], one.facts["shard"], one.facts["connections"]) == (name, "1/1", 3)
    assert "stream_states" not in one.facts


async def test_before_the_first_message_and_with_bars_that_wait_it_says_so(checks, worker):
    await worker(pending=7, last_message_age_ms=None)
    one = await look_once(checks(), "stream")
    told = "share 1/1: 2 connections, streams none, 3 symbols, 7 bars wait for Redis; nothing is delivered"
    assert (one.health, one.text) == (FAIL, told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"connections": 0}, "every connection is down"),
        ({"last_message_age_ms": 60_001}, "nothing is delivered"),
    ],
)
async def test_a_worker_that_gets_nothing_fails_whatever_its_streams_once_were(checks, worker, changes, told):
    await worker(streams={"wanted": 9}, **changes)
    one = await look_once(checks(), "stream")
    assert one.health is FAIL
    assert one.text.endswith(told)


async def test_every_stream_is_named_where_that_is_asked_for(checks, worker):
    await worker(named={"a@kline_1m": "proven", "b@bookTicker": "stale"}, streams={"proven": 1, "stale": 1})
    one = await look_once(checks(shows_streams=True), "stream")
    first, *named = one.text.splitlines()
    assert first == "share 1/1: 2 connections, streams 1 proven, 1 stale, 3 symbols, newest message 0.5 s old"
    assert [line.split() for line in named] == [["a@kline_1m", "proven"], ["b@bookTicker", "stale"]]
    assert one.facts["stream_states"] == {"a@kline_1m": "proven", "b@bookTicker": "stale"}
    assert (await look_once(checks(), "stream")).text == first


BEHIND = [f"S{number}" for number in range(9)]


@pytest.mark.parametrize(
    ("silent", "behind", "told"),
    [(["a@kline_1m"], [], "a@kline_1m"), ([], BEHIND[:2], "S0, S1"), (["a@x"], BEHIND, "a@x, S0, S1, S2, S3")],
)
async def test_silent_streams_and_symbols_that_are_behind_are_a_warning_with_a_few_names(
    checks, worker, silent, behind, told
):
    await worker(silent=silent, behind=len(behind), behind_symbols=behind)
    one = await look_once(checks(), "stream")
    assert one.health is WARN
    assert one.text.endswith(f"; {told}")
    assert one.facts["behind_symbols"] == behind


async def test_a_connection_that_was_refused_for_good_fails_whatever_else_is_wrong(checks, worker):
    await worker(silent=["a"], behind=1, failures=["kline: upgrade refused", "depth: too"])
    one = await look_once(checks(), "stream")
    assert (one.health, one.advice) == (FAIL, "check VENUE.routes")
    assert one.text.endswith("; refused: kline: upgrade refused")


@pytest.mark.parametrize("shares", [["1/1"], ["2/2", "1/2"], ["1/3", "2/3", "3/3"], [f"{n}/12" for n in range(1, 13)]])
async def test_shares_that_cover_the_symbols_are_ok_each(checks, worker, shares):
    for share in shares:
        await worker(share)
    found = await look(checks(), "stream")
    assert [one.health for one in found] == [OK] * len(shares)


@pytest.mark.parametrize("shares", [["1/2"], ["1/2", "1/2"], ["1/1", "2/2"], ["1/1", "1/2", "2/2"], ["1/3", "3/3"]])
async def test_shares_that_do_not_cover_the_symbols_fail_together(checks, worker, shares):
    for share in shares:
        await worker(share)
    *each, together = await look(checks(), "stream")
    assert [one.health for one in each] == [OK] * len(shares)
    assert together.health is FAIL
    assert together.text == f"the shares {', '.join(sorted(set(shares)))} do not cover the symbols exactly once"


async def test_what_another_version_left_of_a_worker_does_not_hide_the_other_parts(checks, redis):
    await redis.hset(keys.stream_status("old"), mapping={"state": "running", "updated_ms": str(wall_ms())})
    await redis.zadd(keys.stream_workers(), {"old": wall_ms()})
    table = checks().table()
    stream, cycle = await examine({"stream": table["stream"], "cycle": table["cycle"]})
    assert (stream.health, cycle.health) == (FAIL, WARN)
    assert "KeyError" in stream.text


# ── Bars ──


async def test_before_the_first_prefilter_there_is_nothing_to_look_at(bars):
    for _ in range(2):
        one = await look_once(bars.checks, "bars")
        assert (one.health, one.text) == (WARN, "no symbol is screened yet")
        await bars.screen()


async def test_bars_that_are_all_there_and_final_are_ok(bars):
    await bars.screen("AUSDT", "BUSDT")
    await bars.write("AUSDT")
    await bars.write("BUSDT", last=Finality.REST_CONFIRMED)
    one = await look_once(bars.checks, "bars")
    assert one.health is OK
    assert one.text == "2 of 2 symbols have a final bar of the last minute, none has a hole"
    assert one.facts == {"symbols": 2, "not_final": [], "holes": [], "short": []}


async def test_a_bar_has_fifteen_seconds_to_become_final(redis, checks, exchange):
    for second, health in ((14, OK), (15, FAIL)):
        bars = Market(redis, await exchange(ManualClock(START + 60_000 + second * 1000)), checks)
        await bars.screen("AUSDT")
        await bars.write("AUSDT")
        assert (await look_once(bars.checks, "bars")).health is health


async def test_a_bar_that_is_not_final_and_a_hole_are_a_warning_with_their_names(bars):
    await bars.screen("AUSDT", "BUSDT", "CUSDT", "DUSDT")
    await bars.write("AUSDT")
    await bars.write("BUSDT", without=[-7, -8])
    await bars.write("CUSDT", last=Finality.SUCCESSOR_SEEN)
    await bars.write("DUSDT", without=range(-bars.bars, -100))
    one = await look_once(bars.checks, "bars")
    assert one.health is WARN
    told = "3 of 4 symbols have a final bar of the last minute, 1 have holes, 1 have a short history"
    assert one.text == f"{told}: CUSDT, BUSDT, DUSDT"
    assert one.facts == {"symbols": 4, "not_final": ["CUSDT"], "holes": ["BUSDT"], "short": ["DUSDT"]}


async def test_while_every_request_is_on_hold_the_bars_are_not_looked_at_and_it_says_why(bars, redis):
    await bars.screen("AUSDT")
    await bars.write("AUSDT")
    await RedisLedger(redis, load_settings(environ={}).VENUE).hold(30.0)
    one = await look_once(bars.checks, "bars")
    assert (one.health, one.advice) == (WARN, "wait, then ask again")
    assert re.search(r"on hold for (29|30) s more", one.text)


@pytest.mark.parametrize(("late", "health"), [(3, WARN), (4, FAIL), (6, FAIL)])
async def test_more_than_half_of_the_symbols_without_a_final_bar_is_a_failure(bars, late, health):
    symbols = [f"S{number}USDT" for number in range(6)]
    await bars.screen(*symbols)
    for at, symbol in enumerate(symbols):
        await bars.write(symbol, without=[-1] if at < late else [])
    one = await look_once(bars.checks, "bars")
    assert one.health is health
    assert one.text.endswith(": " + ", ".join(symbols[: min(late, 5)])), "five names at the most"
