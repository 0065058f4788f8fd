"""New alerts of the published state become events, each once within its cooldown."""

from __future__ import annotations

import asyncio

import pytest

from aione.errors import ServiceUnavailable
from aione.metrics import Metrics
from aione.publish.parts import ConfidenceMetrics, MarketContext, Narrative, RiskParameters
from aione.publish.payload import Asset, Counters
from aione.publish.publisher import Publisher
from aione.stream.alerts import AlertWatch
from aione.stream.events import EventBuffer
from config.settings import load_settings

BAR_MS = 1_779_278_400_000
NOW_MS = BAR_MS + 62_000


def settings(**notify):
    return load_settings(environ={}, overrides={"NOTIFY": notify})


class Market:
    """What is published, and the events that a watch has made of it."""

    def __init__(self, redis, chosen):
        self.redis, self.settings = redis, chosen
        self.publisher = Publisher(redis, chosen)
        self.buffer = EventBuffer(Metrics(), 100)
        self.watch = AlertWatch(redis, chosen, self.buffer)

    async def look(self, now_ms=NOW_MS):
        """Let the watch look and return what is new, as (symbol, signal, confidence)."""
        await self.watch.run_once((), now_ms)
        events = self.buffer.first(100)
        self.buffer.sent(events)
        return [
            (event.labels["prefect.resource.name"], event.labels["aione.signal"], event.labels["aione.confidence"])
            for event in events
        ]

    async def says(self, *assets, now_ms=NOW_MS):
        await self.publisher.publish(
            list(assets), Counters(), ts_ms=NOW_MS, bar_time_ms=BAR_MS, source="test", stale=False, warnings=[]
        )
        return await self.look(now_ms)


@pytest.fixture
def market(redis):
    return Market(redis, settings())


def asset(symbol="BTCUSDT", signal="ALERT_BUY", state="alert", confidence=0.7):
    return Asset(
        symbol=symbol,
        state=state,
        signal=signal,
        recommendation="BUY_IN_DIPS",
        price_str="100.0",
        trigger_reasons=["volume_spike"],
        confidence_metrics=None if confidence is None else ConfidenceMetrics(raw=confidence),
        market_context=MarketContext(scenario="RANGE_BOUND") if confidence else None,
        risk_parameters=RiskParameters(side="long", entry=100.0, sl=99.0, tp=[101.0, 102.0], rr=2.0),
        narrative=Narrative(en="it rises", uk="зростає"),
    )


QUIET = asset(signal="NONE", state="normal")


async def test_nothing_published_is_no_news(market):
    assert await market.look() == []


async def test_a_new_signal_is_news_once_while_it_lasts(market):
    assert await market.says(QUIET) == []
    assert await market.says(asset()) == [("BTCUSDT", "ALERT_BUY", "high")]
    assert await market.says(asset(confidence=0.9)) == []
    assert await market.look() == []


async def test_a_signal_that_comes_again_is_news_after_its_cooldown(redis):
    market = Market(redis, settings(alert_cooldown_s=0.3))
    assert len(await market.says(asset())) == 1
    await market.says(QUIET)
    assert await market.says(asset(confidence=0.8)) == []
    await asyncio.sleep(0.35)
    await market.says(QUIET)
    assert len(await market.says(asset(confidence=0.8))) == 1


async def test_another_signal_of_the_same_symbol_is_news(market):
    assert len(await market.says(asset())) == 1
    assert await market.says(asset(signal="ALERT_SELL")) == [("BTCUSDT", "ALERT_SELL", "high")]


async def test_an_alert_without_a_signal_is_news_of_its_own(market):
    assert await market.says(asset(signal="NONE", confidence=None)) == [("BTCUSDT", "ALERT", "unknown")]


async def test_a_signal_that_is_lost_while_the_alert_lasts_is_no_news(market):
    assert len(await market.says(asset())) == 1
    assert await market.says(asset(signal="NONE")) == []


async def test_a_snapshot_of_another_major_version_is_no_news(market, caplog, monkeypatch):
    monkeypatch.setattr("aione.stream.alerts.SCHEMA_VERSION", "9.0.0")
    assert await market.says(asset()) == []
    assert "expected schema 9.0.0, was 1." in caplog.text


@pytest.mark.parametrize(("confidence", "grade"), [(0.5, "high"), (0.49, "ordinary"), (None, "unknown")])
async def test_confidence_is_graded_by_the_threshold(market, confidence, grade):
    assert await market.says(asset(confidence=confidence)) == [("BTCUSDT", "ALERT_BUY", grade)]


async def test_a_worker_that_starts_anew_tells_nothing_again(market, redis):
    assert len(await market.says(asset())) == 1
    assert await Market(redis, settings()).look() == []


async def test_two_workers_tell_the_same_alert_once(market, redis):
    other = Market(redis, settings())
    first = await market.says(asset())
    assert first + await other.look() == [("BTCUSDT", "ALERT_BUY", "high")]


async def test_what_was_published_of_a_bar_that_is_over_is_no_news(market):
    assert await market.says(asset(), now_ms=BAR_MS + 600_000) == []
    assert await market.look() == [], "it was seen"


async def test_a_snapshot_that_cannot_be_read_is_no_news_and_ends_nothing(market, redis):
    await market.says(QUIET)
    await redis.set("asset_state_snapshot", b"garbage")
    await redis.hincrby("aione:publish:sequence", "seq", 1)
    assert await market.look() == []


async def test_an_event_carries_the_plan_and_the_words_of_the_chosen_language(redis):
    market = Market(redis, load_settings(environ={}, overrides={"UI_LOCALE": "uk"}))
    await market.publisher.publish(
        [asset()], Counters(), ts_ms=NOW_MS, bar_time_ms=BAR_MS, source="test", stale=False, warnings=[]
    )
    await market.watch.run_once((), NOW_MS)
    (event,) = market.buffer.first(1)
    assert event.resource == "aione.symbol.BTCUSDT"
    assert event.payload == {
        "symbol": "BTCUSDT", "signal": "ALERT_BUY", "state": "alert", "recommendation": "BUY_IN_DIPS",
        "confidence": 0.7, "calibration": "uncalibrated", "scenario": "RANGE_BOUND", "triggers": ["volume_spike"],
        "price": "100.0", "side": "long", "entry": 100.0, "sl": 99.0, "tp": [101.0, 102.0], "rr": 2.0,
        "why": "зростає", "bar_time_ms": BAR_MS, "bar_time": "2026-05-20 12:00 UTC", "seq": 1,
    }  # fmt: skip


async def test_redis_away_is_told_and_nothing_is_forgotten(market, redis, monkeypatch):
    await market.says(QUIET)
    calls = redis.set

    async def away(*_args, **_options):
        raise ConnectionError("gone")

    await market.publisher.publish(
        [asset()], Counters(), ts_ms=NOW_MS, bar_time_ms=BAR_MS, source="test", stale=False, warnings=[]
    )
    monkeypatch.setattr(redis, "set", away)
    with pytest.raises((ServiceUnavailable, OSError)):
        await market.watch.run_once((), NOW_MS)
    monkeypatch.setattr(redis, "set", calls)
    assert await market.look() == [("BTCUSDT", "ALERT_BUY", "high")]
