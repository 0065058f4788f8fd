"""`Cuts`: the cut points of scenario, risk class and recommendation, for all symbols alike or one a symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.panel import F8
from config.models import RecoThresholds


@dataclass(frozen=True, slots=True)
class Cuts:
    """`RecoThresholds` in which each value is a float, or float64 (S,) where rules have set it for some symbol."""

    scenario_margin: float | F8
    scenario_floor: float | F8
    strong_confidence: float | F8
    entry_confidence: float | F8
    strong_direction: float | F8
    entry_direction: float | F8
    high_vol_quantile: float | F8
    extreme_vol_quantile: float | F8
    high_spread_frac: float | F8
    extreme_spread_frac: float | F8

    @classmethod
    def of(cls, thresholds: RecoThresholds, dynamic: Mapping[str, F8]) -> Self:
        """Return the configured values, and in their place what ``dynamic`` (S,) says; NaN there says nothing."""
        values: dict[str, Any] = thresholds.model_dump()
        for name, column in dynamic.items():
            if name in values:
                values[name] = np.where(np.isnan(column), values[name], column)
        return cls(**values)

    def at(self, name: str, row: int) -> float:
        """Return one cut point of the symbol in ``row``."""
        value = getattr(self, name)
        return float(value[row]) if isinstance(value, np.ndarray) else float(value)


DYNAMIC = frozenset({"tp_mult_factor", "sl_mult_factor", *(field.name for field in fields(Cuts))})
"""What can be set symbol by symbol."""


def check_dynamic(dynamic: Mapping[str, F8], symbols: int) -> None:
    """Raise `InvalidInput` for a name that cannot be set or a column that is not (S,)."""
    for name, column in dynamic.items():
        if name not in DYNAMIC:
            raise InvalidInput(f"{name} cannot be set symbol by symbol, expected one of {', '.join(sorted(DYNAMIC))}")
        if column.shape != (symbols,):
            raise InvalidInput(f"{name} must have shape ({symbols},), was {column.shape}")


def multiplied(base: float, factor: F8 | None, rows: NDArray[np.int64]) -> float | F8:
    """Return a multiplier of some ``rows`` with the factor that rules have set upon it, where they have."""
    return base if factor is None else base * np.where(np.isnan(factor[rows]), 1.0, factor[rows])


__all__ = ["DYNAMIC", "Cuts", "check_dynamic", "multiplied"]
