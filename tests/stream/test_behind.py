"""Who lacks bars is found by the clock, from RAM, whether anybody can bring them or not."""

from __future__ import annotations

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aione.errors import ServiceUnavailable
from aione.panel.bars import BAR_RECORD, Finality
from aione.store.ring_layout import absent_bars
from aione.store.rings import BarRings, MemoryRings
from aione.store.tiers import TieredRings
from aione.stream.behind import BehindWatch
from aione.stream.healing import BEHIND_MS

MINUTE = 60_000
START = 1_779_278_400_000


def bars(*minutes, finality=Finality.STREAM_CLOSED):
    rows = np.zeros(len(minutes), BAR_RECORD)
    rows["open_time_ms"] = [START + MINUTE * minute for minute in minutes]
    rows["finality"], rows["close"] = finality, 1.0
    return rows


def due(minute, late_ms=1):
    """The moment at which the bar of a minute has become due."""
    return START + (minute + 1) * MINUTE + BEHIND_MS + late_ms


@pytest.fixture
def rings():
    """A worker's own while Redis is away for good."""
    gone = aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    return TieredRings(BarRings(gone), memory=MemoryRings(), is_buffering=True)


@pytest.fixture
def watch(rings):
    watch = BehindWatch(rings)
    watch.follow(["A", "B"], START)
    return watch


async def test_a_bar_that_nobody_brings_makes_its_symbol_behind_when_it_is_due(rings, watch):
    await rings.write({"A": bars(0, 1), "B": bars(0)})
    assert await watch.look(due(0)) == ()
    assert await watch.look(due(1, late_ms=-1)) == ()
    assert await watch.look(due(1)) == ("B",)
    assert await watch.look(due(2)) == ("A", "B")


async def test_a_bar_without_proof_is_not_enough_and_one_known_to_be_absent_is(rings, watch):
    await rings.write({"A": bars(0, finality=Finality.SUCCESSOR_SEEN), "B": absent_bars(bars(0)["open_time_ms"])})
    assert await watch.look(due(0)) == ("A",)


async def test_it_is_over_when_the_first_and_the_last_bar_are_there(rings, watch):
    await rings.write({"B": bars(*range(9))})
    for minute in range(4):
        await watch.look(due(minute))
    await rings.write({"A": bars(3)})
    assert await watch.look(due(3)) == ("A",)
    await rings.write({"A": bars(0, 1, 2)})
    assert await watch.look(due(3)) == ()


async def test_a_symbol_is_not_behind_with_what_was_before_it_was_followed(rings, watch):
    await rings.write({"A": bars(*range(20)), "B": bars(*range(20))})
    await watch.look(due(3))
    watch.follow(["A", "B", "NEW"], START + 8 * MINUTE)
    assert await watch.look(due(7)) == ()
    assert await watch.look(due(8)) == ("NEW",)
    watch.follow(["A", "B"], START + 9 * MINUTE)
    assert await watch.look(due(9)) == ()


async def test_a_look_after_a_long_time_looks_a_few_bars_back(rings, watch):
    await rings.write({"A": bars(0), "B": bars(0, *range(96, 101))})
    await watch.look(due(0))
    assert await watch.look(due(100)) == ("A",)


async def test_rings_that_do_not_answer_are_asked_again_about_the_same_bar():
    class Rings:
        is_away = True

        async def unsure(self, symbols, _open_time_ms):
            if self.is_away:
                raise ServiceUnavailable("away")
            return list(symbols)

    rings = Rings()
    watch = BehindWatch(rings)
    watch.follow(["A"], START)
    with pytest.raises(ServiceUnavailable):
        await watch.look(due(0))
    rings.is_away = False
    assert await watch.look(due(0)) == ("A",)
