"""``aione universe``: which contracts are tradable now, or were at a past minute, and why the others are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from aione.errors import InsufficientData, InvalidInput
from aione.store.connect import connect
from aione.store.state import StateStore
from aione.venue.universe import Universe


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a moment (UTC epoch ms, None is now), one symbol, how many refreshes back."""

    at_ms: int | None = None
    symbol: str | None = None
    changes: int = 0


async def answer(redis_url: str, question: Question) -> dict[str, Any]:
    """Return the facts as plain values.

    Raises
    ------
    InsufficientData
        There is no universe yet, or none so early.
    InvalidInput
        A symbol that the exchange did not list.
    ServiceUnavailable
        Redis does not answer.
    """
    redis = await connect(redis_url)
    try:
        states = StateStore(redis)
        universe = await (states.load_universe() if question.at_ms is None else states.universes.at(question.at_ms))
        if universe is None:
            raise InsufficientData("there is no universe yet; the preload flow makes it")
        facts = _facts(universe)
        if question.symbol is not None:
            facts["contract"] = _contract(universe, question.symbol)
        if question.changes:
            journal = await states.universes.journal(question.changes)
            facts["changes"] = [_change(entry) for entry in journal]
        return facts
    finally:
        await redis.aclose()


def _facts(universe: Universe) -> dict[str, Any]:
    return {
        "refreshed": moment(universe.refreshed_ms),
        "is_stale": universe.is_stale,
        "stale_reason": universe.stale_reason,
        "symbols": list(universe.symbols),
        "refused": dict(Counter(code for code, _ in universe.rejected.values()).most_common()),
    }


def _contract(universe: Universe, symbol: str) -> dict[str, Any]:
    if symbol in universe.rejected:
        code, value = universe.rejected[symbol]
        return {"symbol": symbol, "is_tradable": False, "reason": code, "value": value}
    for info in universe.infos:
        if info.symbol == symbol:
            return {"is_tradable": True, **info.model_dump()}
    raise InvalidInput(f"{symbol} was not listed when the universe was refreshed at {moment(universe.refreshed_ms)}")


def _change(entry: dict[str, Any]) -> dict[str, Any]:
    names = {name: [contract["symbol"] for contract in entry[name]] for name in ("added", "changed")}
    if entry["is_checkpoint"]:
        names = {"added": [], "changed": []}  # a checkpoint names everyone; it says nothing of what was new
    return {
        "at": moment(entry["at_ms"]),
        "symbols": entry["symbols"],
        **names,
        "removed": entry["removed"],
        "stale_reason": entry["stale_reason"],
    }


def moment(at_ms: int) -> str:
    """Return a moment as text, UTC.

    Examples
    --------
    >>> moment(1_779_278_400_000)
    '2026-05-20T12:00:00Z'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts for a person."""
    state = f"stale: {facts['stale_reason']}" if facts["is_stale"] else "up to date"
    lines = [f"{len(facts['symbols'])} tradable perpetuals, refreshed {facts['refreshed']} ({state})"]
    if "contract" in facts:
        lines += [f"  {name:<16}{value}" for name, value in facts["contract"].items()]
    else:
        lines += [f"  refused by {code:<17}{count}" for code, count in facts["refused"].items()]
        lines.append("  " + " ".join(facts["symbols"]))
    for change in facts.get("changes", []):
        parts = [f"{change['at']}  {change['symbols']} symbols"]
        parts += [f"+{symbol}" for symbol in change["added"]]
        parts += [f"-{symbol} ({code} {value})" for symbol, (code, value) in change["removed"].items()]
        parts += [f"~{symbol}" for symbol in change["changed"]]
        parts += [change["stale_reason"]] if change["stale_reason"] else []
        lines.append("  ".join(parts))
    return "\n".join(lines)


def as_json(facts: dict[str, Any]) -> str:
    """Return the facts as one JSON object."""
    return orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode()


__all__ = ["Question", "answer", "as_json", "as_text", "moment"]
