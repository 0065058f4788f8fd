"""The past hour of open interest, asked once of each new symbol, so that its change is known from the first cycle."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aione.errors import VenueError
from aione.screening.asking import ask_each
from aione.screening.context import HOUR_MS, LEAST_SPAN_MS
from aione.screening.runtime import Runtime
from aione.venue.wire import OpenInterest, OpenInterestPoint

POINTS: Final = 13
"""Of five minutes each: the last hour with both its ends."""

_log = logging.getLogger(__name__)


async def seed_open_interest(runtime: Runtime, symbols: Sequence[str], now: Mapping[str, OpenInterest]) -> int:
    """Store the last hour of the symbols of which too little is held; return of how many it was asked.

    Parameters
    ----------
    runtime : Runtime
    symbols : sequence of str
    now : mapping symbol -> OpenInterest
        What the exchange has just said.

    Notes
    -----
    The history has a budget of its own. Where it cannot be asked the change stays unknown until the polls of an hour
    tell it, and a warning says so: nothing else depends on it.
    """
    now_ms = runtime.now_ms()
    held = await runtime.states.load_derivatives(symbols)
    new = [symbol for symbol in symbols if symbol in now and not _reaches_back(held.get(symbol), now_ms)]
    rows: dict[str, dict[str, Any]] = {}

    async def one(symbol: str) -> None:
        points = await runtime.rest.open_interest_hist(symbol, limit=POINTS)
        rows[symbol] = _row(points, now[symbol].open_interest, now_ms)

    try:
        await ask_each(new, one, runtime.settings.OI_SEMAPHORE)
    except VenueError as error:
        _log.warning("the past of the open interest of %d symbols is unknown: %s", len(new) - len(rows), error)
    await runtime.states.save_derivatives(rows)
    return len(new)


def _reaches_back(row: Mapping[str, Any] | None, now_ms: int) -> bool:
    """Return whether a sample is old enough for a change over the last hour, and not too old for it."""
    return row is not None and any(LEAST_SPAN_MS <= now_ms - at_ms <= HOUR_MS for at_ms, _ in row["samples"])


def _row(points: Sequence[OpenInterestPoint], open_interest: float, now_ms: int) -> dict[str, Any]:
    """Return a row as the polls keep it: the value of now, and samples of the past, oldest first."""
    samples = [[point.time_ms, point.open_interest] for point in points if point.time_ms <= now_ms]
    return {"open_interest": open_interest, "at_ms": now_ms, "samples": sorted(samples)[-POINTS:]}


__all__ = ["POINTS", "seed_open_interest"]
