"""The recommendation: a table from scenario, direction, confidence, risk and room; then the gates that may hold it.

The table knows no buy and no sell. It speaks of entering *towards* a side, and the side gives the word: that is why
long and short are symmetrical.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aione.panel import B1, F8
from aione.stage2.cuts import Cuts
from aione.stage2.risk import RISK_CLASSES
from aione.stage2.scenarios import SCENARIO_SIDES, SCENARIOS
from config.models import RecoThresholds
from config.settings import RECOMMENDATIONS

I1 = NDArray[np.int8]

NONE: Final = -1
"""Index of no recommendation."""

WAIT: Final = RECOMMENDATIONS.index("WAIT_FOR_CONFIRMATION")

GATES: Final = ("stale_data", "no_plan", "insufficient_rr", "low_confidence")
"""Why a recommendation may be held back, in the order in which the gates are asked; the first one gives the reason."""

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "strong": ("STRONG_BUY", "STRONG_SELL"),
    "enter": ("BUY_IN_DIPS", "SELL_ON_RALLIES"),
    "hold": ("HOLD", "HOLD"),
    "range": ("RANGE_TRADE", "RANGE_TRADE"),
    "wait": ("WAIT_FOR_CONFIRMATION", "WAIT_FOR_CONFIRMATION"),
    "avoid": ("AVOID", "AVOID"),
    "avoid_risk": ("AVOID_HIGH_RISK", "AVOID_HIGH_RISK"),
}
"""What the table says -> the word for up and for down."""

_GROUPS: Final = {
    "any": frozenset(SCENARIOS),
    "drive": frozenset({"BULLISH_BREAKOUT", "BEARISH_BREAKDOWN", "BULLISH_CONTROL", "BEARISH_CONTROL"}),
    "turn": frozenset({"BULLISH_REVERSAL", "BEARISH_REVERSAL"}),
    "range": frozenset({"RANGE_BOUND"}),
    "violent": frozenset({"HIGH_VOLATILITY"}),
    "made": frozenset({"MANIPULATED"}),
    "unclear": frozenset({"UNCERTAIN"}),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: all that is stated must hold.

    Attributes
    ----------
    group : str
        Group of scenarios.
    word : str
        Key of `WORDS`.
    towards : str, optional
        ``entry`` or ``strong``: there is a direction, at least so strong, to the scenario's side where it has one.
    against : bool
        The direction is to the other side than the scenario's.
    is_confident : bool
        The confidence reaches ``strong_confidence``.
    risk : tuple (lowest, highest) of risk classes
    room : float
        Least room ahead: the location, seen in the direction. NaN satisfies -1 alone.
    at_edge : bool
        The close is near one side of the band.
    """

    group: str
    word: str
    towards: str | None = None
    against: bool = False
    is_confident: bool = False
    risk: tuple[str, str] = ("low", "extreme")
    room: float = -1.0
    at_edge: bool = False


TABLE: Final = (
    Row("any", "avoid_risk", risk=("extreme", "extreme")),
    Row("made", "avoid"),
    Row("violent", "avoid_risk", risk=("high", "extreme")),
    Row("violent", "wait"),
    Row("drive", "wait", against=True),
    Row("turn", "wait", against=True),
    Row("drive", "strong", towards="strong", is_confident=True, risk=("low", "medium"), room=-0.5),
    Row("drive", "enter", towards="entry", room=-0.9),
    Row("drive", "wait", towards="entry"),
    Row("turn", "enter", towards="entry", room=-0.5),
    Row("turn", "wait", towards="entry"),
    Row("range", "range", at_edge=True),
    Row("unclear", "wait", towards="entry"),
    Row("any", "hold"),
)
"""Asked from the top; the first row that holds gives the recommendation. The last one always holds."""

_EDGE: Final = 0.5
_SIDE: Final = np.array([SCENARIO_SIDES[name] for name in SCENARIOS], dtype=np.int8)
_WORD_OF_ROW: Final = np.array(
    [*([RECOMMENDATIONS.index(name) for name in WORDS[row.word]] for row in TABLE), [NONE, NONE]], dtype=np.int8
)
"""Row of the table -> word for up and for down; the last one is of no row."""


def _allowed(row: Row) -> list[bool]:
    """Return which pairs of scenario and risk class meet in a row; the pair's number is ``scenario x 4 + risk``."""
    lowest, highest = (RISK_CLASSES.index(name) for name in row.risk)
    risks = [lowest <= index <= highest for index in range(len(RISK_CLASSES))]
    return [name in _GROUPS[row.group] and allowed for name in SCENARIOS for allowed in risks]


_ALLOWED: Final = np.array([_allowed(row) for row in TABLE], dtype=np.bool_)


def recommend(
    scenario: I1, direction: F8, confidence: F8, risk_class: I1, location: F8, thresholds: RecoThresholds | Cuts
) -> I1:
    """Return the table's recommendation of every symbol, int8 (S,), an index into ``RECOMMENDATIONS``.

    Parameters
    ----------
    scenario : int8 (S,)
        Index into `SCENARIOS`.
    direction, location : float64 (S,)
        In [-1, 1].
    confidence : float64 (S,)
        In [0, 1].
    risk_class : int8 (S,)
        Index into ``RISK_CLASSES``.
    thresholds : RecoThresholds

    Returns
    -------
    int8 (S,)
        `NONE` where the direction is unknown.

    Examples
    --------
    >>> one = lambda *values: [np.array([value]) for value in values]
    >>> picture = one(SCENARIOS.index("BULLISH_BREAKOUT"), 0.8, 0.7, 0, 0.2)
    >>> RECOMMENDATIONS[recommend(*picture, RecoThresholds())[0]]
    'STRONG_BUY'
    """
    return spoken(table_rows(scenario, direction, confidence, risk_class, location, thresholds), direction)


def table_rows(
    scenario: I1, direction: F8, confidence: F8, risk_class: I1, location: F8, thresholds: RecoThresholds | Cuts
) -> I1:
    """Return which row of the table holds for every symbol, int8 (S,), -1 where the direction is unknown."""
    side = np.sign(direction)
    strength, agreement, room = np.abs(direction), _SIDE[scenario] * side, side * location
    aims = (agreement >= 0.0) & (strength > 0.0)
    towards = {
        "entry": aims & (strength >= thresholds.entry_direction),
        "strong": aims & (strength >= thresholds.strong_direction),
    }
    against, edge = agreement < 0.0, np.abs(location) >= _EDGE
    confident = confidence >= thresholds.strong_confidence
    found = np.full(len(direction), NONE, dtype=np.int8)
    left = ~np.isnan(direction)
    allowed = _ALLOWED[:, scenario * np.int64(len(RISK_CLASSES)) + risk_class] & left
    for number, row in enumerate(TABLE):
        holds = allowed[number] & left
        if row.towards is not None:
            holds &= towards[row.towards]
        if row.against:
            holds &= against
        if row.is_confident:
            holds &= confident
        if row.room > -1.0:
            holds &= room >= row.room
        if row.at_edge:
            holds &= edge
        found[holds] = number
        left &= ~holds
    return found


def spoken(rows: I1, direction: F8) -> I1:
    """Return the recommendation of a row of the table in a direction, int8 (S,); `NONE` of none."""
    return _WORD_OF_ROW[rows, (direction < 0).astype(np.int64)]


def gate(reco: I1, enters: B1, failed: Mapping[str, B1]) -> tuple[I1, I1]:
    """Hold back the entries that a gate stops.

    Parameters
    ----------
    reco : int8 (S,)
        The table's.
    enters : bool (S,)
        Which of them are entries; no other is touched.
    failed : mapping gate -> bool (S,)
        Each of `GATES`: where it is shut.

    Returns
    -------
    recommendation, reason : int8 (S,), int8 (S,)
        The first is WAIT_FOR_CONFIRMATION where a gate stopped it; the second is an index into `GATES`, -1 is none.
    """
    reason = np.full(len(reco), NONE, dtype=np.int8)
    for index, name in reversed(list(enumerate(GATES))):
        reason[enters & failed[name]] = index
    return np.where(reason == NONE, reco, WAIT).astype(np.int8), reason


__all__ = ["GATES", "NONE", "TABLE", "WAIT", "WORDS", "Row", "gate", "recommend", "spoken", "table_rows"]
