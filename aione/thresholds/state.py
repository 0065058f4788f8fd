"""`RuleState`: what the rules remember from bar to bar and across restarts, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aione.errors import InvalidInput
from aione.thresholds.book import LaidRule


@dataclass(slots=True)
class Applications:
    """When a rule was put in force for one symbol: times in UTC epoch milliseconds, those that still matter."""

    last_ms: int = 0
    hold_until_ms: int = 0
    within: list[int] = field(default_factory=list)


@dataclass(slots=True)
class RuleMemory:
    """One rule's counters.

    Attributes
    ----------
    text : str
        The rule as it was; a rule that reads otherwise begins anew.
    evaluations, matched, applied : int
        Symbols and bars on which it was asked, on which its conditions held, on which its actions were put in force.
    blocked : int
        On which it matched and was kept from it by its limits or by another regime.
    last_ms : int
        Bar of the last application, of any symbol; 0 is never.
    symbols : mapping symbol -> Applications
        Of rules that have limits.
    """

    text: str
    evaluations: int = 0
    matched: int = 0
    applied: int = 0
    blocked: int = 0
    last_ms: int = 0
    symbols: dict[str, Applications] = field(default_factory=dict)


@dataclass(slots=True)
class RuleState:
    """What goes from run to run.

    Attributes
    ----------
    bar_ms : int
        Open time of the last bar that was evaluated; that bar again changes nothing.
    rules : mapping rule key -> RuleMemory
    in_force : mapping action key -> symbol -> [value, rule key]
        What held on that bar, after merging and smoothing.
    smoothed : mapping action key -> symbol -> value
        Where values that go step by step have got to.
    sources : mapping file name -> text
        The last files that were good.
    """

    bar_ms: int = 0
    rules: dict[str, RuleMemory] = field(default_factory=dict)
    in_force: dict[str, dict[str, tuple[float, str]]] = field(default_factory=dict)
    smoothed: dict[str, dict[str, float]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def adopt(self, rules: Iterable[LaidRule]) -> None:
        """Forget rules that are gone, and let those that were changed begin anew."""
        kept: dict[str, RuleMemory] = {}
        for laid in rules:
            text = laid.rule.model_dump_json()
            known = self.rules.get(laid.key)
            kept[laid.key] = known if known is not None and known.text == text else RuleMemory(text)
        self.rules = kept

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RuleState:
        """Rebuild a state; `InvalidInput` says that it is none."""
        try:
            rules = {
                key: RuleMemory(**{**one, "symbols": {s: Applications(**a) for s, a in one["symbols"].items()}})
                for key, one in values["rules"].items()
            }
            in_force = {
                key: {symbol: (float(told[0]), str(told[1])) for symbol, told in held.items()}
                for key, held in values["in_force"].items()
            }
            return cls(
                int(values["bar_ms"]),
                rules,
                in_force,
                {key: dict(held) for key, held in values["smoothed"].items()},
                dict(values["sources"]),
            )
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise InvalidInput(f"a state of the rules holds {', '.join(cls.__slots__)}: {error!r}") from error


__all__ = ["Applications", "RuleMemory", "RuleState"]
