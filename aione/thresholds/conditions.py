"""Conditions as masks; NaN satisfies none, not even ``!=``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aione.errors import InvalidInput
from aione.panel import B1, F8
from aione.thresholds.model import Condition, Group


def holds(when: Condition | Group, metrics: Mapping[str, F8], size: int) -> B1:
    """Return where a rule's conditions hold, bool (S,): all of ``all``, and one of ``any`` where there are any.

    Raises
    ------
    InvalidInput
        A metric is missing, or is not of S symbols.

    Examples
    --------
    >>> calm = Condition(metric="rsi", op="between", value=[40.0, 60.0])
    >>> holds(calm, {"rsi": np.array([50.0, 61.0, np.nan])}, 3)
    array([ True, False, False])
    """
    if isinstance(when, Condition):
        return satisfied(when, _metric(metrics, when.metric, size))
    whole = np.ones(size, dtype=np.bool_)
    for condition in when.all:
        whole &= satisfied(condition, _metric(metrics, condition.metric, size))
    if when.any:
        some = np.zeros(size, dtype=np.bool_)
        for condition in when.any:
            some |= satisfied(condition, _metric(metrics, condition.metric, size))
        whole &= some
    return whole


def satisfied(condition: Condition, x: F8) -> B1:
    """Return where one condition holds, bool (S,); ``between`` includes both ends."""
    value, found = condition.value, np.zeros(x.shape, dtype=np.bool_)
    if isinstance(value, list):
        if condition.op == "between":
            return (x >= value[0]) & (x <= value[1])
        for one in value:
            found |= x == one
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
    else:
        found = (x != value) & ~np.isnan(x)
    return found


def _metric(metrics: Mapping[str, F8], name: str, size: int) -> F8:
    column = metrics.get(name)
    if column is None or column.shape != (size,):
        was = "missing" if column is None else f"of shape {column.shape}"
        raise InvalidInput(f"metric {name} must be there with shape ({size},), was {was}")
    return column


__all__ = ["holds", "satisfied"]
