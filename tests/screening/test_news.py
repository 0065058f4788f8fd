"""What a cycle tells people of: its signals, and trouble with the data, each once."""

import time

import orjson

from aione.screening.cycle import Cycle
from aione.screening.load import load_cycle
from aione.screening.news import News, gather_news, remember_told
from aione.store import keys

BAR_MS = 1_795_348_740_000


def cycle(*signals):
    return Cycle(BAR_MS, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, (), (), signals)


async def happen(services, text="streams have fallen silent: btcusdt@kline_1m"):
    now_ms = time.time_ns() // 1_000_000
    value = {"kind": "stream_stale", "names": [], "began_ms": now_ms, "ended_ms": None, "text": text, "worker": "w"}
    await services.redis.xadd(keys.incidents(), {"incident": orjson.dumps(value)})
    await services.redis.hset(keys.open_incidents(), "w:stream_stale", orjson.dumps(value))
    await services.redis.zadd(keys.stream_workers(), {"w": now_ms})


async def test_signals_and_incidents_are_told_once(runtime):
    signal = ("BTCUSDT ALERT_BUY", "why")
    assert await gather_news(runtime, cycle()) == News(())
    assert (await gather_news(runtime, cycle(signal))).messages == (signal,)
    await happen(runtime)
    news = await gather_news(runtime, cycle(signal))
    assert [subject for subject, _ in news.messages] == ["DATA stream_stale", "BTCUSDT ALERT_BUY"]
    await remember_told(runtime, news)
    assert (await gather_news(runtime, cycle())).messages == ()


async def test_an_open_incident_stands_first_among_the_warnings_of_a_cycle(screened):
    await happen(screened)
    loaded = await load_cycle(screened, BAR_MS)
    assert loaded.warnings[0] == "streams have fallen silent: btcusdt@kline_1m"
