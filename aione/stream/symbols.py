"""Which symbols the worker follows, as the flows have left it in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from aione.store.state import StateStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """Symbols whose bars are followed, and those whose best bid and ask are followed too."""

    symbols: tuple[str, ...] = ()
    screened: tuple[str, ...] = ()


async def read_wanted(state: StateStore) -> Wanted:
    """Return the screened symbols, or the universe's before the first prefilter, in a stable order.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    InvalidInput
        What stands there cannot be read.
    """
    prefilter = await state.load_prefilter()
    if prefilter is not None and prefilter.symbols:
        screened = tuple(sorted(prefilter.symbols))
        return Wanted(screened, screened)
    universe = await state.load_universe()
    return Wanted() if universe is None else Wanted(tuple(sorted(universe.symbols)))


__all__ = ["Wanted", "read_wanted"]
