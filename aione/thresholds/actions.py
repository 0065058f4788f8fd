"""What a rule's actions may set: keys and their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter
from typing import Any, Final

from config.models import RecoThresholds, TriggerThresholds

MOVES: Final = ("stage2.move_pct_up_factor", "stage2.move_pct_down_factor")
"""Factors that move a value which remembers itself: see `aione.thresholds.smoothing`."""

STAGE3: Final = ("stage3.tp_mult_factor", "stage3.sl_mult_factor")
MULTIPLIERS: Final = ("stage2.tp_mult_factor", "stage2.sl_mult_factor", *STAGE3)


@dataclass(frozen=True, slots=True)
class ActionKey:
    """One key: the least and the most that it may be, in words too, and whether it is a factor (1 changes nothing)."""

    least: float
    most: float
    bounds: str
    is_factor: bool


def _keys() -> dict[str, ActionKey]:
    keys = {}
    for name, field in TriggerThresholds.model_fields.items():
        keys[f"stage1.{name}"] = _bounded(field.metadata)
        keys[f"stage1.{name}_factor"] = ActionKey(0.1, 10.0, "at least 0.1 and at most 10", is_factor=True)
    keys |= {f"stage2.{name}": _bounded(field.metadata) for name, field in RecoThresholds.model_fields.items()}
    factor = ActionKey(0.1, 10.0, "at least 0.1 and at most 10", is_factor=True)
    return keys | dict.fromkeys((*MOVES, *MULTIPLIERS), factor)


def _bounded(metadata: list[Any]) -> ActionKey:
    """Return a key whose bounds are those that a field of the configuration declares."""
    least, most, words = -inf, inf, []
    for bound in metadata:
        for kind, (word, inwards) in _EDGES.items():
            if hasattr(bound, kind):
                edge = float(getattr(bound, kind))
                words.append(f"{word} {edge:g}")
                at = nextafter(edge, inwards) if kind in {"gt", "lt"} else edge
                least, most = (at, most) if inwards > 0 else (least, at)
    return ActionKey(least, most, " and ".join(words), is_factor=False)


_EDGES: Final = {"ge": ("at least", inf), "gt": ("above", inf), "le": ("at most", -inf), "lt": ("below", -inf)}
ACTIONS: Final = _keys()
"""Every key that an action may set."""

__all__ = ["ACTIONS", "MOVES", "MULTIPLIERS", "STAGE3", "ActionKey"]
