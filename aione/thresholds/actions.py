"""What a rule's actions may set: keys, their bounds, and what holds where no rule speaks."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from aione.stage1.layers import LEAST, MOST, NAMES
from config.models import RecoThresholds

MOVES: Final = ("stage2.move_pct_up_factor", "stage2.move_pct_down_factor")
"""Factors that move a value which remembers itself: see `aione.thresholds.smoothing`."""

STAGE3: Final = ("stage3.tp_mult_factor", "stage3.sl_mult_factor")
MULTIPLIERS: Final = ("stage2.tp_mult_factor", "stage2.sl_mult_factor", *STAGE3)


@dataclass(frozen=True, slots=True)
class ActionKey:
    """One key: the least and the most that it may be, and whether it is a factor (1 changes nothing)."""

    least: float
    most: float
    is_factor: bool


def _keys() -> dict[str, ActionKey]:
    keys = {}
    for row, name in enumerate(NAMES):
        keys[f"stage1.{name}"] = ActionKey(float(LEAST[row, 0]), float(MOST[row, 0]), is_factor=False)
        keys[f"stage1.{name}_factor"] = ActionKey(_ABOVE_0, inf, is_factor=True)
    for name, field in RecoThresholds.model_fields.items():
        edges = {type(bound).__name__: bound for bound in field.metadata}
        least = float(edges["Ge"].ge) if "Ge" in edges else _ABOVE_0
        keys[f"stage2.{name}"] = ActionKey(least, float(edges["Le"].le) if "Le" in edges else inf, is_factor=False)
    factors = dict.fromkeys((*MOVES, *MULTIPLIERS), ActionKey(0.1, 10.0, is_factor=True))
    return keys | factors


_ABOVE_0: Final = 5e-324
ACTIONS: Final = _keys()
"""Every key that an action may set."""

__all__ = ["ACTIONS", "MOVES", "MULTIPLIERS", "STAGE3", "ActionKey"]
