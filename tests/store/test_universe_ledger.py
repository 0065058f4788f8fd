"""The universe of any past minute, from the journal alone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aione.errors import InsufficientData, InvalidInput
from aione.store import keys, universe_ledger
from aione.store.state import StateStore
from aione.venue.universe import Universe
from config.models import SymbolInfo

NOW = 1_779_278_400_000
TEN_MINUTES = 600_000


def info(symbol, tick_size=0.1):
    return SymbolInfo(
        symbol=symbol, base_asset=symbol[:-4], quote_asset="USDT", contract_type="PERPETUAL", underlying_type="COIN",
        status="TRADING", onboard_ms=0, delivery_ms=1, tick_size=tick_size, step_size=0.1,
    )  # fmt: skip


def drawn(dice, at_ms):
    """A universe in which contracts come, go, change their rules and their order."""
    symbols = [f"S{number}USDT" for number in range(12)]
    dice.shuffle(symbols)
    kept = [info(symbol, dice.choice([0.1, 0.01])) for symbol in symbols[: dice.randint(0, 9)]]
    rejected = {symbol: ("status", dice.choice(["BREAK", "SETTLING"])) for symbol in symbols[9:]}
    return Universe(tuple(one.symbol for one in kept), tuple(kept), rejected, at_ms)


@pytest.mark.parametrize("seed", range(6))
async def test_the_universe_of_every_moment_is_rebuilt_as_it_was_in_force(redis, monkeypatch, seed):
    monkeypatch.setattr(universe_ledger, "CHECKPOINT_EVERY", 4)
    monkeypatch.setattr(universe_ledger, "ENTRIES_A_READ", 3)
    dice, store, in_force = random.Random(seed), StateStore(redis), {}
    for number in range(22):
        at_ms = NOW + number * TEN_MINUTES
        if dice.random() < 0.2:
            await store.mark_universe_stale(f"the exchange did not answer at {at_ms}", at_ms)
        else:
            await store.save_universe(drawn(dice, at_ms))
        in_force[at_ms] = await store.load_universe()
    for at_ms, universe in in_force.items():
        if universe is not None:
            assert await store.universes.at(at_ms) == universe
            assert await store.universes.at(at_ms + TEN_MINUTES - 1) == universe


async def test_before_the_first_refresh_there_is_nothing_to_rebuild(redis):
    store = StateStore(redis)
    with pytest.raises(InsufficientData, match="there is none"):
        await store.universes.at(NOW)
    await store.save_universe(Universe(("AUSDT",), (info("AUSDT"),), {}, NOW))
    with pytest.raises(InsufficientData, match=f"the first is of {NOW}"):
        await store.universes.at(NOW - 1)


async def test_what_is_no_journal_is_said(redis):
    await redis.xadd(keys.universe_journal(), {"entry": b"{broken"})
    with pytest.raises(InvalidInput, match="must hold entries of JSON"):
        await StateStore(redis).universes.at(NOW)


async def test_a_year_of_refreshes_is_kept_in_few_megabytes(redis):
    store = StateStore(redis)
    universe = Universe(*zip(*((f"S{n}USDT", info(f"S{n}USDT")) for n in range(800)), strict=True), {}, NOW)
    for number in range(2 * universe_ledger.CHECKPOINT_EVERY):
        await store.save_universe(replace(universe, refreshed_ms=NOW + number * TEN_MINUTES))
    used = await redis.memory_usage(keys.universe_journal(), samples=0)
    assert used / 2 * 365 < 150e6, "bytes of a year, one checkpoint a day"
    assert universe_ledger.ENTRIES_KEPT >= 365 * 144
