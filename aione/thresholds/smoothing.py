"""Values that go step by step.

A key in ``smoothing`` goes from where it is (at first: from what holds without rules) a share ``alpha`` of the way to
what the rules say, and back to what holds without them once none speaks; within a thousandth of it it has arrived.

``stage2.move_pct_*_factor`` is always smoothed, and its target hangs on where it is: ``target = prev x factor``, then
``new = prev + alpha x (target - prev)``. It is so moved whenever a rule is applied, so the ``min_interval_s`` of the
rule sets the pace; on every other bar it goes ``move_relax_alpha`` of the way back. It stops at bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from aione.panel import F8
from aione.thresholds.actions import MOVES
from aione.thresholds.merging import Decision
from aione.thresholds.state import RuleState

ARRIVED: Final = 1e-3


class _Bases(Protocol):
    @property
    def values(self) -> Mapping[str, F8]: ...
    @property
    def move_alpha(self) -> float: ...
    @property
    def move_relax(self) -> float: ...
    @property
    def move_least(self) -> float: ...
    @property
    def move_most(self) -> float: ...


def smooth(
    key: str, decided: Decision, names: list[str], alpha: float | None, bases: _Bases, at: NDArray[np.intp],
    state: RuleState,
) -> None:  # fmt: skip
    """Replace a decision by where its key has got to on this bar, and remember that.

    A decision of a key that is not smoothed stays as it is. For ``MOVES`` the value that is left is not the factor but
    what it moves: the percentage itself.
    """
    is_move = key in MOVES
    held = state.smoothed.get(key, {})
    if alpha is None and not is_move:
        for name in names:
            held.pop(name, None)
        if not held:
            state.smoothed.pop(key, None)
        return
    base = bases.values[key][at]
    before = np.array([held.get(name, np.nan) for name in names], dtype=np.float64)
    start = np.where(np.isnan(before), base, before)
    speaks = ~np.isnan(decided.value)
    wanted = np.where(speaks, start * decided.value if is_move else decided.value, base)
    share = np.where(speaks, bases.move_alpha, bases.move_relax) if is_move else alpha
    now = start + share * (wanted - start)
    if is_move:
        now = np.minimum(np.maximum(now, bases.move_least), bases.move_most)
    has_returned = ~speaks & (np.isnan(before) | (np.abs(now - base) <= ARRIVED * np.abs(base)))
    now[has_returned] = np.nan
    decided.value[:] = now
    kept = {name: value for name, value in zip(names, now.tolist(), strict=True) if not isnan(value)}
    others = {name: value for name, value in held.items() if name not in set(names)}
    if kept or others:
        state.smoothed[key] = others | kept
    else:
        state.smoothed.pop(key, None)


__all__ = ["ARRIVED", "smooth"]
