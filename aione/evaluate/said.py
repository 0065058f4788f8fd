"""`said`: everything that the engine says at one bar as named columns, so that two runs can be laid side by side.

The columns are found by walking through the results, not listed by hand: a field that is added to a result tomorrow is
compared tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from aione.indicators.readings import Readings
from aione.stage1.run import Stage1Result
from aione.stage1.states import MonitorStates
from aione.stage1.thresholds import EffectiveThresholds
from aione.stage2.result import Stage2Result


class Column(NamedTuple):
    """One thing that the engine says of every symbol.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    name : str
        Dotted: ``rsi``, ``volume_spike.fired``, ``plan.sl``.
    values : array (S,) or (S, K), or () of what is one for all symbols
    """

    kind: str
    name: str
    values: np.ndarray


KINDS: Final = (
    "indicator",
    "trigger",
    "threshold",
    "alert",
    "level",
    "factor",
    "quality",
    "scenario",
    "recommendation",
    "plan",
    "anomaly",
)

_STAGE1: Final = {"triggers": "trigger", "thresholds": "threshold", "market_state": "threshold"}
_STAGE2: Final = {
    "scenario": "scenario",
    "scenario_scores": "scenario",
    "direction": "factor",
    "factors": "factor",
    "contributions": "factor",
    "confidence_raw": "quality",
    "confidence_calibrated": "quality",
    "quality": "quality",
    "qualities": "quality",
    "plan_side": "plan",
    "entry": "plan",
    "sl": "plan",
    "tp": "plan",
    "rr": "plan",
    "rr_mean": "plan",
    "swapped": "plan",
    "risk_class": "plan",
    "anomalies": "anomaly",
    "levels": "level",
    "context": "level",
}
"""Kind of each field; what is not named here is an alert of Stage1 or a recommendation of Stage2."""

_NOT_SAID: Final = {"symbols", "tags", "grounds", "failures", "names"}
"""Words and the run's own configuration; `Grounds` holds again what the other fields hold."""


def said(readings: Readings, stage1: Stage1Result, stage2: Stage2Result) -> list[Column]:
    """Return every value of the three results, always in the same order for the same configuration."""
    columns = [Column("indicator", name, column) for name, column in readings.values.items()]
    columns += [Column("indicator", f"market.{name}", np.array(value)) for name, value in readings.market.items()]
    for result, kinds, rest in ((stage1, _STAGE1, "alert"), (stage2, _STAGE2, "recommendation")):
        for field in fields(result):
            if field.name not in _NOT_SAID and not field.name.startswith("_"):
                kind = kinds.get(field.name, rest)
                columns.extend(_columns(kind, field.name, getattr(result, field.name)))
    return columns


def _columns(kind: str, name: str, value: Any) -> Iterator[Column]:
    if value is None:
        return
    if isinstance(value, np.ndarray):
        yield Column(kind, name, value)
    elif isinstance(value, bool | int | float):
        yield Column(kind, name, np.array(value))
    elif isinstance(value, MonitorStates):
        for part in ("is_alert", "side", "since_ms", "bars_held", "evidence", "last_bar_ms"):
            yield Column(kind, f"{name}.{part}", np.asarray(getattr(value, part)))
        yield Column(kind, f"{name}.announced", _as_words(value))
    elif isinstance(value, EffectiveThresholds):
        yield Column(kind, f"{name}.values", value.values.T)
        yield Column(kind, f"{name}.layers", np.array(value.labels)[value.layers.T])
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _columns(kind, key if name in {"triggers", "anomalies"} else f"{name}.{key}", part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name not in _NOT_SAID:
                yield from _columns(kind, f"{name}.{field.name}", getattr(value, field.name))


def _as_words(states: MonitorStates) -> np.ndarray:
    """Return what was announced of each symbol as one word each."""
    return np.array([orjson.dumps(dict(one), option=orjson.OPT_SORT_KEYS).decode() for one in states.announced])


__all__ = ["KINDS", "Column", "said"]
