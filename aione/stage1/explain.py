"""Why a symbol is, or is not, in ALERT: a `Stage1Result` told symbol by symbol, in plain values ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aione.indicators.readings import Readings
from aione.panel import B1
from aione.stage1.inputs import I1, TriggerResult
from aione.stage1.layers import COLUMN
from aione.stage1.monitor import SILENCES, Weighed
from aione.stage1.thresholds import EffectiveThresholds
from config.models import Stage1MonitorParams

if TYPE_CHECKING:
    from aione.stage1.run import Stage1Result

OWN_THRESHOLD: Final = "trigger"
"""Layer of a threshold that is the trigger's own: a constant, or a percentile of the symbol's past."""

_OF_SYMBOL: Final = {
    "rank_relative_strength": "relative_strength_rank",
    "relative_strength": "relative_strength",
    "beta_btc": "beta_btc",
    "corr_btc": "corr_btc",
}
_OF_MARKET: Final = ("market_breadth", "btc_regime", "btc_return_60")


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a `Stage1Result` was made of, besides what it shows.

    Attributes
    ----------
    readings : Readings
    params : Stage1MonitorParams
    weights : mapping trigger -> float in [0, 1]
    weighed : Weighed
        The triggers' votes together.
    silence : int8 (S,)
        Index into `aione.stage1.monitor.SILENCES`.
    """

    readings: Readings
    params: Stage1MonitorParams
    weights: Mapping[str, float]
    weighed: Weighed
    silence: I1


class TriggerColumns(NamedTuple):
    """One trigger's answer as lists, one value a symbol; ``layer`` holds numbers of labels."""

    name: str
    weight: float
    fired: list[bool]
    counted: list[bool]
    side: list[int]
    strength: list[float]
    value: list[float]
    threshold: list[float]
    layer: list[int]


class Told:
    """A result as plain lists, made once, so that telling hundreds of symbols costs little each."""

    def __init__(self, result: Stage1Result) -> None:
        grounds, readings = result.grounds, result.grounds.readings
        self.result, self.labels = result, (*result.thresholds.labels, OWN_THRESHOLD)
        self.scored, self.evidence, self.side = result.scored.tolist(), result.evidence.tolist(), result.side.tolist()
        self.alert, self.announced = result.alert.tolist(), result.announced.tolist()
        self.gated, self.silence = result.gated.tolist(), grounds.silence.tolist()
        self.low_gate = result.thresholds["low_gate"].tolist()
        self.atr_frac = readings["atr_frac"].tolist()
        self.triggers = [
            _columns(name, found, grounds.weights[name], counted, result.thresholds)
            for (name, found), counted in zip(result.triggers.items(), grounds.weighed.counted, strict=True)
        ]
        unknown = [float("nan")] * len(result.symbols)
        self.context = {
            told: readings.values[name].tolist() if name in readings.values else unknown
            for told, name in _OF_SYMBOL.items()
        }
        self.market = {name: _known(float(readings.market.get(name, np.nan))) for name in _OF_MARKET}

    def reasons(self, row: int) -> list[str]:
        """Return the triggers that fired, strongest first, equal ones by name."""
        fired = [(-columns.strength[row], columns.name) for columns in self.triggers if columns.fired[row]]
        return [name for _, name in sorted(fired)]

    def explain(self, row: int) -> dict[str, Any]:
        """Return everything about the symbol in ``row``; see `Stage1Result.explain`."""
        result, params = self.result, self.result.grounds.params
        state = result.states[result.symbols[row]]
        layer = result.thresholds.layers[COLUMN["low_gate"], row]
        labels = self.labels
        return {
            "scored": self.scored[row],
            "evidence": _known(self.evidence[row]),
            "side": self.side[row],
            "alert": self.alert[row],
            "announced": self.announced[row],
            "silence": SILENCES[self.silence[row]] or None,
            "alert_on": params.alert_on,
            "alert_off": params.alert_off,
            "held_bars": state.bars_held,
            "min_hold_bars": params.min_hold_bars,
            "cooldown_until_ms": self._cooldown_until_ms(row, state.announced),
            "gated": self.gated[row],
            "low_gate": {
                "value": _known(self.atr_frac[row]),
                "threshold": self.low_gate[row],
                "layer": labels[layer],
            },
            "triggers": [
                {
                    "name": one.name,
                    "fired": one.fired[row],
                    "counted": one.counted[row],
                    "side": one.side[row],
                    "strength": one.strength[row],
                    "weight": one.weight,
                    "value": _known(one.value[row]),
                    "threshold": _known(one.threshold[row]),
                    "layer": labels[one.layer[row]],
                }
                for one in self.triggers
            ],
            "failures": dict(result.failures),
            "context": {**{name: _known(column[row]) for name, column in self.context.items()}, **self.market},
        }

    def _cooldown_until_ms(self, row: int, announced: Mapping[str, int]) -> int | None:
        """Return until when this alert, or else the last one announced, is not announced again."""
        if not announced:
            return None
        grounds = self.result.grounds
        is_cooling = SILENCES[self.silence[row]] == "cooldown"
        at_ms = announced[grounds.weighed.key(row)] if is_cooling else max(announced.values())
        until_ms = at_ms + round(grounds.params.cooldown_s * 1000)
        return until_ms if until_ms > grounds.readings.open_time_ms else None


def _columns(
    name: str, found: TriggerResult, weight: float, counted: B1, thresholds: EffectiveThresholds
) -> TriggerColumns:
    layer = np.full(len(counted), len(thresholds.labels), dtype=np.int64)
    for number, threshold in enumerate(found.names):
        layer = np.where(found.which == number, thresholds.layers[COLUMN[threshold]], layer)
    return TriggerColumns(
        name,
        weight,
        found.fired.tolist(),
        counted.tolist(),
        found.side.tolist(),
        found.strength.tolist(),
        found.value.tolist(),
        found.threshold.tolist(),
        layer.tolist(),
    )


def _known(value: float) -> float | None:
    return value if isfinite(value) else None


__all__ = ["OWN_THRESHOLD", "Grounds", "Told", "TriggerColumns"]
