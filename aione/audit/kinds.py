"""What is logged: each kind, who writes it and when, and the keys of its payload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aione.audit.record import AuditEvent


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event: where it comes from, when it is written, and what each key of its payload means."""

    stage: str
    kind: str
    when: str
    keys: dict[str, str]


KINDS: Final = (
    Kind(
        "stage1",
        "metrics",
        "for each symbol on which a trigger counted",
        {
            "density": "bars on which any trigger counted, per 1000 bars seen",
            "mean_rank": "mean rank within the universe, 0 to 1, of relative strength on those bars",
            "burst": "how many of the symbol's last bars in a row had a trigger that counted",
            "evidence": "0 to 1",
            "triggers": "trigger -> strength of those that counted",
        },
    ),
    Kind(
        "stage1",
        "alignment",
        "when an alert begins",
        {"side": "of the alert", "htf_alignment": "-1 to 1", "agrees": "the alignment is on the alert's side"},
    ),
    Kind(
        "stage1",
        "alert",
        "when an alert begins, turns over or ends",
        {
            "state": "began or ended",
            "announced": "it was told to people",
            "side": "-1, 0 or 1",
            "evidence": "0 to 1",
            "triggers": "those that counted",
        },
    ),
    Kind(
        "stage1",
        "dyn_thresholds_pre",
        "when rules change a threshold before Stage1",
        {"key": "threshold", "old": "value before", "new": "value in force", "rule": "id", "source": "file"},
    ),
    Kind(
        "stage2",
        "dyn_thresholds",
        "when rules change a value after the volatility analysis",
        {"key": "value's name", "old": "value before", "new": "value in force", "rule": "id", "source": "file"},
    ),
    Kind(
        "stage2",
        "dyn_stats",
        "for each rule that was applied, in a cycle in which any value changed",
        {
            "rule": "id",
            "source": "file",
            "evaluations": "symbols looked at, ever",
            "matched": "conditions that held, ever",
            "applied": "times its actions were put in force, ever",
            "blocked": "times it matched and its limits or another regime kept it from that, ever",
            "priority": "of the rule",
            "last_ms": "bar of the last application",
        },
    ),
    Kind(
        "stage2",
        "validation",
        "once a cycle",
        {
            "scored": "symbols scored",
            "unknown": "factor or quality -> symbols in which it is unknown",
            "held": "gate -> entries held back by it",
        },
    ),
    Kind(
        "qde",
        "decision",
        "for an alerted symbol whose scenario or recommendation is new",
        {
            "scenario": "name",
            "recommendation": "after the gates",
            "reco_original": "the table's own",
            "gate": "that held it back, or null",
            "direction": "-1 to 1",
            "confidence": "0 to 1, uncalibrated",
            "quality": "0 to 1",
            "contributions": "factor -> its part of the direction",
            "entry": "quote per base",
            "sl": "quote per base",
            "tp": "quote per base",
            "rr": "reward to risk after costs",
        },
    ),
    Kind(
        "quality",
        "quarantine",
        "when a symbol comes into quarantine, stays for another reason, or is let out",
        {
            "state": "added, changed or released",
            "rule": "that it broke",
            "value": "that was refused; null is no number",
            "bound": "that it broke",
            "bar_ms": "newest bar that broke the rule when it was found",
            "since_ms": "since when it is in",
            "by": "who put it in: guard (every minute) or suite (every hour)",
            "seen_by": "who has found this",
        },
    ),
    Kind(
        "quality",
        "suite",
        "for each dataset that the quality flow has validated",
        {
            "dataset": "universe, history or hour",
            "checked": "rule -> rows looked at",
            "failed": "rule -> rows refused, of those that refused any",
            "symbols": "symbols with a refused row",
            "agrees": "whether the guards of the minute say the same",
            "seconds": "that the validation took",
        },
    ),
    Kind(
        "stage3",
        "trade",
        "for each event of a paper trade",
        {"trade_id": "name of the trade", "event": "what happened", "data": "its facts"},
    ),
)
"""Other kinds may be logged too: these are the product's own."""

_KEYS: Final = {(kind.stage, kind.kind): frozenset(kind.keys) for kind in KINDS}


def undocumented(events: Iterable[AuditEvent]) -> list[str]:
    """Return what the events hold that `KINDS` does not tell: a kind, or a key of a payload."""
    strange = set()
    for event in events:
        keys = _KEYS.get((event.stage, event.kind))
        if keys is None:
            strange.add(f"{event.stage} {event.kind}")
        else:
            strange |= {f"{event.stage} {event.kind}: {key}" for key in event.payload.keys() - keys}
    return sorted(strange)


__all__ = ["KINDS", "Kind", "undocumented"]
