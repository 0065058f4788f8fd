"""What a validation came to: for a person (Markdown), for a program (facts), and for the quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aione.quality.rule import Dataset, Finding, Verdict
from aione.quality.rules import RULES

EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Checked:
    """One dataset.

    Attributes
    ----------
    dataset : str
    verdicts : tuple of Verdict
        Of the suite, a rule each.
    guards : tuple of Finding
        What the guards of the minute say of the same data.
    seconds : float
        That the suite took.
    """

    dataset: Dataset
    verdicts: tuple[Verdict, ...]
    guards: tuple[Finding, ...]
    seconds: float

    @property
    def findings(self) -> list[Finding]:
        """Return what the suite has found."""
        return [one for verdict in self.verdicts for one in verdict.findings]

    @property
    def disputed(self) -> list[str]:
        """Return what only one of suite and guards has found, as ``symbol rule``; empty where they agree."""
        suite = {(one.symbol, one.rule) for one in self.findings}
        guards = {(one.symbol, one.rule) for one in self.guards}
        return sorted(f"{symbol} {rule}".strip() for symbol, rule in suite ^ guards)

    def facts(self) -> dict[str, Any]:
        """Return the payload of the audit's event."""
        return {
            "dataset": self.dataset,
            "checked": {one.rule: one.checked for one in self.verdicts},
            "failed": {one.rule: one.failed for one in self.verdicts if one.failed},
            "symbols": sorted({one.symbol for one in self.findings if one.symbol}),
            "agrees": not self.disputed,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Every dataset that was validated."""

    datasets: tuple[Checked, ...]

    @property
    def findings(self) -> list[Finding]:
        """Return what the suites have found."""
        return [one for checked in self.datasets for one in checked.findings]

    @property
    def is_sound(self) -> bool:
        """Return whether no rule was broken, and guards and suites agree."""
        return not self.findings and not any(checked.disputed for checked in self.datasets)

    @property
    def message(self) -> str:
        """Return the outcome in one line."""
        rules = sum(len(checked.verdicts) for checked in self.datasets)
        if not self.findings and self.is_sound:
            return f"{rules} rules hold"
        broken = sorted({one.rule for one in self.findings})
        symbols = {one.symbol for one in self.findings if one.symbol}
        text = f"{len(broken)} of {rules} rules are broken by {len(symbols)} symbols: {', '.join(broken)}"
        disputed = [one for checked in self.datasets for one in checked.disputed]
        return text if not disputed else f"{text}; guards and suites disagree on {', '.join(disputed[:EXAMPLES])}"

    def facts(self) -> dict[str, Any]:
        """Return plain values by dataset."""
        return {checked.dataset: checked.facts() for checked in self.datasets}

    def markdown(self, header: str) -> str:
        """Return the page: a table of every rule, and what the guards say otherwise."""
        lines = [
            "# Data quality",
            "",
            header,
            "",
            "| suite | rule | what is wrong | checked | failed | examples |",
            "|---|---|---|---:|---:|---|",
        ]
        lines += [_row(verdict) for checked in self.datasets for verdict in checked.verdicts]
        lines.append("")
        for checked in self.datasets:
            agreed = "the guards of the minute say the same"
            if checked.disputed:
                agreed = f"**the guards of the minute disagree**: {', '.join(checked.disputed)}"
            lines.append(f"- {checked.dataset}: validated in {checked.seconds:.2f} s; {agreed}")
        return "\n".join(lines)


def _row(verdict: Verdict) -> str:
    examples = "; ".join(f"{one.symbol or 'all'} {one.value:.6g} (bound {one.bound:.6g})" for one in _some(verdict))
    more = len(verdict.findings) - EXAMPLES
    examples += f"; {more} more" if more > 0 else ""
    says = RULES[verdict.rule].says
    return f"| {verdict.dataset} | {verdict.rule} | {says} | {verdict.checked} | {verdict.failed} | {examples} |"


def _some(verdict: Verdict) -> Sequence[Finding]:
    return verdict.findings[:EXAMPLES]


__all__ = ["Checked", "Report"]
