"""What a data-quality rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from config.models import QualityParams

Dataset = Literal["universe", "history", "hour"]
Row: TypeAlias = Mapping[str, Any]
"""What a finding is of, by column: a bar with ``previous_close`` and ``flat_run``, or a symbol."""
Shown: TypeAlias = Callable[[Row, QualityParams], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes
    ----------
    says : str
        What is wrong, for a person.
    shown : callable
        Row, bounds -> the value that was refused and the bound that it broke; a pair is told, not judged.
    keeps_out, is_impossible : bool
        See `aione.quality.rules`.
    """

    name: str
    dataset: Dataset
    says: str
    shown: Shown
    keeps_out: bool = True
    is_impossible: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a symbol broke.

    Attributes
    ----------
    symbol : str
        Empty for the dataset as a whole.
    count : int
        Bars (or rows) that broke it.
    at_ms : int
        Open time of the newest of them; of a symbol's own facts, when they were looked at.
    value, bound : float
        Of that one, as `Rule.shown` tells them; NaN is unknown.
    """

    symbol: str
    rule: str
    count: int
    at_ms: int
    value: float
    bound: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule came to in one dataset: ``failed`` of ``checked`` rows, by symbol in ``findings``."""

    dataset: Dataset
    rule: str
    checked: int
    failed: int
    findings: tuple[Finding, ...]


__all__ = ["Dataset", "Finding", "Row", "Rule", "Shown", "Verdict"]
