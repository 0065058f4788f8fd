"""What a person is told after a cycle: new signals, and what went wrong with the data or is well again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aione.screening.cycle import Cycle
from aione.screening.runtime import Runtime


@dataclass(frozen=True, slots=True)
class News:
    """Messages as (subject, body), and the place in the journal of incidents up to which they go."""

    messages: tuple[tuple[str, str], ...]
    place: str = ""


async def gather_news(runtime: Runtime, cycle: Cycle) -> News:
    """Return what nobody has been told of yet.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    """
    place, incidents = await runtime.incidents.untold()
    return News((*map(incident_message, incidents), *cycle.new_signals), place)


async def remember_told(runtime: Runtime, news: News) -> None:
    """Remember that these were told; a crash before tells of incidents again rather than never."""
    if news.place:
        await runtime.incidents.told(news.place)


def incident_message(incident: Mapping[str, Any]) -> tuple[str, str]:
    r"""Return subject and body of an incident that began or ended.

    Examples
    --------
    >>> told = {"kind": "redis_away", "text": "Redis does not answer", "worker": "1of1@host:7", "began_ms": 1000}
    >>> incident_message({**told, "ended_ms": None})
    ('DATA redis_away', 'Redis does not answer\nworker 1of1@host:7')
    >>> incident_message({**told, "ended_ms": 61_000})
    ('DATA redis_away is over', 'after 60 s: Redis does not answer\nworker 1of1@host:7')
    """
    body = f"{incident['text']}\nworker {incident['worker']}"
    if incident["ended_ms"] is None:
        return f"DATA {incident['kind']}", body
    seconds = (incident["ended_ms"] - incident["began_ms"]) / 1000
    return f"DATA {incident['kind']} is over", f"after {seconds:.0f} s: {body}"


__all__ = ["News", "gather_news", "incident_message", "remember_told"]
