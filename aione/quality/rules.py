"""The table of data-quality rules: each rule's name, what it looks at, what it says, and what follows from it.

Guards (`aione.quality.guards`, NumPy, every minute) and suites (`aione.quality.suites`, Great Expectations, every hour)
share these names and the bounds of ``QUALITY``; how a rule is evaluated is each one's own, and a test holds them to the
same verdicts. A rule of bars that ``is_impossible`` is against arithmetic, whatever the market did: it counts over the
whole history (``unsound_bars``). What ``keeps_out`` puts a symbol into quarantine; the others are reported, because
what they find keeps the symbol from being scored already (``syncing``, ``no_data``), or is not of one symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aione.errors import InvalidInput
from aione.quality.rule import Dataset, Finding, Rule
from aione.quality.table import TABLE
from config.models import QualityParams

DATASETS: Final[tuple[Dataset, ...]] = ("universe", "history", "hour")

RULES: Final[Mapping[str, Rule]] = {rule.name: rule for rule in TABLE}
"""By name, the gravest of each dataset first: a symbol that breaks several is told by the first."""


def rules_of(dataset: Dataset, params: QualityParams) -> tuple[Rule, ...]:
    """Return the rules of a dataset that are on.

    Raises
    ------
    InvalidInput
        ``QUALITY.off`` names no rule.
    """
    strange = set(params.off) - RULES.keys()
    if strange:
        raise InvalidInput(f"QUALITY.off must name rules of {sorted(RULES)}, named {min(strange)!r}")
    return tuple(rule for rule in RULES.values() if rule.dataset == dataset and rule.name not in params.off)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Return findings by symbol, the gravest first."""
    order = {name: place for place, name in enumerate(RULES)}
    return sorted(findings, key=lambda one: (one.symbol, order[one.rule]))


__all__ = ["DATASETS", "RULES", "Dataset", "Finding", "Rule", "in_order", "rules_of"]
