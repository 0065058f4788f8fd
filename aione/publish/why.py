"""The explanation of a published asset: every value with its threshold, layer, weight and gate."""

from __future__ import annotations

import msgspec

from aione.publish.parts import Number

Fact = float | str | bool | None
"""A value or a threshold of an explanation: most are numbers, some are words."""


class LowGate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The low-volatility gate: closed where ``value``, the ATR fraction, is below ``threshold``, set by ``layer``."""

    value: Number = None
    threshold: Number = None
    layer: str | None = None


class TriggerWhy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One active trigger: what was compared with what, which layer set the threshold, what it added.

    ``counted`` is false where the low-volatility gate blocked a trigger that fired.
    """

    name: str
    fired: bool = False
    counted: bool = False
    side: int = 0
    strength: Number = None
    weight: Number = None
    value: Number = None
    threshold: Number = None
    layer: str | None = None


class Stage1Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why the symbol is, or is not, on alert: its evidence against ``alert_on`` and ``alert_off``, and each trigger.

    ``silence`` is why an alert was not announced; ``held_bars`` is how long it has lasted; ``gated`` says that the
    low-volatility gate blocked a trigger. ``failures`` are third parties' triggers that could not run; ``context`` is
    where the symbol stands among the others.
    """

    scored: bool
    evidence: Number = None
    side: int = 0
    alert: bool = False
    announced: bool = False
    silence: str | None = None
    alert_on: Number = None
    alert_off: Number = None
    held_bars: int | None = None
    min_hold_bars: int | None = None
    cooldown_until_ms: int | None = None
    gated: bool = False
    low_gate: LowGate | None = None
    triggers: list[TriggerWhy] = []
    failures: dict[str, str] = {}
    context: dict[str, Fact] = {}


class ScenarioWhy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The best scenario and the next one: it is named where it leads by ``margin_needed`` and reaches ``floor``."""

    name: str
    score: Number = None
    runner_up: str | None = None
    runner_up_score: Number = None
    margin: Number = None
    margin_needed: Number = None
    floor: Number = None


class FactorWhy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One factor of the direction: its value in [-1, 1], its weight, and what it contributed."""

    name: str
    value: Number = None
    weight: Number = None
    contribution: Number = None


class TableRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The row of the recommendation table that applied: its place, its word and what it asks for."""

    index: int
    word: str
    conditions: str = ""


class GateWhy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One gate of a recommendation: whether it was passed, with which value against which threshold."""

    name: str
    passed: bool | None = None
    value: Fact = None
    threshold: Fact = None


class Stage2Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why this scenario, this direction and this recommendation; the contributions sum to ``direction``."""

    scenario: ScenarioWhy | None = None
    direction: Number = None
    factors: list[FactorWhy] = []
    qualities: dict[str, Number] = {}
    table_row: TableRow | None = None
    gates: list[GateWhy] = []
    unknown: list[str] = []
    anomalies: list[str] = []


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole why of a screened symbol; ``stage2`` is null where it was not scored."""

    stage1: Stage1Why | None = None
    stage2: Stage2Why | None = None


class Ages(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How old each kind of data was when the cycle read it, in milliseconds; null is never seen.

    ``bar_ms`` counts from the close of the symbol's newest bar. A value that is too old is not used, its age is told.
    """

    bar_ms: Number = None
    book_ms: Number = None
    mark_ms: Number = None
    depth_ms: Number = None
    open_interest_ms: Number = None


__all__ = [
    "Ages",
    "Explanation",
    "Fact",
    "FactorWhy",
    "GateWhy",
    "LowGate",
    "ScenarioWhy",
    "Stage1Why",
    "Stage2Why",
    "TableRow",
    "TriggerWhy",
]
