"""A symbol whose bars are wrong is kept out by the cycle that sees it, and let in by the one that sees it healed."""

from __future__ import annotations

import numpy as np
import pytest
import redis as sync_redis

from aione.audit.kinds import undocumented
from aione.audit.query import read_stream
from aione.metrics import Metrics
from aione.panel import MINUTE_MS
from aione.publish.codec import decode
from aione.quality import Quarantined
from aione.screening.analyse import find_triggers, score
from aione.screening.cycle import publish_cycle, trade
from aione.screening.load import load_cycle
from aione.store import keys

from .trading import open_trade

BAR_MS = 1_795_348_740_000


async def cycle(services):
    loaded = await load_cycle(services, BAR_MS)
    found = find_triggers(loaded, services.settings)
    scored = score(loaded, found, services.settings)
    traded = await trade(services, loaded, found, scored)
    await publish_cycle(services, loaded, found, scored, scheduled_ms=0)
    state = decode(await services.redis.get(services.settings.REDIS_SNAPSHOT_KEY))
    return loaded, found, traded, state


async def first(services):
    return (await services.states.load_prefilter()).symbols[0]


async def held(services, symbol):
    return (await services.minute_rings.records([symbol], BAR_MS - 1499 * MINUTE_MS, BAR_MS))[symbol]


async def store(services, symbol, records):
    await services.redis.delete(keys.bar_ring(symbol, "1m"))
    await services.minute_rings.write({symbol: records})


def asset_of(state, symbol):
    return next(asset for asset in state["assets"] if asset["symbol"] == symbol)


async def test_sound_bars_of_a_cycle_keep_nobody_out(screened):
    loaded, found, _, state = await cycle(screened)
    assert loaded.quarantine == {}
    assert state["counters"]["quarantined"] == 0
    assert all(asset["quarantine"] is None for asset in state["assets"])
    assert found.stage1.scored.all()


@pytest.mark.parametrize(
    ("bars_back", "change", "rule", "value", "detail"),
    [
        (1, {"close": -1.0}, "price_not_positive", -1.0, "a price is not a positive number: -1, bound 0"),
        (30, {"volume": -5.0}, "volume_negative", -5.0, "the volume is negative or no number: -5, bound 0"),
        (30, {"volume": np.nan}, "volume_negative", None, "the volume is negative or no number: no number, bound 0"),
        (700, {"volume": -5.0}, "unsound_bars", 1.0, "bars of the history are against arithmetic: 1, bound 0"),
    ],
)
async def test_a_wrong_bar_keeps_its_symbol_out_and_a_healed_one_lets_it_in(
    screened, redis_url, bars_back, change, rule, value, detail
):
    symbol = await first(screened)
    right = (await held(screened, symbol)).copy()
    wrong = right.copy()
    for name, number in change.items():
        wrong[name][-1 - bars_back] = number
    await store(screened, symbol, wrong)
    loaded, found, _, state = await cycle(screened)
    assert list(loaded.quarantine) == [symbol]
    row = loaded.panel.symbols.index(symbol)
    assert found.stage1.scored.sum() == len(loaded.panel.symbols) - 1
    assert not found.stage1.scored[row]
    asset = asset_of(state, symbol)
    assert (asset["state"], asset["signal"], asset["recommendation"]) == ("error", "NONE", None)
    assert asset["quarantine"] == {
        "rule": rule, "detail": detail, "value": value,
        "bound": 0.0, "bar_ms": BAR_MS - bars_back * MINUTE_MS, "since_ms": loaded.now_ms, "by": "guard",
    }  # fmt: skip
    assert state["counters"]["quarantined"] == 1
    assert any(f"symbols are in quarantine: {symbol}" in warning for warning in state["meta"]["warnings"])
    assert list(await screened.states.load_quarantine()) == [symbol]

    await store(screened, symbol, right)
    loaded, found, _, state = await cycle(screened)
    assert loaded.quarantine == {}
    assert found.stage1.scored[row]
    assert asset_of(state, symbol)["quarantine"] is None
    assert await screened.states.load_quarantine() == {}

    assert await screened.audit.aflush()
    with sync_redis.Redis.from_url(redis_url) as client:
        events, _ = read_stream(client)
    told = [event for event in events if event.kind == "quarantine"]
    assert undocumented(told) == []
    assert [(one.symbol, one.payload["state"], one.payload["rule"]) for one in told] == [
        (symbol, "added", rule),
        (symbol, "released", rule),
    ]
    metrics = Metrics()
    await metrics.refresh(screened.redis)
    assert metrics.rows("aione_quarantine_total") == {("added", rule, "guard"): 1.0, ("released", rule, "guard"): 1.0}
    assert metrics.value("aione_quarantined") == 0.0


async def test_a_cycle_that_finds_the_same_again_tells_it_once(screened, redis_url):
    symbol = await first(screened)
    wrong = (await held(screened, symbol)).copy()
    wrong["low"][-3] = 0.0
    await store(screened, symbol, wrong)
    for _ in range(3):
        await cycle(screened)
    assert await screened.audit.aflush()
    with sync_redis.Redis.from_url(redis_url) as client:
        events, _ = read_stream(client)
    assert [event.payload["state"] for event in events if event.kind == "quarantine"] == ["added"]


async def test_what_a_suite_has_put_in_is_let_out_by_the_guards(screened):
    symbol = await first(screened)
    entry = Quarantined(symbol, "volume_negative", -1.0, 0.0, BAR_MS - 60_000, BAR_MS, "suite")
    elsewhere = Quarantined("ELSEWHEREUSDT", "volume_negative", -1.0, 0.0, BAR_MS - 60_000, BAR_MS, "suite")
    await screened.states.change_quarantine([entry, elsewhere], [])
    loaded, *_ = await cycle(screened)
    assert loaded.quarantine == {}
    assert list(await screened.states.load_quarantine()) == ["ELSEWHEREUSDT"], "nobody has looked at its bars"


async def test_a_trade_is_not_led_through_wrong_bars(screened):
    symbol = await first(screened)
    right = (await held(screened, symbol)).copy()
    close = float(right["close"][-5])
    await open_trade(screened, symbol, BAR_MS, close)
    wrong = right.copy()
    wrong["low"][-2] = close * 1e-6  # far below the stop, and below any belief
    await store(screened, symbol, wrong)
    loaded, *_ = await cycle(screened)
    assert loaded.quarantine[symbol].rule in {"vwap_outside_range", "range_too_wide"}
    assert symbol in (await screened.trades.load()).open, "the stop was not hit by a price that was never there"
    await store(screened, symbol, right)
    loaded, *_ = await cycle(screened)
    assert loaded.quarantine == {}
    assert symbol in (await screened.trades.load()).open
