"""Values that go step by step.

A key in ``smoothing`` goes from where it is (at first: from what holds without rules) a share ``alpha`` of the way to
what the rules say, and back to what holds without them once none speaks; within a thousandth of it it has arrived.

``stage2.move_pct_*_factor`` is always smoothed, and its target hangs on where it is: ``target = prev x factor``, then
``new = prev + alpha x (target - prev)``. It is so moved whenever a rule is applied, so the ``min_interval_s`` of the
rule sets the pace; on every other bar it goes ``move_relax`` of the way back. It stops at bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from aione.panel import F8
from aione.thresholds.actions import MOVES
from aione.thresholds.merging import Decision

ARRIVED: Final = 1e-3
NOTHING: Final = 1e-9
"""A difference that is none, where what holds without rules is 0 and has no thousandth."""


@dataclass(frozen=True, slots=True)
class Bases:
    """What holds without rules, and how moves are smoothed.

    Attributes
    ----------
    values : mapping action key -> float64 (S,)
        Of a factor 1, of what ``MOVES`` move the configured move itself.
    move_alpha, move_relax : float
        Share of the way to its target that a move goes when a rule is applied, and back to its base on other bars.
    move_least, move_most : float
    """

    values: Mapping[str, F8]
    move_alpha: float
    move_relax: float
    move_least: float
    move_most: float


def smooth(key: str, decided: Decision, before: F8 | None, alpha: F8 | None, bases: Bases) -> F8 | None:
    """Replace a decision by where its key has got to on this bar, and return that to be remembered.

    Parameters
    ----------
    key : str
    decided : Decision
        Changed. Where a symbol does not smooth the key it stays as it is. For ``MOVES`` the value that is left is not
        the factor but what it moves: the fraction itself.
    before : float64 (S,), optional
        Where the key had got to; NaN, and None, is nowhere.
    alpha : float64 (S,), optional
        Share of the way; NaN, and None, is all of it (of ``MOVES``: the configured shares).
    bases : Bases

    Returns
    -------
    float64 (S,), optional
        Where it has got to; None where no symbol is on its way.
    """
    is_move, size = key in MOVES, len(decided.value)
    share = np.full(size, np.nan) if alpha is None else alpha
    speaks = ~np.isnan(decided.value)
    if is_move:
        share = np.where(speaks, np.where(np.isnan(share), bases.move_alpha, share), bases.move_relax)
    smooths = ~np.isnan(share)
    if not smooths.any():
        return None
    base = bases.values[key]
    start = base if before is None else np.where(np.isnan(before), base, before)
    target = np.where(speaks, start * decided.value if is_move else decided.value, base)
    now = start + share * (target - start)
    if is_move:
        now = np.clip(now, bases.move_least, bases.move_most)
    is_new = np.isnan(before) if before is not None else np.ones(size, dtype=np.bool_)
    now[~speaks & (is_new | (np.abs(now - base) <= ARRIVED * np.abs(base) + NOTHING))] = np.nan
    decided.value[smooths] = now[smooths]
    kept = np.where(smooths, now, np.nan)
    return None if np.isnan(kept).all() else kept


__all__ = ["ARRIVED", "Bases", "smooth"]
