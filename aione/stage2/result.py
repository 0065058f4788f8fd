"""`Stage2Result`: what Stage2 found on one bar, in columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aione.panel import B1, F8
from aione.stage2.context import Context
from aione.stage2.explain import Grounds, Told
from aione.stage2.levels import Levels
from aione.stage2.scenarios import SCENARIO_SIDES, SCENARIOS
from config.settings import RECOMMENDATIONS

I1 = NDArray[np.int8]

STATUSES: Final = ("PENDING", "DONE", "SKIPPED", "OFF", "ERROR")
"""Names of ``STAGE2_STATUS``, in the order of `Stage2Result.status`."""

SIGNALS: Final = {1: "ALERT_BUY", -1: "ALERT_SELL", 0: "NONE"}


@dataclass(frozen=True, slots=True)
class Stage2Result:
    """Everything Stage2 says of S symbols; NaN (index -1) is unknown or not there.

    Attributes
    ----------
    symbols : tuple of str, length S
    status : int8 (S,)
        Index into `STATUSES`: DONE, SKIPPED where the last bar is missing or nothing is known, OFF for the switch.
    scenario : int8 (S,)
        Index into `SCENARIOS`.
    scenario_scores : float64 (S, 10)
    direction : float64 (S,) in [-1, 1]
    confidence_raw : float64 (S,) in [0, 1]
        ``|direction| x quality``.
    confidence_calibrated : float64 (S,) in [0, 1]
        Probability that the first target is reached before the stop; NaN while uncalibrated.
    quality : float64 (S,) in [0, 1]
    qualities, factors, contributions : mapping name -> float64 (S,)
        The contributions sum to the direction.
    recommendation, reco_original : int8 (S,)
        Index into ``RECOMMENDATIONS``: after the gates, and the table's own.
    gate_reason : int8 (S,)
        Index into ``aione.stage2.recommend.GATES``; -1 is not held back.
    side : int8 (S,)
        +1 where the recommendation is in ``BUY_SET``, -1 in ``SELL_SET``, else 0.
    is_signal : bool (S,)
        The symbol is alerted and has a side.
    plan_side : int8 (S,)
        Side of the plan, which is kept where a gate held the entry back.
    entry, sl : float64 (S,)
        On the tick.
    tp : float64 (S, N)
    rr, rr_mean : float64 (S,)
        Reward to risk after costs, of the last target and of the mean of all.
    swapped : bool (S,)
        Stop and targets had to be turned over.
    risk_class : int8 (S,)
        Index into ``RISK_CLASSES``.
    anomalies : mapping name -> bool (S,)
    levels : Levels
    context : Context
    tags : mapping
        ``long`` and ``short`` -> tag of a swap, ``signal`` -> tag of a signal.
    grounds : Grounds, optional
        What it was made of; None with Stage2 off.
    """

    symbols: tuple[str, ...]
    status: I1
    scenario: I1
    scenario_scores: F8
    direction: F8
    confidence_raw: F8
    confidence_calibrated: F8
    quality: F8
    qualities: Mapping[str, F8]
    factors: Mapping[str, F8]
    contributions: Mapping[str, F8]
    recommendation: I1
    reco_original: I1
    gate_reason: I1
    side: I1
    is_signal: B1
    plan_side: I1
    entry: F8
    sl: F8
    tp: F8
    rr: F8
    rr_mean: F8
    swapped: B1
    risk_class: I1
    anomalies: Mapping[str, B1]
    levels: Levels | None
    context: Context | None
    tags: Mapping[str, str]
    grounds: Grounds | None = None
    _told: list[Told] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def confidence(self) -> F8:
        """Return the calibrated confidence where there is one, else the raw one, float64 (S,)."""
        return np.where(np.isnan(self.confidence_calibrated), self.confidence_raw, self.confidence_calibrated)

    def signal(self, row: int) -> str:
        """Return ``ALERT_BUY`` or ``ALERT_SELL`` for an alerted symbol with an entry, else ``NONE``."""
        return SIGNALS[int(self.side[row]) if self.is_signal[row] else 0]

    def status_name(self, row: int) -> str:
        """Return the key of ``STAGE2_STATUS``."""
        return STATUSES[int(self.status[row])]

    def scenario_name(self, row: int) -> str:
        """Return the scenario's name."""
        return SCENARIOS[int(self.scenario[row])]

    def scenario_side(self, row: int) -> int:
        """Return +1 for a bullish scenario, -1 for a bearish one, 0 for any other."""
        return SCENARIO_SIDES[self.scenario_name(row)]

    def recommendation_name(self, row: int) -> str | None:
        """Return the recommendation after the gates; None where there is none."""
        index = int(self.recommendation[row])
        return None if index < 0 else RECOMMENDATIONS[index]

    def explain(self, row: int) -> dict[str, Any]:
        """Return why the symbol in ``row`` is seen so, in plain values ready for JSON; unknown is None.

        ``scenario``
            ``name``; ``score`` of the best and ``runner_up`` with its ``runner_up_score``; their ``margin``, and the
            ``margin_needed`` and ``floor`` without which it is UNCERTAIN.
        ``direction``, ``factors``
            Each factor's ``value``, ``weight`` in this scenario and ``contribution``; these sum to the direction.
        ``qualities``
            With ``overall``, which times the direction is the raw confidence.
        ``table_row``
            ``index``, ``word`` and ``conditions`` of the row that gave the recommendation.
        ``gates``
            Each with ``passed`` (None where the table's word is no entry), ``value`` and ``threshold``.
        ``unknown``, ``anomalies``
            Names.

        With Stage2 off there is nothing to tell: an empty dictionary.
        """
        if self.grounds is None:
            return {}
        if not self._told:
            self._told.append(Told(self, self.grounds))
        return self._told[0].explain(row)

    def view(self, row: int, tick_size: float) -> dict[str, Any]:
        """Return one symbol's part of the payload; see `aione.stage2.view.asset_view`."""
        from aione.stage2.view import asset_view  # noqa: PLC0415 - the view is written in terms of this class

        return asset_view(self, row, tick_size)


__all__ = ["SIGNALS", "STATUSES", "Stage2Result"]
