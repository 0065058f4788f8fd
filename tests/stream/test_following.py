"""What is followed is what is wanted, whatever Redis does in between."""

from __future__ import annotations

import pytest

from aione.errors import InvalidInput, ServiceUnavailable
from aione.stream.following import Following
from aione.stream.shard import Shard
from aione.stream.symbols import Wanted


class Register:
    """What stands in Redis; each method fails while it is named in ``away``."""

    def __init__(self):
        self.says = Wanted(is_known=False)
        self.away = set()
        self.forgotten, self.loaded = [], []

    def check(self, name):
        if name in self.away:
            raise ServiceUnavailable(name)

    async def wanted(self):
        self.check("wanted")
        return self.says

    async def load_book(self, symbols):
        self.check("load_book")
        self.loaded += symbols
        return {symbol: {"spread_median_frac": 0.1} for symbol in symbols}

    async def forget(self, symbols):
        self.check("forget")
        self.forgotten += symbols


class World:
    def __init__(self, shard=Shard()):  # noqa: B008  # immutable
        self.register, self.taken, self.restored, self.refuses = Register(), [], {}, False
        self.following = Following(self.register, shard, self.take_up, self.restored.update)

    def take_up(self, wanted, gone, new):
        if self.refuses:
            raise InvalidInput("no route")
        self.taken.append((wanted.symbols, list(gone), list(new)))

    async def turn(self, *symbols, away=(), fails=None):
        self.register.says, self.register.away = Wanted(symbols, symbols), set(away)
        if fails is None:
            await self.following.run_once()
        else:
            with pytest.raises(fails):
                await self.following.run_once()


async def test_a_change_is_taken_up_once():
    world = World()
    for _ in range(3):
        await world.turn("A", "B")
    await world.turn("B", "C")
    assert world.taken == [(("A", "B"), [], ["A", "B"]), (("B", "C"), ["A"], ["C"])]
    assert (world.register.forgotten, world.register.loaded) == (["A"], ["A", "B", "C"])
    assert set(world.restored) == {"A", "B", "C"}


@pytest.mark.parametrize("away", ["forget", "load_book"])
async def test_what_redis_did_not_take_is_done_as_soon_as_it_does(away):
    world = World()
    await world.turn("A", "B")
    await world.turn("B", "C", away=[away], fails=ServiceUnavailable)
    assert world.following.wanted.symbols == ("B", "C"), "what is followed does not wait for Redis"
    await world.turn("B", "C")
    await world.turn("B", "C")
    assert (world.register.forgotten, world.register.loaded) == (["A"], ["A", "B", "C"])
    assert len(world.taken) == 2


async def test_what_is_owed_is_let_go_of_when_it_is_no_longer_true():
    world = World()
    await world.turn("A", "B")
    await world.turn("B", "C", away=["forget"], fails=ServiceUnavailable)
    await world.turn("A", "B")
    assert world.register.forgotten == ["C"], "A is followed again: its entries are not removed under it"
    assert world.register.loaded == ["A", "B", "A"]


async def test_an_empty_share_is_a_share():
    world = World(Shard(1, 2))
    mine = [f"S{number}" for number in range(40) if Shard(1, 2).take((f"S{number}",))][:2]
    other = next(f"S{number}" for number in range(40) if not Shard(1, 2).take((f"S{number}",)))
    await world.turn(*mine)
    await world.turn(other)
    assert world.taken[-1] == ((), sorted(mine), [])
    assert world.following.everyone.symbols == (other,)
    await world.turn()
    assert world.register.forgotten == sorted(mine)


async def test_a_universe_that_is_empty_is_followed_too():
    world = World()
    await world.turn("A")
    await world.turn()
    assert world.taken[-1] == ((), ["A"], [])
    assert world.following.everyone == world.following.wanted == Wanted()


async def test_where_nothing_stands_everything_stays_as_it_was():
    """Redis was emptied: nobody has said that nothing is wanted."""
    world = World()
    await world.turn("A")
    world.register.says = Wanted(is_known=False)
    await world.following.run_once()
    assert world.following.wanted.symbols == ("A",)
    assert len(world.taken) == 1


async def test_a_change_that_is_refused_is_tried_again():
    world = World()
    world.refuses = True
    await world.turn("A", fails=InvalidInput)
    assert world.following.wanted == Wanted()
    world.refuses = False
    await world.turn("A")
    assert world.taken == [(("A",), [], ["A"])]


async def test_errands_may_begin_once_anything_is_wanted():
    world = World()
    await world.following.run_once()
    await world.turn()
    assert not world.following.has_symbols.is_set()
    await world.turn("A")
    assert world.following.has_symbols.is_set()
