"""Who is in quarantine, and who is let out: pure, so that the minute and the hour decide alike.

A symbol comes in with the gravest rule that it breaks and that keeps out; it is let out when somebody has looked at the
dataset of that rule and has found nothing that keeps it out. Whoever looks first says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Literal, Self

from aione.errors import InvalidInput
from aione.quality.rules import RULES, Dataset, Finding, in_order

By = Literal["guard", "suite"]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Why a symbol is kept out.

    Attributes
    ----------
    value, bound : float or None
        Of the finding; None is unknown or no number.
    bar_ms : int
        Open time of the newest bar that broke the rule when it was found, or that moment.
    since_ms : int
        When it was put in.
    by : str
        ``guard`` (the minute's) or ``suite`` (the quality flow's).
    """

    symbol: str
    rule: str
    value: float | None
    bound: float | None
    bar_ms: int
    since_ms: int
    by: By

    @property
    def detail(self) -> str:
        """Return value and bound with the rule's words, for a person."""
        says = RULES[self.rule].says if self.rule in RULES else "a rule of another version"
        value, bound = ("no number" if one is None else f"{one:.10g}" for one in (self.value, self.bound))
        return f"{says}: {value}, bound {bound}"

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild an entry from `to_dict`; `InvalidInput` says what is wrong with it."""
        try:
            value, bound = (None if values[name] is None else float(values[name]) for name in ("value", "bound"))
            by: By = "suite" if values["by"] == "suite" else "guard"
            bar_ms, since_ms = int(values["bar_ms"]), int(values["since_ms"])
            return cls(str(values["symbol"]), str(values["rule"]), value, bound, bar_ms, since_ms, by)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"not an entry of the quarantine: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a look at the data changes of the quarantine.

    Attributes
    ----------
    added : tuple of Quarantined
        New ones.
    changed : tuple of Quarantined
        Those that were in and stay for another reason.
    released : tuple of Quarantined
        As they were.
    held : mapping symbol -> Quarantined
        All that are in now.
    """

    added: tuple[Quarantined, ...]
    changed: tuple[Quarantined, ...]
    released: tuple[Quarantined, ...]
    held: Mapping[str, Quarantined]


def settle(
    held: Mapping[str, Quarantined],
    findings: Iterable[Finding],
    looked: Mapping[Dataset, Collection[str]],
    by: By,
    now_ms: int,
    *,
    members: Collection[str] | None = None,
) -> Settlement:
    """Return who comes in, who stays and who is let out.

    Parameters
    ----------
    held : mapping
        The quarantine before.
    findings : iterable of Finding
    looked : mapping dataset -> symbols
        What was looked at; a symbol is let out only where the dataset of its rule was.
    by : str
        Who looks.
    now_ms : int
    members : collection of str, optional
        The universe: who has left it is let out, since nothing will ever be scored of it.
    """
    reasons: dict[str, list[Finding]] = {}
    for one in in_order([one for one in findings if one.symbol and RULES[one.rule].keeps_out]):
        reasons.setdefault(one.symbol, []).append(one)
    added, changed, released = [], [], []
    after = dict(held)
    for symbol, broken in reasons.items():
        entry = _entry(broken, held.get(symbol), by, now_ms)
        if symbol not in held:
            added.append(entry)
        elif entry.rule != held[symbol].rule:
            changed.append(entry)
        else:
            continue
        after[symbol] = entry
    for symbol, entry in held.items():
        dataset = RULES[entry.rule].dataset if entry.rule in RULES else "hour"
        is_gone = members is not None and symbol not in members
        if symbol not in reasons and (is_gone or symbol in looked.get(dataset, ())):
            released.append(after.pop(symbol))
    return Settlement(tuple(added), tuple(changed), tuple(released), after)


def _entry(broken: list[Finding], before: Quarantined | None, by: By, now_ms: int) -> Quarantined:
    """Return the entry of a symbol: for the reason that it is in for already, where that still holds."""
    worst = next((one for one in broken if before and one.rule == before.rule), broken[0])
    value, bound = (number if isfinite(number) else None for number in (worst.value, worst.bound))
    entry = Quarantined(worst.symbol, worst.rule, value, bound, worst.at_ms, now_ms, by)
    return entry if before is None else replace(entry, since_ms=before.since_ms, by=before.by)


__all__ = ["By", "Quarantined", "Settlement", "settle"]
