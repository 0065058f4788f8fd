"""Conditions as masks; NaN satisfies none, not even ``!=``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aione.panel import B1, F8
from aione.thresholds.model import Condition, Group


def holds(when: Condition | Group, metrics: Mapping[str, F8], size: int) -> B1:
    """Return where a rule's conditions hold, bool (S,): all of ``all``, and one of ``any`` where there are any.

    Examples
    --------
    >>> calm = Condition(metric="rsi", op="between", value=[40, 60])
    >>> holds(calm, {"rsi": np.array([50.0, 61.0, np.nan])}, 3)
    array([ True, False, False])
    """
    if isinstance(when, Condition):
        return satisfied(when, metrics[when.metric])
    whole = np.ones(size, dtype=np.bool_)
    for condition in when.all:
        whole &= satisfied(condition, metrics[condition.metric])
    if when.any:
        some = [satisfied(condition, metrics[condition.metric]) for condition in when.any]
        whole &= np.logical_or.reduce(some)
    return whole


def satisfied(condition: Condition, x: F8) -> B1:
    """Return where one condition holds, bool (S,)."""
    value, found = condition.value, np.zeros(x.shape, dtype=np.bool_)
    if isinstance(value, list):
        found = (x >= value[0]) & (x <= value[1]) if condition.op == "between" else np.isin(x, value)
    elif condition.op == ">":
        found = x > value
    elif condition.op == ">=":
        found = x >= value
    elif condition.op == "<":
        found = x < value
    elif condition.op == "<=":
        found = x <= value
    elif condition.op == "==":
        found = x == value
    elif condition.op == "!=":
        found = (x != value) & ~np.isnan(x)
    return found


__all__ = ["holds", "satisfied"]
