"""Open interest, which has no stream and no bulk request: polled by rank within a budget of its own.

Half of the polls go round the best `BEST` ranks, half round the others, so the best are known to within a minute and
every one within ``2 * symbols / open_interest_weight`` minutes. Each symbol keeps samples of the last hour, a change
over which is told together with the time that it spans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import cycle, islice
from typing import Any, Final, Protocol

from aione.errors import RequestRejected
from aione.panel.bars import MINUTE_MS
from aione.venue.ledger import Priority
from aione.venue.rest import BinanceRest

BEST: Final = 50
EVERY_S: Final = 5.0
SAMPLE_EVERY_MS: Final = 5 * MINUTE_MS
SAMPLES: Final = 13
FEW: Final = 4
"""Own samples up to which somebody else's are looked for: a quarter of an hour of them."""


class Shelf(Protocol):
    """Where open interest is kept."""

    async def save_open_interest(self, rows: dict[str, dict[str, Any]]) -> None:
        """Store rows by symbol."""

    async def load_open_interest(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the stored rows; a symbol without one is absent."""


class OpenInterestPoller:
    """Polls a few symbols each time it is run.

    Parameters
    ----------
    rest : BinanceRest
    shelf : Shelf
    weight_per_minute : int
        Requests a minute; each has weight 1.
    """

    name = "polling open interest"
    is_for_all = False
    every_s = EVERY_S

    def __init__(self, rest: BinanceRest, shelf: Shelf, weight_per_minute: int) -> None:
        self._rest = rest
        self._shelf = shelf
        self._polls = weight_per_minute * EVERY_S / 60.0
        self._due = 0.0
        self._symbols: tuple[str, ...] = ()
        self._turns: Iterator[str] = iter(())
        self._rows: dict[str, dict[str, Any]] = {}

    async def run_once(self, symbols: Collection[str], now_ms: int) -> None:
        """Poll the symbols whose turn it is; ``symbols`` are by rank, the best first.

        Raises
        ------
        VenueError, ServiceUnavailable
            The others of this turn come up again in the next round.
        """
        if tuple(symbols) != self._symbols:
            self._symbols = tuple(symbols)
            self._turns = turns(self._symbols)
            known = await self._shelf.load_open_interest([s for s in self._symbols if s not in self._rows])
            self._rows = {s: row for s, row in {**known, **self._rows}.items() if s in set(self._symbols)}
        self._due += self._polls
        polls = int(self._due)
        self._due -= polls  # whatever becomes of them: what an outage has put off is not made up for at once
        fresh: dict[str, dict[str, Any]] = {}
        turn = list(dict.fromkeys(islice(self._turns, polls)))
        await self._learn_past(turn)
        for symbol in turn:
            try:
                found = await self._rest.at(Priority.REFRESH).open_interest(symbol)
            except RequestRejected:
                continue  # it has just left: the next refresh of the universe drops it
            fresh[symbol] = self._rows[symbol] = updated(self._rows.get(symbol), found.open_interest, now_ms)
        await self._shelf.save_open_interest(fresh)

    async def _learn_past(self, turn: Sequence[str]) -> None:
        """Take over samples that others have stored of symbols whose own are still few: a refresh asks for the past."""
        few = [symbol for symbol in turn if len(self._rows.get(symbol, {}).get("samples", [])) < FEW]
        for symbol, row in (await self._shelf.load_open_interest(few) if few else {}).items():
            mine = self._rows.get(symbol)
            self._rows[symbol] = row if mine is None else {**mine, "samples": together(mine["samples"], row["samples"])}


def together(mine: Sequence[list[Any]], others: Sequence[list[Any]]) -> list[list[Any]]:
    """Return the samples of both, oldest first, one of each moment.

    Examples
    --------
    >>> together([[30, 3.0]], [[10, 1.0], [30, 3.0]])
    [[10, 1.0], [30, 3.0]]
    """
    return [list(sample) for sample in sorted({tuple(sample) for sample in (*mine, *others)})][-SAMPLES:]


def turns(symbols: Sequence[str]) -> Iterator[str]:
    """Yield symbols for ever: one of the best ranks, one of the others, and so on.

    Examples
    --------
    >>> list(islice(turns(["A", "B"]), 3))
    ['A', 'B', 'A']
    """
    best, others = symbols[:BEST], symbols[BEST:]
    if not others:
        yield from cycle(best)
        return
    for pair in zip(cycle(best), cycle(others), strict=False):
        yield from pair


def updated(row: dict[str, Any] | None, open_interest: float, at_ms: int) -> dict[str, Any]:
    """Return a symbol's row with a new value; a sample is kept every five minutes, for an hour."""
    samples = list(row["samples"]) if row else []
    if not samples or at_ms - samples[-1][0] >= SAMPLE_EVERY_MS:
        samples.append([at_ms, open_interest])
    return {"open_interest": open_interest, "at_ms": at_ms, "samples": samples[-SAMPLES:]}


__all__ = ["BEST", "EVERY_S", "OpenInterestPoller", "together", "turns", "updated"]
