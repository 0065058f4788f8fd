"""Which symbols are followed: the screened ones; before the first prefilter, or when it kept none, the universe."""

from __future__ import annotations

import pytest

from aione.errors import InvalidInput
from aione.prefilter import PrefilterResult
from aione.store import keys
from aione.store.state import StateStore
from aione.store.trades import TradeStore
from aione.stream.shard import Shard
from aione.stream.symbols import Wanted, read_wanted, streams_of
from aione.venue.universe import Universe
from config.models import SymbolInfo


def universe(*symbols):
    infos = tuple(
        SymbolInfo(symbol=symbol, base_asset=symbol[:-4], quote_asset="USDT", contract_type="PERPETUAL",
                   underlying_type="COIN", status="TRADING", onboard_ms=0, delivery_ms=1, tick_size=0.1, step_size=0.1)
        for symbol in symbols
    )  # fmt: skip
    return Universe(symbols, infos, {}, 1)


def screened(*symbols):
    return PrefilterResult(symbols, [], [], {}, 0, 0, 0.0, 1)


async def test_before_anything_is_known_nothing_is_wanted(redis):
    assert await read_wanted(StateStore(redis), TradeStore(redis)) == Wanted(is_known=False)


async def test_before_the_first_prefilter_the_bars_of_the_universe_are_followed(redis):
    state = StateStore(redis)
    await state.save_universe(universe("ETHUSDT", "BTCUSDT"))
    assert await read_wanted(state, TradeStore(redis)) == Wanted(("ETHUSDT", "BTCUSDT"), ())
    await state.save_prefilter(screened())
    assert await read_wanted(state, TradeStore(redis)) == Wanted(("ETHUSDT", "BTCUSDT"), ())


async def test_the_screened_symbols_are_followed_the_best_rank_first(redis):
    state = StateStore(redis)
    await state.save_universe(universe("ETHUSDT", "BTCUSDT", "XRPUSDT"))
    for ranked in (("XRPUSDT", "BTCUSDT"), ("BTCUSDT", "XRPUSDT")):
        await state.save_prefilter(screened(*ranked))
        assert await read_wanted(state, TradeStore(redis)) == Wanted(ranked, ranked)


async def test_a_symbol_that_has_left_the_universe_is_not_wanted_any_more(redis):
    state = StateStore(redis)
    await state.save_prefilter(screened("GONEUSDT", "BTCUSDT"))
    await state.save_universe(universe("BTCUSDT"))
    assert (await read_wanted(state, TradeStore(redis))).symbols == ("BTCUSDT",)


def test_workers_share_what_is_wanted():
    symbols = tuple(f"S{number}USDT" for number in range(50))
    wanted = Wanted(symbols, symbols[:20])
    shares = [wanted.of(Shard(index, 3)) for index in (1, 2, 3)]
    assert sorted(symbol for share in shares for symbol in share.symbols) == sorted(symbols)
    assert sorted(symbol for share in shares for symbol in share.screened) == sorted(symbols[:20])
    assert wanted.of(Shard()) is wanted


async def test_what_cannot_be_read_is_said(redis):
    await redis.set(keys.prefilter_result(), b"{broken")
    with pytest.raises(InvalidInput, match="prefilter"):
        await read_wanted(StateStore(redis), TradeStore(redis))


async def test_a_universe_without_symbols_is_known_to_be_empty(redis):
    state = StateStore(redis)
    await state.save_universe(universe())
    assert await read_wanted(state, TradeStore(redis)) == Wanted()


def test_what_is_not_known_is_not_known_to_any_share():
    assert not Wanted(is_known=False).of(Shard(1, 2)).is_known


def test_without_symbols_there_is_no_stream_at_all():
    assert streams_of(Wanted(), "depth20@500ms") == []
    assert streams_of(Wanted(("A",), ("A",)), "") == ["a@kline_1m", "a@bookTicker", "!markPrice@arr@1s"]
