"""Symbols whose bars stay out, whoever should have brought them: found without the exchange and without healing.

1. A bar is due `BEHIND_MS` after its end; by then the stream has closed it, or REST has, or it is known to be absent.
2. Each bar that becomes due is looked up for every symbol that was followed when it ended.
3. A symbol that lacks one is behind until the first and the last bar that it lacked are there: what fills a gap fills
   all of it. Holes inside are the healer's to tell.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from aione.panel.bars import MINUTE_MS
from aione.stream.healing import BEHIND_MS

LOOK_BACK_BARS: Final = 5


class Finality(Protocol):
    """Says which symbols lack a final bar: a part of `aione.store.rings.Rings`."""

    async def unsure(self, symbols: Sequence[str], open_time_ms: int) -> list[str]:
        """Return the symbols without a final bar."""


class BehindWatch:
    """Looks up bars when they are due.

    Parameters
    ----------
    rings : Finality
        1m bars.
    """

    def __init__(self, rings: Finality) -> None:
        self._rings = rings
        self._since_ms: dict[str, int] = {}
        self._lacks: dict[str, tuple[int, int]] = {}
        self._looked_ms = 0

    def follow(self, symbols: Collection[str], now_ms: int) -> None:
        """Watch exactly these symbols, new ones from now on; ``now_ms`` is the exchange's time."""
        self._since_ms = {symbol: self._since_ms.get(symbol, now_ms) for symbol in symbols}
        self._lacks = {symbol: lack for symbol, lack in self._lacks.items() if symbol in self._since_ms}

    async def look(self, now_ms: int) -> tuple[str, ...]:
        """Return the symbols that are behind, the first followed first; ``now_ms`` is the exchange's time.

        Raises
        ------
        ServiceUnavailable
            The rings do not answer; the next look begins where this one did.
        """
        due_ms = (now_ms - BEHIND_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS
        first_ms = max(self._looked_ms + MINUTE_MS, due_ms - (LOOK_BACK_BARS - 1) * MINUTE_MS)
        for open_ms in range(first_ms, due_ms + 1, MINUTE_MS):
            names = [symbol for symbol, since_ms in self._since_ms.items() if since_ms < open_ms + MINUTE_MS]
            for symbol in await self._rings.unsure(names, open_ms):
                self._lacks[symbol] = (self._lacks.get(symbol, (open_ms,))[0], open_ms)
            self._looked_ms = open_ms
        still = await self._still(0) | await self._still(1)
        self._lacks = {symbol: lack for symbol, lack in self._lacks.items() if symbol in still}
        return tuple(symbol for symbol in self._since_ms if symbol in self._lacks)

    async def _still(self, end: int) -> set[str]:
        """Return the symbols that still lack their first (0) or last (1) bar."""
        by_bar: dict[int, list[str]] = {}
        for symbol, lack in self._lacks.items():
            by_bar.setdefault(lack[end], []).append(symbol)
        return {symbol for open_ms, names in by_bar.items() for symbol in await self._rings.unsure(names, open_ms)}


__all__ = ["BehindWatch"]
