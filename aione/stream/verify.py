"""Comparing with REST what was streamed: every bar that only its closing event has confirmed is fetched once.

1. The symbols are spread evenly over the minutes of ``VERIFY_INTERVAL_SEC``, each by its name, in every process alike.
2. In a symbol's minute its streamed bars that have settled are fetched with the cheapest requests, after everything
   else that wants the budget. An hour of bars costs one request of weight 1.
3. What REST says is the last word: the same numbers raise the bar's finality, others are a correction.
4. A bar that REST did not have when it was asked for first (`aione.venue.absent`) is asked for once more here.

Which bars are still to be compared stands in the rings themselves, so a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from aione.panel.bar_panel import B1
from aione.panel.bars import MINUTE_MS, Finality
from aione.store.ring_layout import ABSENT, Records
from aione.store.rings import Rings
from aione.stream.healing import ranges_of
from aione.venue.absent import CONFIRMED
from aione.venue.history import fetch_ranges
from aione.venue.ledger import Priority
from aione.venue.rest import BinanceRest
from config.settings import Settings

SETTLED_MS: Final = 300_000
"""A bar is compared when it ended at least so long ago."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared, and how many of those bars the exchange told differently."""

    compared: int = 0
    corrected: int = 0


class Verifier:
    """Compares streamed bars with REST; parameters as those of `aione.stream.healing.Healer`."""

    def __init__(self, rest: BinanceRest, rings: Rings, settings: Settings) -> None:
        self._rest = rest
        self._rings = rings
        self._bars = settings.PRELOAD_1M_LOOKBACK_INIT
        self._slots = max(1, round(settings.VERIFY_INTERVAL_SEC * 1000 / MINUTE_MS))
        self._minute: int | None = None

    async def run_once(self, symbols: Sequence[str], now_ms: int) -> VerifyReport:
        """Compare the symbols whose minute it is, and those of minutes that were missed since the last call.

        Raises
        ------
        VenueError, ServiceUnavailable
            The same symbols come up again.
        """
        minute = now_ms // MINUTE_MS
        first = minute if self._minute is None else max(self._minute + 1, minute - self._slots + 1)
        due = {at % self._slots for at in range(first, minute + 1)}
        group = [symbol for symbol in symbols if crc32(symbol.encode()) % self._slots in due]
        compared, corrected = 0, 0
        if group:
            end_ms = (now_ms - SETTLED_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS
            held = await self._rings.records(group, end_ms - (self._bars - 1) * MINUTE_MS, end_ms)
            times = {symbol: rows["open_time_ms"][is_to_be_compared(rows)] for symbol, rows in held.items()}
            wanted = {symbol: ranges_of(open_ms) for symbol, open_ms in times.items() if open_ms.size}
            report = await fetch_ranges(
                self._rest.at(Priority.REFRESH), self._rings, wanted, end_ms=end_ms, concurrency=2, mark=CONFIRMED
            )
            compared = sum(
                int((held[symbol]["finality"] == Finality.STREAM_CLOSED).sum())
                for symbol in wanted
                if symbol not in report.failed
            )
            corrected = report.bars_corrected
        self._minute = minute
        return VerifyReport(compared, corrected)


def is_to_be_compared(rows: Records) -> B1:
    """Return which records nobody but the stream has said, or are absent at a first look alone, bool ``(n,)``."""
    is_doubted = (rows["reserved"] & ABSENT != 0) & (rows["finality"] < CONFIRMED)
    compared: B1 = (rows["finality"] == Finality.STREAM_CLOSED) | is_doubted
    return compared


__all__ = ["SETTLED_MS", "Verifier", "VerifyReport", "is_to_be_compared"]
