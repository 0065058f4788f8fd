"""Preload: only what is missing, at the least cost, and every way in which the exchange can fail on the way."""

import asyncio

import numpy as np
import pytest

from aione.errors import InvalidInput, RequestRejected, VenueUnavailable
from aione.sim.clock import ManualClock
from aione.sim.options import SimOptions
from aione.sim.server import SimServer
from aione.sim.synthetic import SyntheticMarket
from aione.store.rings import BarRings, MemoryRings
from aione.venue import filling
from aione.venue.history import preload
from aione.venue.ledger import LocalLedger
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from config.models import VenueParams

MINUTE_MS = 60_000
END = 1_700_000_400_000
KLINES = "/fapi/v1/klines"


@pytest.fixture(params=["redis", "ram"])
def rings(request, redis):
    return BarRings(redis, "1m") if request.param == "redis" else MemoryRings("1m")


@pytest.fixture(autouse=True)
def fast_backoff(monkeypatch):
    monkeypatch.setattr(filling, "BACKOFF_BASE_S", 0.001)


@pytest.fixture(autouse=True)
def frozen(exchange):
    exchange.frozen_ms = END + MINUTE_MS + 700


def fetch(rest, rings, symbols, *, bars=1500, **options):
    return preload(rest, rings, symbols, **{"interval": "1m", "bars": bars, "end_ms": END, "concurrency": 4, **options})


async def test_a_first_preload_fetches_everything_at_the_least_weight(exchange, rest, rings):
    report = await fetch(rest, rings, ["AUSDT", "BUSDT"])
    assert (report.symbols, report.bars_written, report.requests, report.weight) == (2, 3000, 8, 14)
    assert (report.failed, report.gaps_left, report.absent_bars) == ({}, {}, 0)
    panel = await rings.load(["AUSDT", "BUSDT"], END, 1500)
    assert panel.valid.all()
    np.testing.assert_array_equal(panel.open[0], 1 + panel.open_time_ms // MINUTE_MS % 97)
    assert {int(params["limit"]) for params in exchange.klines()} == {3, 499}


async def test_a_second_preload_fetches_nothing(exchange, rest, rings):
    await fetch(rest, rings, ["AUSDT"])
    asked = len(exchange.klines())
    report = await fetch(rest, rings, ["AUSDT"])
    assert (report.requests, report.bars_written) == (0, 0)
    assert len(exchange.klines()) == asked


async def test_after_a_pause_only_the_gap_is_fetched(exchange, rest, rings):
    await fetch(rest, rings, ["AUSDT"])
    exchange.frozen_ms += 7 * MINUTE_MS
    asked = len(exchange.klines())
    report = await fetch(rest, rings, ["AUSDT"], end_ms=END + 7 * MINUTE_MS)
    assert (report.requests, report.weight, report.bars_written) == (1, 1, 7)
    (params,) = exchange.klines()[asked:]
    assert (params["startTime"], params["endTime"]) == (str(END + MINUTE_MS), str(END + 7 * MINUTE_MS))


async def test_progress_counts_every_symbol_once(rest, rings):
    await fetch(rest, rings, ["AUSDT"], bars=10)
    told = []
    await fetch(rest, rings, ["AUSDT", "BUSDT", "CUSDT", "BUSDT"], bars=10, on_progress=lambda *seen: told.append(seen))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert {symbol for *_, symbol in told} == {"AUSDT", "BUSDT", "CUSDT"}


async def test_progress_may_be_async(rest, rings):
    told = []

    async def tell(done, total, symbol):
        await asyncio.sleep(0)
        told.append((done, total, symbol))

    await fetch(rest, rings, ["AUSDT"], bars=10, on_progress=tell)
    assert told == [(1, 1, "AUSDT")]


async def test_nothing_is_asked_for_before_the_listing(exchange, rest, rings):
    exchange.listed_ms["NEWUSDT"] = END - 30 * MINUTE_MS + 12_345
    report = await fetch(rest, rings, ["NEWUSDT"], onboard_ms={"NEWUSDT": END - 30 * MINUTE_MS + 12_345})
    assert (report.requests, report.bars_written, report.gaps_left) == (1, 30, {})
    assert int(exchange.klines()[0]["startTime"]) == END - 30 * MINUTE_MS


async def test_a_young_symbol_of_unknown_age_is_asked_for_its_past_once(exchange, rest, rings):
    exchange.listed_ms["NEWUSDT"] = END - 100 * MINUTE_MS
    first = await fetch(rest, rings, ["NEWUSDT"])
    assert (first.bars_written, first.absent_bars, first.gaps_left) == (101, 1399, {})
    second = await fetch(rest, rings, ["NEWUSDT"])
    assert second.requests == 0
    panel = await rings.load(["NEWUSDT"], END, 1500)
    assert panel.valid.sum() == 101
    assert np.isnan(panel.close[0, :1399]).all()


async def test_bars_that_the_exchange_does_not_have_are_asked_for_once(exchange, rest, rings):
    exchange.halts = {END - n * MINUTE_MS for n in range(50, 60)}
    first = await fetch(rest, rings, ["AUSDT"], bars=200)
    assert (first.bars_written, first.absent_bars, first.gaps_left) == (190, 10, {})
    assert (await fetch(rest, rings, ["AUSDT"], bars=200)).requests == 0
    assert not (await rings.load(["AUSDT"], END, 200)).valid[0, 140:150].any()


async def test_the_newest_bars_may_only_be_late_and_are_asked_for_again(exchange, rest, rings):
    exchange.halts = {END, END - MINUTE_MS, END - 5 * MINUTE_MS}
    first = await fetch(rest, rings, ["AUSDT"], bars=100)
    assert first.absent_bars == 0
    assert first.gaps_left == {"AUSDT": [(END - 5 * MINUTE_MS,) * 2, (END - MINUTE_MS, END)]}
    exchange.halts = set()
    second = await fetch(rest, rings, ["AUSDT"], bars=100)
    assert (second.requests, second.gaps_left) == (1, {})


async def test_a_symbol_without_any_bar_is_not_marked(exchange, rest, rings):
    exchange.listed_ms["AUSDT"] = END + 3_600_000
    report = await fetch(rest, rings, ["AUSDT"], bars=50)
    assert (report.absent_bars, list(report.gaps_left)) == (0, ["AUSDT"])


async def test_a_bar_that_comes_after_all_takes_its_mark(exchange, rest, rings):
    exchange.halts = {END - 50 * MINUTE_MS}
    await fetch(rest, rings, ["AUSDT"], bars=100)
    exchange.halts = set()
    late = await rest.klines("AUSDT", "1m", limit=1, start_ms=END - 50 * MINUTE_MS, end_ms=END - 50 * MINUTE_MS)
    assert (await rings.write({"AUSDT": late})).changed == 1
    assert (await rings.load(["AUSDT"], END, 100)).valid.all()


async def test_daily_bars(rest, redis):
    day = 86_400_000
    end = END // day * day - day
    report = await preload(rest, BarRings(redis, "1d"), ["AUSDT"], interval="1d", bars=35, end_ms=end, concurrency=1)
    assert (report.bars_written, report.weight, report.gaps_left) == (35, 1, {})


# ── Failures ──


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "failure",
    [
        {"status": 500},
        {"status": 400, "body": b'{"code":-1001,"msg":""}'},
        {"body": b"[[17000"},
        {"body": b"", "promised": 9},
    ],
)
async def test_a_failure_that_passes_is_tried_again(exchange, rest, rings, canned, failure, count):
    exchange.answer(KLINES, *[canned(**failure)] * count)
    report = await fetch(rest, rings, ["AUSDT"], bars=50)
    assert (report.requests, report.bars_written, report.failed) == (count + 1, 50, {})


async def test_one_that_stays_is_reported_after_four_tries(exchange, rest, rings, canned):
    exchange.answer(KLINES, *[canned(status=500)] * 4)
    report = await fetch(rest, rings, ["AUSDT"], bars=50)
    assert (report.requests, report.bars_written) == (4, 0)
    assert "status 500" in report.failed["AUSDT"]
    assert report.gaps_left == {"AUSDT": [(END - 49 * MINUTE_MS, END)]}


async def test_a_reply_that_stays_unreadable_is_reported(exchange, rest, rings, canned):
    exchange.answer(KLINES, *[canned(body=b"[[17")] * 4)
    report = await fetch(rest, rings, ["AUSDT"], bars=50)
    assert report.requests == 4
    assert "not whole JSON" in report.failed["AUSDT"]


async def test_another_form_is_not_tried_again(exchange, rest, rings, canned):
    exchange.answer(KLINES, canned(body=b'[["x"]]'))
    report = await fetch(rest, rings, ["AUSDT", "BUSDT"], bars=50, concurrency=1)
    assert report.requests == 2
    assert list(report.failed) == ["AUSDT"]
    assert report.bars_written == 50


async def test_a_symbol_that_the_exchange_refuses_is_reported_and_the_run_goes_on(exchange, rest, rings, canned):
    exchange.answer(KLINES, canned(status=400, body=b'{"code":-1121,"msg":"Invalid symbol."}'))
    report = await fetch(rest, rings, ["GONEUSDT", "BUSDT"], bars=50, concurrency=1)
    assert list(report.failed) == ["GONEUSDT"]
    assert "Invalid symbol" in report.failed["GONEUSDT"]
    assert report.bars_written == 50


async def test_a_request_that_is_wrong_ends_the_run(exchange, rest, rings, canned):
    exchange.answer(KLINES, canned(status=451, body=b'{"code":0,"msg":"restricted location"}'))
    with pytest.raises(RequestRejected, match="restricted"):
        await fetch(rest, rings, ["AUSDT", "BUSDT"], bars=50, concurrency=1)
    assert len(exchange.klines()) == 1


async def test_an_exchange_that_is_down_ends_the_run_and_not_every_symbol(exchange, rest, rings, canned):
    exchange.answer(KLINES, *[canned(status=502)] * 1000)
    with pytest.raises(VenueUnavailable, match="status 502"):
        await fetch(rest, rings, [f"S{n}USDT" for n in range(100)], bars=50)
    assert len(exchange.klines()) <= 4 * (5 + 4)


async def test_a_hold_is_waited_for_and_then_the_run_goes_on(exchange, rest, rings, canned):
    exchange.answer(KLINES, canned(status=429, body=b'{"code":-1003,"msg":""}', headers={"Retry-After": "1"}))
    started = asyncio.get_running_loop().time()
    report = await fetch(rest, rings, ["AUSDT", "BUSDT"], bars=50, concurrency=1)
    assert asyncio.get_running_loop().time() - started >= 1.0
    assert (report.failed, report.bars_written, report.requests) == ({}, 100, 3)


async def test_a_ban_fails_at_once_and_sends_nothing_more(exchange, rest, rings, canned):
    exchange.answer(KLINES, canned(status=418, body=b'{"code":-1003,"msg":""}', headers={"Retry-After": "7200"}))
    with pytest.raises(VenueUnavailable, match="on hold for another"):
        await fetch(rest, rings, [f"S{n}USDT" for n in range(40)], bars=50, concurrency=1)
    assert len(exchange.klines()) == 1


async def test_a_hold_too_long_to_wait_for_is_not_tried_again(exchange, rest, rings, canned):
    exchange.answer(KLINES, canned(status=429, body=b'{"code":-1003,"msg":""}', headers={"Retry-After": "7200"}))
    report = await fetch(rest, rings, ["AUSDT"], bars=50)
    assert (report.requests, list(report.failed)) == (1, ["AUSDT"])
    assert "hold for 7200 s" in report.failed["AUSDT"]


async def test_wrong_calls_are_refused(rest, rings):
    with pytest.raises(InvalidInput, match="rings must be of timeframe 1d"):
        await fetch(rest, rings, ["AUSDT"], interval="1d")
    with pytest.raises(InvalidInput, match="concurrency"):
        await fetch(rest, rings, ["AUSDT"], concurrency=0)
    with pytest.raises(InvalidInput, match="capacity"):
        await fetch(rest, rings, ["AUSDT"], bars=3000)


# ── Against the simulated exchange ──

NOW = 1_790_000_000_000
LAST = NOW // MINUTE_MS * MINUTE_MS - MINUTE_MS


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(8)


def tradable(market):
    return [row.symbol for row in market.listings(NOW) if row.onboard_ms < NOW - 3 * 86_400_000][:8]


async def test_the_simulated_exchange_serves_what_its_market_holds(market, redis):
    symbols = tradable(market)
    rings = BarRings(redis, "1m")
    async with (
        SimServer(market, clock=ManualClock(NOW)) as sim,
        BinanceRest(sim.rest_url, RedisLedger(redis, VenueParams())) as rest,
    ):
        report = await preload(rest, rings, symbols, interval="1m", bars=1500, end_ms=LAST, concurrency=4)
        again = await preload(rest, rings, symbols, interval="1m", bars=1500, end_ms=LAST, concurrency=4)
        spent = sim.limits.used_weight("127.0.0.1")
    assert (report.failed, report.gaps_left) == ({}, {})
    assert report.bars_written + report.absent_bars == 1500 * len(symbols)
    assert again.requests == 0
    assert spent <= report.weight + 5
    panel = await rings.load(symbols, LAST, 1500)
    for row, symbol in enumerate(symbols):
        truth = market.bars(symbol, MINUTE_MS, LAST - 1499 * MINUTE_MS, LAST)
        np.testing.assert_allclose(panel.close[row][panel.valid[row]], truth["close"], rtol=1e-9)


async def test_four_processes_with_one_ledger_are_never_told_to_stop(market, redis):
    """Each has its own client and rings; together they would need more than the minute's budget allows at once."""
    symbols = tradable(market)[:4]
    params = VenueParams(weight_per_minute=60)
    async with SimServer(market, clock=ManualClock(NOW), options=SimOptions(weight_limit=60)) as sim:

        async def process() -> int:
            async with BinanceRest(sim.rest_url, RedisLedger(redis, params, sleep=give_up)) as rest:
                try:
                    report = await preload(
                        rest, MemoryRings(), symbols, interval="1m", bars=1500, end_ms=LAST, concurrency=4
                    )
                except BudgetSpentError:
                    return 0
                return len(report.failed)

        failed = await asyncio.gather(*(process() for _ in range(4)))
        refused = sum(count for (_, status), count in sim.rest.requests.items() if status in {418, 429})
        spent = sim.limits.used_weight("127.0.0.1")
    assert (sum(failed), refused) == (0, 0)
    assert spent <= 54


class BudgetSpentError(Exception):
    """The ledger would wait for the next minute; the test does not."""


async def give_up(_):
    raise BudgetSpentError


async def test_without_a_shared_ledger_they_are(market):
    """The proof that the test above can fail."""
    symbols = tradable(market)[:4]
    params = VenueParams(weight_per_minute=60)
    async with SimServer(market, clock=ManualClock(NOW), options=SimOptions(weight_limit=60)) as sim:

        async def process() -> None:
            ledger = LocalLedger(params, sleep=give_up)
            async with BinanceRest(sim.rest_url, ledger) as rest:
                try:
                    await preload(rest, MemoryRings(), symbols, interval="1m", bars=1500, end_ms=LAST, concurrency=4)
                except BudgetSpentError:
                    return

        await asyncio.gather(*(process() for _ in range(4)))
        refused = sum(count for (_, status), count in sim.rest.requests.items() if status in {418, 429})
    assert refused > 0
