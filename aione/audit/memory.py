"""What the emitters remember of each symbol from cycle to cycle, so that they log changes and not states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aione.errors import InvalidInput

WINDOW: Final = 1000
"""Bars over which density and mean rank are averaged: evenly until there are so many, then with this memory."""


@dataclass(slots=True)
class SymbolMemory:
    """One symbol's past.

    Attributes
    ----------
    seen : int
        Bars looked at, at most `WINDOW`.
    density : float in [0, 1]
        Share of them on which a trigger counted.
    ranked : int
        Of those bars, how many had a rank; at most `WINDOW`.
    mean_rank : float in [0, 1]
    burst : int
        Bars in a row on which a trigger counted, up to the last.
    alert : str
        Side and triggers of the alert that lasts, ``"+1"``; empty is none.
    decision : str
        Scenario and recommendation that were logged last.
    """

    seen: int = 0
    density: float = 0.0
    ranked: int = 0
    mean_rank: float = 0.0
    burst: int = 0
    alert: str = ""
    decision: str = ""

    def look(self, *, has_counted: bool, rank: float | None) -> None:
        """Take one bar into the averages."""
        self.seen = min(self.seen + 1, WINDOW)
        self.density += (has_counted - self.density) / self.seen
        self.burst = self.burst + 1 if has_counted else 0
        if has_counted and rank is not None:
            self.ranked = min(self.ranked + 1, WINDOW)
            self.mean_rank += (rank - self.mean_rank) / self.ranked


@dataclass(slots=True)
class AuditMemory:
    """The past of every symbol up to ``bar_ms``, the open time of the last bar that was looked at."""

    bar_ms: int = 0
    symbols: dict[str, SymbolMemory] = field(default_factory=dict)

    def of(self, symbol: str) -> SymbolMemory:
        """Return a symbol's memory, a fresh one at the first time."""
        return self.symbols.setdefault(symbol, SymbolMemory())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        rows = {name: [getattr(one, key) for key in SymbolMemory.__slots__] for name, one in self.symbols.items()}
        return {"bar_ms": self.bar_ms, "fields": list(SymbolMemory.__slots__), "symbols": rows}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AuditMemory:
        """Rebuild a memory; of one that another version has left, what is known here.

        Raises
        ------
        InvalidInput
            It is no such memory at all.
        """
        try:
            names = [(at, name) for at, name in enumerate(values["fields"]) if name in SymbolMemory.__slots__]
            symbols = {
                symbol: SymbolMemory(**{name: row[at] for at, name in names})
                for symbol, row in values["symbols"].items()
            }
            return cls(int(values["bar_ms"]), symbols)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise InvalidInput(f"an audit memory holds bar_ms, fields and symbols, was {str(values)[:80]}") from error


__all__ = ["WINDOW", "AuditMemory", "SymbolMemory"]
