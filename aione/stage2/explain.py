"""Why a scenario, a direction and a recommendation: a `Stage2Result` told symbol by symbol, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aione.panel import B1, F8
from aione.stage2.cuts import Cuts
from aione.stage2.recommend import GATES, TABLE, Row
from aione.stage2.scenarios import SCENARIOS, UNCERTAIN

if TYPE_CHECKING:
    from aione.stage2.result import Stage2Result


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a `Stage2Result` was made of, besides what it shows.

    Attributes
    ----------
    cuts : Cuts
    weights : float64 (10, 9)
        Of each factor in each scenario.
    table_row : int8 (S,)
        Row of the table that gave the recommendation; -1 is none.
    enters : bool (S,)
        The table's own recommendation is an entry, so the gates are asked.
    shut : bool (4, S)
        Each gate, in the order of `GATES`.
    bars_age : float64 (S,)
    min_rr : float
    """

    cuts: Cuts
    weights: F8
    table_row: NDArray[np.int8]
    enters: B1
    shut: B1
    bars_age: F8
    min_rr: float


class Told:
    """A result as plain lists, made once, so that telling hundreds of symbols costs little each."""

    def __init__(self, result: Stage2Result, grounds: Grounds) -> None:
        self.result, self.grounds = result, grounds
        self.scores = result.scenario_scores.tolist()
        self.scenario, self.direction = result.scenario.tolist(), result.direction.tolist()
        self.factors = {name: column.tolist() for name, column in result.factors.items()}
        self.parts = {name: column.tolist() for name, column in result.contributions.items()}
        self.qualities = {name: column.tolist() for name, column in result.qualities.items()}
        self.quality, self.weights = result.quality.tolist(), grounds.weights.tolist()
        self.anomalies = {name: column.tolist() for name, column in result.anomalies.items()}
        self.rows, self.enters, self.shut = grounds.table_row.tolist(), grounds.enters.tolist(), grounds.shut.tolist()
        values = {"stale_data": grounds.bars_age, "insufficient_rr": result.rr, "low_confidence": result.confidence_raw}
        self.values = {name: column.tolist() for name, column in values.items()}

    def explain(self, row: int) -> dict[str, Any]:
        """Return everything about the symbol in ``row``; see `Stage2Result.explain`."""
        weights = self.weights[self.scenario[row]]
        qualities = {name: _known(column[row]) for name, column in self.qualities.items()}
        factors = [
            {
                "name": name,
                "value": _known(column[row]),
                "weight": weight,
                "contribution": _known(self.parts[name][row]),
            }
            for (name, column), weight in zip(self.factors.items(), weights, strict=True)
        ]
        unknown = [str(one["name"]) for one in factors if one["value"] is None]
        return {
            "scenario": self._scenario(row),
            "direction": _known(self.direction[row]),
            "factors": factors,
            "qualities": {**qualities, "overall": _known(self.quality[row])},
            "table_row": self._table_row(row),
            "gates": [self._gate(number, name, row) for number, name in enumerate(GATES)],
            "unknown": [*unknown, *(name for name, value in qualities.items() if value is None)],
            "anomalies": [name for name, column in self.anomalies.items() if column[row]],
        }

    def _scenario(self, row: int) -> dict[str, Any]:
        """Return the winner; where nothing has won, that is UNCERTAIN, with the best two that did not."""
        ranked = sorted(
            ((score, -code) for code, score in enumerate(self.scores[row]) if code != UNCERTAIN and isfinite(score)),
            reverse=True,
        )
        (best, _), (second, code) = (*ranked, (0.0, -UNCERTAIN), (0.0, -UNCERTAIN))[:2]
        cuts = self.grounds.cuts
        return {
            "name": SCENARIOS[self.scenario[row]],
            "score": best if ranked else None,
            "runner_up": SCENARIOS[-code] if len(ranked) > 1 else None,
            "runner_up_score": second if len(ranked) > 1 else None,
            "margin": best - max(second, 0.0) if ranked else None,
            "margin_needed": cuts.at("scenario_margin", row),
            "floor": cuts.at("scenario_floor", row),
        }

    def _table_row(self, row: int) -> dict[str, Any] | None:
        index = self.rows[row]
        return None if index < 0 else {"index": index, "word": TABLE[index].word, "conditions": _CONDITIONS[index]}

    def _gate(self, number: int, name: str, row: int) -> dict[str, Any]:
        """Return one gate; ``passed`` is None where there was no entry to let through."""
        threshold = {
            "stale_data": 0.0,
            "no_plan": None,
            "insufficient_rr": self.grounds.min_rr,
            "low_confidence": self.grounds.cuts.at("entry_confidence", row),
        }[name]
        value = _known(self.values[name][row]) if name in self.values else None
        passed = not self.shut[number][row] if self.enters[row] else None
        return {"name": name, "passed": passed, "value": value, "threshold": threshold}


def conditions(row: Row) -> str:
    """Return what a row of the table asks for, in words.

    Examples
    --------
    >>> conditions(TABLE[6])
    'scenario drive, direction strong, confident, risk low to medium, room -0.5'
    """
    parts = [f"scenario {row.group}"]
    if row.towards is not None:
        parts.append(f"direction {row.towards}")
    if row.against:
        parts.append("direction against the scenario")
    if row.is_confident:
        parts.append("confident")
    if row.risk != ("low", "extreme"):
        parts.append(f"risk {row.risk[0]}" if row.risk[0] == row.risk[1] else f"risk {row.risk[0]} to {row.risk[1]}")
    if row.room > -1.0:
        parts.append(f"room {row.room:g}")
    if row.at_edge:
        parts.append("at an edge")
    return ", ".join(parts)


_CONDITIONS: Final = tuple(conditions(row) for row in TABLE)


def _known(value: float) -> float | None:
    return value if isfinite(value) else None


__all__ = ["Grounds", "Told", "conditions"]
