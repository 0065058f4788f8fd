"""The universe of any past minute, from the journal alone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis import exceptions

from aione.errors import InsufficientData, InvalidInput, ServiceUnavailable
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


def universe(at_ms, *symbols):
    return Universe(symbols, tuple(map(info, symbols)), {}, at_ms)


async def test_checkpoints_go_on_where_the_journal_is_trimmed_as_fast_as_it_grows(redis, monkeypatch):
    """The length of a full journal stands still, so it says nothing of when the last checkpoint was."""
    monkeypatch.setattr(universe_ledger, "CHECKPOINT_EVERY", 24)
    monkeypatch.setattr(universe_ledger, "ENTRIES_KEPT", 300)
    store = StateStore(redis)
    for number in range(1_000):
        await store.save_universe(universe(NOW + number, "AUSDT"))
    journal = await store.universes.journal(1_000)
    assert 300 <= len(journal) < 500
    places = [place for place, entry in enumerate(journal) if entry["is_checkpoint"]]
    assert set(np.diff(places)) == {24}
    for at_ms in range(NOW + 750, NOW + 1_000, 7):
        assert (await store.universes.at(at_ms)).refreshed_ms == at_ms


async def test_two_refreshes_at_once_leave_no_gap(redis, redis_url):
    other = aioredis.Redis.from_url(redis_url)
    preload, prefilter = StateStore(redis), StateStore(other)
    in_force = {}
    for number in range(0, 60, 2):
        first = universe(NOW + number, *(["AUSDT", "BUSDT"] if number % 4 else ["AUSDT"]))
        second = universe(NOW + number + 1, "AUSDT", f"S{number}USDT")
        await asyncio.gather(
            preload.save_universe(first),
            prefilter.save_universe(second),
            prefilter.mark_universe_stale("no answer", NOW + number + 1),
        )
        in_force[NOW + number + 1] = await preload.load_universe()
    for at_ms, held in in_force.items():
        assert await preload.universes.at(at_ms) == held
    await other.aclose()


async def test_a_failed_refresh_does_not_bring_back_what_another_process_has_replaced(redis, monkeypatch):
    store = StateStore(redis)
    await store.save_universe(universe(NOW, "AUSDT", "BUSDT"))
    real, is_first = type(redis.pipeline()).execute, [True]

    async def after_another(pipe, *arguments, **named):
        if is_first.pop() if is_first else False:
            await StateStore(redis).save_universe(universe(NOW + 1, "AUSDT"))
        return await real(pipe, *arguments, **named)

    monkeypatch.setattr(type(redis.pipeline()), "execute", after_another)
    after = await store.mark_universe_stale("no answer", NOW + 2)
    assert (after.symbols, after.is_stale) == (("AUSDT",), True)
    assert await store.load_universe() == after
    assert await store.universes.at(NOW + 1) == universe(NOW + 1, "AUSDT")
    assert await store.universes.at(NOW + 2) == after


async def test_who_never_gets_a_turn_is_told(redis, monkeypatch):
    async def always_changed(*_, **__):
        raise exceptions.WatchError("changed")

    store = StateStore(redis)
    monkeypatch.setattr(type(redis.pipeline()), "execute", always_changed)
    with pytest.raises(ServiceUnavailable, match="was changed by others 20 times"):
        await store.save_universe(universe(NOW, "AUSDT"))


async def test_an_entry_of_an_earlier_time_is_whole(redis):
    """Two processes know the exchange's time a little differently."""
    store = StateStore(redis)
    for at_ms, symbols in ((0, "ABC"), (1_000, "A"), (999, "AB"), (2_000, "ABD")):
        await store.save_universe(universe(NOW + at_ms, *(f"{letter}USDT" for letter in symbols)))
    for at_ms, symbols in ((998, "ABC"), (999, "AB"), (1_999, "AB"), (2_000, "ABD")):
        held = await store.universes.at(NOW + at_ms)
        assert "".join(symbol[0] for symbol in held.symbols) == symbols


@pytest.mark.parametrize("last", [b"{broken", b"[]", b'{"at_ms": 1}', b'{"at_ms": 1, "since": "x"}'])
async def test_after_an_entry_that_cannot_be_followed_comes_a_checkpoint(redis, last):
    store = StateStore(redis)
    await store.save_universe(universe(NOW, "AUSDT"))
    await redis.xadd(keys.universe_journal(), {"entry": last})
    await store.save_universe(universe(NOW + 1, "BUSDT"))
    assert (await store.universes.journal(1))[0]["is_checkpoint"]


async def test_a_year_of_refreshes_is_kept_in_few_megabytes(redis):
    store = StateStore(redis)
    universe = Universe(*zip(*((f"S{n}USDT", info(f"S{n}USDT")) for n in range(800)), strict=True), {}, NOW)
    for number in range(2 * universe_ledger.CHECKPOINT_EVERY):
        await store.save_universe(replace(universe, refreshed_ms=NOW + number * TEN_MINUTES))
    used = await redis.memory_usage(keys.universe_journal(), samples=0)
    assert used / 2 * 365 < 150e6, "bytes of a year, one checkpoint a day"
    assert universe_ledger.ENTRIES_KEPT >= 365 * 144
