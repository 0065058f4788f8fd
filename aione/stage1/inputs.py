"""What a trigger is given, and what it gives back: one row a symbol, all symbols at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.indicators.readings import Readings
from aione.panel import B1, F8, MarketSnapshot
from aione.stage1.thresholds import EffectiveThresholds

I1 = NDArray[np.int8]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TriggerInput:
    """Everything a trigger may look at; the three are aligned to the same S symbols.

    Attributes
    ----------
    readings : Readings
        Every indicator at the last closed bar.
    market : MarketSnapshot
        Order book and derivatives.
    thresholds : EffectiveThresholds
        ``thresholds["volume_z"]`` is float64 (S,): each symbol's own value.

    Raises
    ------
    InvalidInput
        The three do not hold the same symbols in the same order.
    """

    readings: Readings
    market: MarketSnapshot
    thresholds: EffectiveThresholds
    _shared: dict[Callable[[TriggerInput], Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def once(self, compute: Callable[[TriggerInput], T]) -> T:
        """Return ``compute(self)``, computed for the first trigger that asks and remembered for the others."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        found: T = self._shared[compute]
        return found

    def __post_init__(self) -> None:
        symbols = self.readings.symbols
        for name, part in (("market", self.market), ("thresholds", self.thresholds)):
            if part.symbols != symbols:
                raise InvalidInput(
                    f"{name} must hold the {len(symbols)} symbols of the readings in their order,"
                    f" held {len(part.symbols)} symbols or another order"
                )


@dataclass(frozen=True, slots=True)
class TriggerResult:
    """What one trigger says of every symbol.

    Attributes
    ----------
    fired : bool (S,)
    side : int8 (S,)
        +1 speaks for up, -1 for down, 0 for neither; 0 where not fired.
    strength : float64 (S,)
        0 where not fired, else in [0, 1].
    value : float64 (S,)
        What was compared; NaN where an input is unknown, and then nothing fires.
    threshold : float64 (S,)
        What it was compared with.
    names : tuple of str
        The thresholds of `EffectiveThresholds` that the trigger reads, the main one first. Empty where it has none.
    which : int8 (S,), or one for all
        Index into ``names`` of the one that ``threshold`` shows; -1 where that is the trigger's own.
    """

    fired: B1
    side: I1
    strength: F8
    value: F8
    threshold: F8
    names: tuple[str, ...] = ()
    which: I1 | int = 0


Trigger = Callable[[TriggerInput], TriggerResult]
"""A trigger is a pure function; its name is its module's name."""

__all__ = ["I1", "Trigger", "TriggerInput", "TriggerResult"]
