"""One cycle on real services: load, analyse, trade, publish; and the same minute again."""

import asyncio
import math
from dataclasses import replace

import numpy as np
import pytest

from aione.errors import InsufficientData, InvalidInput, VenueUnavailable
from aione.panel import MINUTE_MS, Finality, Source
from aione.publish.codec import decode
from aione.screening.analyse import find_triggers, score
from aione.screening.cycle import publish_cycle, skip_reason, trade
from aione.screening.load import load_cycle
from aione.screening.request import admit
from aione.store import keys

from .trading import open_trade

BAR_MS = 1_795_348_740_000
"""The minute that ends at 2026-11-22 12:00 UTC, where the clock of the fixture stands."""


async def run(services):
    loaded = await load_cycle(services, BAR_MS)
    found = find_triggers(loaded, services.settings)
    scored = score(loaded, found, services.settings)
    traded = await trade(services, loaded, found, scored)
    return loaded, traded.events, await publish_cycle(services, loaded, found, scored, scheduled_ms=0)


async def snapshot(services):
    return decode(await services.redis.get(services.settings.REDIS_SNAPSHOT_KEY))


async def test_without_a_universe_there_is_nothing_to_load(runtime):
    with pytest.raises(InsufficientData, match="no screened universe"):
        await load_cycle(runtime, BAR_MS)
    assert "no screened universe" in await skip_reason(runtime, BAR_MS)


async def test_a_cycle_publishes_the_whole_universe_with_numbers_or_null(screened):
    loaded, _, cycle = await run(screened)
    state = await snapshot(screened)
    assert {asset["symbol"] for asset in state["assets"]} == set(loaded.infos)
    assert cycle.screened == len(loaded.panel.symbols) == state["counters"]["screened"]
    assert cycle.missing_bars == 0
    for asset in state["assets"]:
        assert all(value is None or math.isfinite(value) for value in asset["stats"].values())
        assert asset["state"] != "no_trade" or asset["prefilter"]["reason"]


async def test_the_same_minute_again_changes_nothing_but_what_the_clock_says(screened):
    _, _, first = await run(screened)
    before = await snapshot(screened)
    _, events, second = await run(screened)
    after = await snapshot(screened)
    assert events == 0

    def content(state):
        drop = {"data_age_ms", "ages", "last_updated"}
        return [{key: value for key, value in asset.items() if key not in drop} for asset in state["assets"]]

    assert content(before) == content(after)
    assert first.bar_time_ms == second.bar_time_ms
    assert "published already" in await skip_reason(screened, BAR_MS)


async def test_a_bar_that_the_stream_missed_is_fetched(screened):
    symbol = (await screened.states.load_prefilter()).symbols[0]
    await screened.redis.delete(keys.bar_ring(symbol, "1m"))
    loaded = await load_cycle(screened, BAR_MS)
    assert loaded.missing == ()
    assert loaded.panel.valid[loaded.panel.symbols.index(symbol)].all()


async def test_a_bar_that_cannot_be_had_is_said_to_be_missing_and_its_symbol_is_not_scored(screened, monkeypatch):
    symbol = (await screened.states.load_prefilter()).symbols[0]
    await screened.redis.delete(keys.bar_ring(symbol, "1m"))

    async def down(*_, **__):
        raise VenueUnavailable("no answer from GET /fapi/v1/klines")

    monkeypatch.setattr("aione.screening.load.preload", down)
    loaded = await load_cycle(screened, BAR_MS)
    assert loaded.missing == (symbol,)
    assert "no answer from GET /fapi/v1/klines" in loaded.warnings[0]
    found = find_triggers(loaded, screened.settings)
    assert found.stage1.scored.sum() == len(loaded.panel.symbols) - 1
    scored = score(loaded, found, screened.settings)
    cycle = await publish_cycle(screened, loaded, found, scored, scheduled_ms=0)
    assert cycle.missing_bars == 1
    state = await snapshot(screened)
    assert state["meta"]["stale"]
    assert [asset["symbol"] for asset in state["assets"] if asset["state"] == "no_data"] == [symbol]


async def test_while_every_request_is_on_hold_a_cycle_runs_without_the_bars_and_says_so(screened, monkeypatch):
    monkeypatch.setattr("aione.screening.load.FETCH_WITHIN_S", 0.3)
    symbol = (await screened.states.load_prefilter()).symbols[0]
    await screened.redis.delete(keys.bar_ring(symbol, "1m"))
    await screened.rest.ledger.hold(20.0)
    began_s = asyncio.get_running_loop().time()
    loaded = await load_cycle(screened, BAR_MS)
    assert asyncio.get_running_loop().time() - began_s < 5.0
    assert loaded.missing == (symbol,)
    assert loaded.warnings[0] == "bars of 1 symbols could not be fetched within 0.3 s"
    assert loaded.panel.valid[:, -1].sum() == len(loaded.panel.symbols) - 1


async def test_a_bar_that_is_not_final_is_waited_for_then_used_and_said(screened):
    symbol = (await screened.states.load_prefilter()).symbols[0]
    settings = screened.settings.model_copy(update={"SCREENING_GRACE_S": 0.0})
    held = (await screened.minute_rings.records([symbol], BAR_MS - 9 * MINUTE_MS, BAR_MS))[symbol].copy()
    held["finality"][-1], held["source"][-1] = Finality.SUCCESSOR_SEEN, Source.STREAM
    await screened.redis.delete(keys.bar_ring(symbol, "1m"))
    await screened.minute_rings.write({symbol: held})
    loaded = await load_cycle(replace(screened, settings=settings), BAR_MS)
    assert loaded.provisional == [symbol]
    assert f"symbols run on a bar that is not final: {symbol}" in loaded.warnings[0]
    found = find_triggers(loaded, settings)
    cycle = await publish_cycle(screened, loaded, found, score(loaded, found, settings), scheduled_ms=0)
    assert cycle.summary()["provisional_bars"] == 1
    assets = {asset["symbol"]: asset for asset in (await snapshot(screened))["assets"]}
    assert (assets[symbol]["bar_finality"], assets[symbol]["bar_source"]) == ("provisional", "stream")
    others = [assets[other] for other in loaded.panel.symbols if other != symbol]
    assert {(asset["bar_finality"], asset["bar_source"]) for asset in others} == {("final", "rest")}


async def test_a_symbol_with_a_hole_in_its_history_is_syncing_and_never_scored(screened):
    symbol = (await screened.states.load_prefilter()).symbols[0]
    held = (await screened.minute_rings.records([symbol], BAR_MS - 1499 * MINUTE_MS, BAR_MS))[symbol]
    await screened.redis.delete(keys.bar_ring(symbol, "1m"))
    await screened.minute_rings.write({symbol: np.delete(held, [700, 701])})
    loaded, _, cycle = await run(screened)
    row = loaded.panel.symbols.index(symbol)
    assert loaded.holes.tolist() == [2 * (other == symbol) for other in loaded.panel.symbols]
    assert not find_triggers(loaded, screened.settings).stage1.scored[row]
    assert cycle.syncing == 1
    assert f"symbols lack bars and wait: {symbol}" in cycle.warnings[0]
    state = await snapshot(screened)
    assert [asset["symbol"] for asset in state["assets"] if asset["state"] == "syncing"] == [symbol]


async def test_the_trade_of_a_symbol_that_has_left_the_universe_is_closed_at_its_last_price(screened):
    universe = await screened.states.load_universe()
    symbol = (await screened.states.load_prefilter()).symbols[0]
    (close,) = (await screened.minute_rings.load([symbol], BAR_MS, 1)).close[0].tolist()
    await open_trade(screened, symbol, BAR_MS, close)
    await screened.states.save_universe(
        replace(
            universe,
            symbols=tuple(other for other in universe.symbols if other != symbol),
            infos=tuple(info for info in universe.infos if info.symbol != symbol),
            rejected={**universe.rejected, symbol: ("status", "SETTLING")},
        )
    )
    loaded, count, _ = await run(screened)
    assert symbol not in loaded.panel.symbols
    assert (loaded.gone, count) == ({symbol: close}, 1)
    book = await screened.trades.load()
    assert symbol not in book.open
    (trade,) = book.closed
    assert (trade.exit_reason, trade.closed_ms, trade.r_multiple) == ("delisted", BAR_MS + MINUTE_MS, 0.0)
    assert (await run(screened))[1] == 0, "once"


async def test_a_request_for_unknown_and_dropped_symbols_is_refused_by_name(screened):
    with pytest.raises(InvalidInput, match="NOPEUSDT is not in the universe"):
        await admit(screened, ["NOPEUSDT"], is_forced=True)
    universe = await screened.states.load_universe()
    passed = (await screened.states.load_prefilter()).symbols
    dropped = next(symbol for symbol in universe.symbols if symbol not in passed)
    with pytest.raises(InvalidInput, match=f"{dropped} was dropped"):
        await admit(screened, [dropped], is_forced=False)
    assert await admit(screened, [dropped], is_forced=True) == (dropped,)
    assert dropped in await screened.states.fast_symbols(screened.now_ms())
