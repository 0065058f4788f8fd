"""Several workers on real sockets: together they hold every bar, and the loss of one is made good by its successor."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import pytest

from aione.metrics import Metrics
from aione.panel.bars import VALUE_FIELDS
from aione.store.rings import BarRings, MemoryRings
from aione.store.tiers import TieredRings
from aione.stream.outlet import RedisOutlet
from aione.stream.shard import Shard
from aione.stream.status import read_status
from aione.stream.worker import StreamWorker

MINUTE = 60_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


def worker(exchange, shard):
    rings = TieredRings(BarRings(exchange.redis), memory=MemoryRings(), is_buffering=True)
    return StreamWorker(
        RedisOutlet(exchange.redis), rings, exchange.rest, exchange.settings, metrics=Metrics(), shard=shard,
        serves_metrics=False,
    )  # fmt: skip


async def stop(task):
    task.cancel()
    await asyncio.wait([task], timeout=10.0)
    assert task.done()


async def are_equal(exchange):
    """Whether Redis holds every bar as the exchange has it."""
    start_ms, end_ms = exchange.first_ms, exchange.last_closed_ms()
    shared = BarRings(exchange.redis)
    if end_ms < start_ms or any((await shared.gaps(SYMBOLS, start_ms, end_ms)).values()):
        return False
    bars = (end_ms - start_ms) // MINUTE + 1
    panel = await shared.load(SYMBOLS, end_ms, bars)
    for row, symbol in enumerate(SYMBOLS):
        truth = await exchange.rest.klines(symbol, "1m", limit=bars, start_ms=start_ms, end_ms=end_ms)
        for name in VALUE_FIELDS:
            np.testing.assert_array_equal(getattr(panel, name)[row], truth[name], err_msg=f"{symbol} {name}")
    return True


@pytest.mark.parametrize("shares", [["1/2", "2/2"], ["1/3", "2/3", "3/3"], ["1/1", "1/1"]])
async def test_workers_together_hold_every_bar_and_one_may_be_replaced(start, shares):
    exchange = await start()
    await exchange.screen()
    async with AsyncExitStack() as stack:
        tasks = []
        for share in shares:
            task = asyncio.create_task(worker(exchange, Shard.parse(share)).run())
            stack.push_async_callback(stop, task)
            tasks.append(task)
        await exchange.minutes(2)
        await exchange.until(lambda: are_equal(exchange))
        await stop(tasks[-1])
        await exchange.minutes(1)
        successor = asyncio.create_task(worker(exchange, Shard.parse(shares[-1])).run())
        stack.push_async_callback(stop, successor)
        await exchange.minutes(2)
        await exchange.until(lambda: are_equal(exchange))
        said = [read_status(fields) for fields in (await exchange.state.load_stream_workers()).values()]
    assert {one["shard"] for one in said} <= set(shares)


async def test_each_symbol_is_exactly_one_workers(start):
    exchange = await start()
    await exchange.screen()
    shares = [Shard(1, 2), Shard(2, 2)]
    async with AsyncExitStack() as stack:
        for shard in shares:
            stack.push_async_callback(stop, asyncio.create_task(worker(exchange, shard).run()))

        async def have_spoken():
            # Both are this process, so they stand under two names that differ in their share.
            workers = await exchange.state.load_stream_workers()
            return len([w for w in workers if await exchange.state.load_streams(w)]) == 2

        await exchange.until(have_spoken)
        names = {}
        for one in await exchange.state.load_stream_workers():
            names[one.partition("@")[0]] = await exchange.state.load_streams(one)
    for shard in shares:
        bars = {name for name in names[f"{shard.index}of2"] if name.endswith("@kline_1m")}
        assert bars == {f"{symbol.lower()}@kline_1m" for symbol in shard.take(SYMBOLS)}
