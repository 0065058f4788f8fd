"""A re-scan on request: which symbols it may look at besides the screened ones."""

from __future__ import annotations

from collections.abc import Sequence

from aione.errors import InvalidInput
from aione.screening.runtime import Runtime


async def admit(runtime: Runtime, symbols: Sequence[str], *, is_forced: bool) -> tuple[str, ...]:
    """Return the requested symbols that the prefilter did not screen; forced ones become fast symbols for a while.

    Raises
    ------
    InvalidInput
        A symbol that the universe does not hold, or that the prefilter dropped while ``is_forced`` is false; the
        message names it and the reason.
    """
    universe = await runtime.states.load_universe()
    prefilter = await runtime.states.load_prefilter()
    known = set(universe.symbols) if universe else set()
    screened = set(prefilter.symbols) if prefilter else set()
    dropped = {row.symbol: row for row in prefilter.metrics if not row.passed} if prefilter else {}
    extra = []
    for symbol in dict.fromkeys(symbols):
        if symbol not in known:
            raise InvalidInput(f"{symbol} is not in the universe of {len(known)} tradable perpetuals")
        if symbol in screened:
            continue
        if not is_forced:
            row = dropped.get(symbol)
            why = f"{row.reason}: {row.value}, needed {row.threshold}" if row else "no prefilter result yet"
            raise InvalidInput(f"{symbol} was dropped by the prefilter ({why}); force to look at it all the same")
        extra.append(symbol)
    if extra:
        until_ms = runtime.now_ms() + int(1000 * runtime.settings.FAST_SYMBOLS_TTL_MANUAL)
        await runtime.states.add_fast_symbols(extra, until_ms)
    return tuple(extra)


__all__ = ["admit"]
