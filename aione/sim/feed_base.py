"""What all feeds share: where they take their data from, how they are asked, and what counts as a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from aione.sim.desk import Desk, Instrument
from aione.sim.faults import Faults
from aione.sim.options import SimOptions


@dataclass(frozen=True, slots=True)
class Source:
    """What every feed is made from."""

    desk: Desk
    options: SimOptions
    faults: Faults

    def instrument(self, symbol: str, now_ms: int) -> Instrument | None:
        """Return the instrument, or None where it is not listed or does not trade."""
        found = self.desk.instruments(now_ms).get(symbol)
        return found if found and found.is_trading else None

    def trading(self, now_ms: int) -> list[Instrument]:
        """Return every instrument that trades."""
        return [one for one in self.desk.instruments(now_ms).values() if one.is_trading]


class Feed(Protocol):
    """One stream.

    Attributes
    ----------
    period_ms : int
        Time between two calls of ``produce``.
    """

    period_ms: int

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield the payloads that are new; where nothing changed, none.

        An all-market feed yields an empty payload after each symbol, so that it can be made in slices.
        """
        ...


_STAMPS: Final = frozenset("ETuUCOFL") | {"pu"}


def encode(value: Any) -> bytes:
    """Return the JSON of an event."""
    return orjson.dumps(value)


def content(event: dict[str, Any]) -> tuple[Any, ...]:
    """Return what makes an event new: everything but its times and numbers."""
    return tuple(value for key, value in event.items() if key not in _STAMPS)


__all__ = ["Feed", "Source", "content", "encode"]
