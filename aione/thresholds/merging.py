"""Which value a key takes where several rules set it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aione.panel import B1, F8
from aione.thresholds.model import Policy


@dataclass(frozen=True, slots=True)
class Voice:
    """One rule that sets a key: where it speaks, bool (S,), what it says, its weight and its number."""

    where: B1
    value: float
    weight: float
    number: int


@dataclass(slots=True)
class Decision:
    """A key's value, float64 (S,), NaN where nobody speaks, and the number of its rule, int32 (S,), -1 nobody."""

    value: F8
    rule: NDArray[np.int32]

    @classmethod
    def none(cls, size: int) -> Decision:
        """Return what is decided where nobody speaks."""
        return cls(np.full(size, np.nan), np.full(size, -1, dtype=np.int32))


def decide(voices: Sequence[Voice], policies: Sequence[tuple[Policy, B1]], size: int) -> Decision:
    """Return each symbol's value under its policy.

    Parameters
    ----------
    voices : sequence of Voice
        In the order in which their rules are asked.
    policies : sequence of (policy, bool (S,))
        Every symbol under one; none at all is ``last`` for every one.
    size : int
        S.

    Notes
    -----
    ``last``: of the last rule that speaks. ``first``: of the first. ``max``, ``min``: the largest, the smallest; of
    equal ones the last rule is named. ``weighted``: the mean by the rules' weights; the heaviest is named, of equally
    heavy ones the last.

    Examples
    --------
    >>> both, one = np.array([True, True]), np.array([True, False])
    >>> voices = [Voice(both, 3.0, 1.0, 0), Voice(one, 2.0, 1.0, 1)]
    >>> decide(voices, (), 2).value, decide(voices, [("max", both)], 2).value
    (array([2., 3.]), array([3., 3.]))
    """
    if len(policies) == 1:
        return _decided(voices, policies[0][0], size)
    if not policies:
        return _decided(voices, "last", size)
    whole = Decision.none(size)
    for policy, where in policies:
        part = _decided(voices, policy, size)
        whole.value[where], whole.rule[where] = part.value[where], part.rule[where]
    return whole


def _decided(voices: Sequence[Voice], policy: Policy, size: int) -> Decision:
    if policy == "weighted":
        return _weighted(voices, size)
    found = Decision.none(size)
    for voice in voices:
        better = voice.where
        if policy == "first":
            better = better & (found.rule < 0)
        elif policy == "max":
            better = better & ~(voice.value < found.value)
        elif policy == "min":
            better = better & ~(voice.value > found.value)
        found.value[better], found.rule[better] = voice.value, voice.number
    return found


def _weighted(voices: Sequence[Voice], size: int) -> Decision:
    found, heaviest = Decision.none(size), np.zeros(size)
    total, weight = np.zeros(size), np.zeros(size)
    for voice in voices:
        total[voice.where] += voice.value * voice.weight
        weight[voice.where] += voice.weight
        heavier = voice.where & (voice.weight >= heaviest)
        heaviest[heavier], found.rule[heavier] = voice.weight, voice.number
    speaks = weight > 0.0
    found.value[speaks] = total[speaks] / weight[speaks]
    return found


__all__ = ["Decision", "Voice", "decide"]
