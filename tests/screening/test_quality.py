"""What the quality flow reads: stored bars as they are, what is lacking, and how large the universe was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.errors import InsufficientData, InvalidInput
from aione.panel import MINUTE_MS, Finality
from aione.quality import DATASETS
from aione.screening.quality import HOUR_MS, load_inputs
from aione.store import keys
from aione.store.ring_layout import absent_bars
from aione.venue.universe import Universe

BAR_MS = 1_795_348_740_000


async def test_without_a_universe_there_is_nothing_to_validate(runtime):
    with pytest.raises(InsufficientData, match="no screened universe"):
        await load_inputs(runtime, 1)


async def test_the_stored_bars_of_every_watched_symbol_are_sound(screened):
    inputs = await load_inputs(screened, 1)
    assert inputs.symbols == tuple((await screened.states.load_prefilter()).symbols)
    assert inputs.end_ms == BAR_MS - MINUTE_MS, "the clock stands at noon: the last bar is not settled"
    assert {len(rows) for rows in inputs.hour.values()} == {60}
    assert inputs.holes.tolist() == [0] * len(inputs.symbols)
    assert [one for name in DATASETS for one in inputs.by_guards(name, screened.settings.QUALITY)] == []


async def test_what_we_lack_is_a_hole_and_what_the_exchange_lacks_is_none(screened):
    first, second = (await screened.states.load_prefilter()).symbols[:2]
    for symbol in (first, second):
        held = (await screened.minute_rings.records([symbol], BAR_MS - 1499 * MINUTE_MS, BAR_MS))[symbol]
        kept = np.delete(held, [700, 701, 702])
        if symbol == second:
            kept = np.concatenate([kept, absent_bars(held["open_time_ms"][700:703], Finality.REST_CONFIRMED)])
        await screened.redis.delete(keys.bar_ring(symbol, "1m"))
        await screened.minute_rings.write({symbol: kept})
    inputs = await load_inputs(screened, 1, [first, second])
    assert inputs.symbols == (first, second)
    assert inputs.holes.tolist() == [3, 0]
    assert len(inputs.records[first]) == len(inputs.records[second])


async def test_a_symbol_that_nobody_knows_is_refused(screened):
    with pytest.raises(InvalidInput, match="NOPEUSDT is not in the universe of"):
        await load_inputs(screened, 1, ["NOPEUSDT"])


@pytest.mark.parametrize(("hours_back", "bars"), [(1, 60), (3, 180), (24, 1440)])
async def test_the_hour_is_as_long_as_is_asked(screened, hours_back, bars):
    assert (await load_inputs(screened, hours_back)).hour_bars == bars


async def test_the_universe_of_an_hour_ago_is_what_a_collapse_is_measured_by(screened):
    now = await screened.states.load_universe()
    assert (await load_inputs(screened, 1)).before is None
    await screened.redis.delete(keys.universe(), keys.universe_journal())
    many = tuple(replace_symbol(now.infos[0], f"S{number}USDT") for number in range(50))
    before = Universe(tuple(info.symbol for info in many), many, {}, now.refreshed_ms - 2 * HOUR_MS)
    await screened.states.save_universe(before)
    await screened.states.save_universe(replace(now, rejected={}))
    inputs = await load_inputs(screened, 1)
    assert inputs.before == 50
    found = inputs.by_guards("universe", screened.settings.QUALITY)
    assert [(one.symbol, one.rule, one.value, one.bound) for one in found] == [
        ("", "universe_collapsed", float(len(now.symbols)), 35.0)
    ]


def replace_symbol(info, symbol):
    return info.model_copy(update={"symbol": symbol})
