"""What the quality flow looks at, read from where it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from aione.errors import InsufficientData, InvalidInput
from aione.panel import MINUTE_MS
from aione.quality import Inputs, UniverseRows
from aione.screening.runtime import Runtime
from aione.store.ring_layout import ABSENT, Records

SETTLED_MS: Final = 15_000
"""So long after its end a bar is expected to be there and final."""
HOUR_MS: Final = 3_600_000
HOUR_BARS: Final = 60


async def load_inputs(runtime: Runtime, hours_back: int, symbols: Sequence[str] = ()) -> Inputs:
    """Read what the suites are to validate.

    Parameters
    ----------
    runtime : Runtime
    hours_back : int
        Length of the hour; never less than what the guards look at.
    symbols : sequence of str
        Only these; without any, every screened, traded or quarantined symbol of the universe.

    Raises
    ------
    InsufficientData
        There is no universe or no prefilter result yet.
    InvalidInput
        A symbol that the universe does not hold; the message names it.
    """
    universe = await runtime.states.load_universe()
    prefilter = await runtime.states.load_prefilter()
    if universe is None or prefilter is None:
        raise InsufficientData("there is no screened universe yet; the preload and prefilter flows make it")
    now_ms = runtime.now_ms()
    end_ms = (now_ms - SETTLED_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS
    bars = runtime.settings.SCREENING_LOOKBACK
    known = set(universe.symbols)
    strange = [symbol for symbol in symbols if symbol not in known]
    if strange:
        raise InvalidInput(f"{strange[0]} is not in the universe of {len(known)} tradable perpetuals")
    watched = symbols or [
        *prefilter.symbols,
        *(await runtime.trades.load()).open,
        *await runtime.states.load_quarantine(),
    ]
    chosen = tuple(symbol for symbol in dict.fromkeys(watched) if symbol in known)
    held = await runtime.minute_rings.records(chosen, end_ms - MINUTE_MS * (bars - 1), end_ms)
    return Inputs(
        now_ms=now_ms,
        end_ms=end_ms,
        rows=UniverseRows.of(universe.infos),
        before=await _an_hour_ago(runtime, now_ms),
        symbols=chosen,
        records={symbol: held[symbol][held[symbol]["reserved"] & ABSENT == 0] for symbol in chosen},
        holes=np.array([_holes(held[symbol]) for symbol in chosen], dtype=np.int64),
        bars=bars,
        hour_bars=min(bars, max(HOUR_BARS * hours_back, runtime.settings.QUALITY.window_bars)),
    )


async def _an_hour_ago(runtime: Runtime, now_ms: int) -> int | None:
    """Return the size of the universe an hour ago; None where the first refresh is younger."""
    try:
        return len((await runtime.states.universes.at(now_ms - HOUR_MS)).symbols)
    except InsufficientData:
        return None


def _holes(held: Records) -> int:
    """Return how many bars are missing between the first and the last that are held, marks of absent bars included."""
    if not len(held):
        return 0
    times = np.unique(held["open_time_ms"])
    return int((times[-1] - times[0]) // MINUTE_MS + 1 - len(times))


__all__ = ["load_inputs"]
