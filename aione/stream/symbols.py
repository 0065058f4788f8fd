"""Which symbols the worker follows, as the flows have left it in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from aione.store.state import StateStore
from aione.store.trades import TradeStore
from aione.stream.shard import Shard


@dataclass(frozen=True, slots=True)
class Wanted:
    """Symbols whose bars are followed, the best rank first, and those whose order book is followed too."""

    symbols: tuple[str, ...] = ()
    screened: tuple[str, ...] = ()

    def of(self, shard: Shard) -> Wanted:
        """Return a worker's share."""
        return self if shard.of == 1 else Wanted(shard.take(self.symbols), shard.take(self.screened))


async def read_wanted(state: StateStore, trades: TradeStore) -> Wanted:
    """Return the screened symbols by rank, then those with an open trade; before the first prefilter the universe.

    A symbol that has left the universe is not wanted, whatever the prefilter said before.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    InvalidInput
        What stands there cannot be read.
    """
    prefilter = await state.load_prefilter()
    universe = await state.load_universe()
    if prefilter is None or not prefilter.symbols:
        return Wanted() if universe is None else Wanted(universe.symbols)
    traded = (await trades.load()).open
    tradable = None if universe is None else frozenset(universe.symbols)
    wanted = [s for s in dict.fromkeys([*prefilter.symbols, *sorted(traded)]) if tradable is None or s in tradable]
    return Wanted(tuple(wanted), tuple(wanted))


__all__ = ["Wanted", "read_wanted"]
