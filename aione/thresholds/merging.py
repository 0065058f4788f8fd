"""Which value a key takes where several rules set it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from aione.panel import B1, F8
from aione.thresholds.book import LaidRule
from aione.thresholds.model import Policy


@dataclass(slots=True)
class Voices:
    """The rules that set a key, in order: where each speaks (S,), what it says, who it is."""

    where: list[B1] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    rules: list[LaidRule] = field(default_factory=list)

    def add(self, where: B1, value: float, laid: LaidRule) -> None:
        """Add the next rule."""
        self.where.append(where)
        self.values.append(value)
        self.rules.append(laid)


@dataclass(slots=True)
class Decision:
    """A key's value, float64 (S,), NaN where nobody speaks, and the rule key that it is of."""

    value: F8
    rule: list[str]


def decide(voices: Voices | None, policy: Policy, size: int) -> Decision:
    """Return each symbol's value: of the last that speaks, the first, the largest, the smallest, or their mean.

    ``weighted`` is the mean by the rules' weights; its rule is the heaviest that speaks, of equal ones the last. Of
    equal values ``max`` and ``min`` name the last.
    """
    value, winner = np.full(size, np.nan), np.full(size, -1)
    if voices is None:
        return Decision(value, [""] * size)
    where = np.array(voices.where)
    said = np.where(where, np.array(voices.values)[:, np.newaxis], np.nan)
    numbers = np.arange(len(where))[:, np.newaxis]
    speaks = where.any(axis=0)
    if policy == "first":
        winner = np.argmax(where, axis=0)
    elif policy in {"max", "min"}:
        best = np.fmax.reduce(said) if policy == "max" else np.fmin.reduce(said)
        winner = np.where(where & (said == best), numbers, -1).max(axis=0)
    elif policy == "weighted":
        weights = np.where(where, np.array([[laid.rule.weight] for laid in voices.rules]), 0.0)
        winner = np.where(where & (weights == weights.max(axis=0)), numbers, -1).max(axis=0)
        value[speaks] = (np.where(where, said, 0.0) * weights).sum(axis=0)[speaks] / weights.sum(axis=0)[speaks]
    else:
        winner = np.where(where, numbers, -1).max(axis=0)
    if policy != "weighted":
        value[speaks] = said[winner[speaks], np.flatnonzero(speaks)]
    keys = [*(laid.key for laid in voices.rules), ""]
    return Decision(value, [keys[at] for at in np.where(speaks, winner, len(keys) - 1).tolist()])


__all__ = ["Decision", "Voices", "decide"]
