"""The past hour of open interest of symbols that are new."""

from __future__ import annotations

import numpy as np
import pytest

from aione.errors import VenueUnavailable
from aione.screening.context import HOUR_MS, market_snapshot
from aione.screening.interest import POINTS, seed_open_interest


async def _snapshot(services):
    prefilter = await services.states.load_prefilter()
    infos = {info.symbol: info for info in (await services.states.load_universe()).infos}
    now_ms = services.now_ms()
    panel = await services.minute_rings.load(prefilter.symbols, now_ms // 60_000 * 60_000 - 60_000, 5)
    return await market_snapshot(services, panel, infos, prefilter, now_ms)


async def test_the_change_of_the_last_hour_is_known_after_the_first_refresh(screened):
    market = await _snapshot(screened)
    assert np.isfinite(market.open_interest_change_frac).all()
    symbol = market.symbols[0]
    points = await screened.rest.open_interest_hist(symbol, limit=POINTS)
    past = next(point.open_interest for point in points if screened.now_ms() - point.time_ms <= HOUR_MS)
    now = (await screened.rest.open_interest(symbol)).open_interest
    assert market.open_interest_change_frac[0] == pytest.approx(now / past - 1.0)


async def test_what_is_held_is_not_asked_again(screened):
    symbols = (await screened.states.load_prefilter()).symbols
    now = {symbol: await screened.rest.open_interest(symbol) for symbol in symbols}
    assert await seed_open_interest(screened, symbols, now) == 0
    now_ms = screened.now_ms()
    old, young = [now_ms - HOUR_MS - 60_000, 1.0], [now_ms - 60_000, 1.0]
    await screened.states.save_derivatives(
        {symbols[0]: {"open_interest": 1.0, "at_ms": now_ms, "samples": [old, young]}}
    )
    assert await seed_open_interest(screened, symbols, now) == 1, "one is too old, the other too young"
    row = (await screened.states.load_derivatives(symbols))[symbols[0]]
    assert len(row["samples"]) == POINTS


async def test_without_the_history_the_refresh_goes_on(screened, monkeypatch, caplog):
    symbols = (await screened.states.load_prefilter()).symbols
    now = {symbol: await screened.rest.open_interest(symbol) for symbol in symbols}
    await screened.redis.flushdb()

    async def refuse(*_args, **_options):
        raise VenueUnavailable("HTTP 503")

    monkeypatch.setattr(type(screened.rest), "open_interest_hist", refuse)
    assert await seed_open_interest(screened, symbols, now) == len(symbols)
    assert f"open interest of {len(symbols)} symbols is unknown: HTTP 503" in caplog.text
    assert await screened.states.load_derivatives(symbols) == {}
