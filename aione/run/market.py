"""The market that a simulated exchange plays, from the command line's choice."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from aione.errors import InvalidInput
from aione.run.system import MarketChoice
from aione.sim.market import Market
from aione.sim.recorded import RecordedMarket
from aione.sim.synthetic import SyntheticMarket


def parse_moment(text: str) -> int:
    """Return UTC epoch milliseconds of an ISO 8601 moment; without a zone it is UTC.

    Raises
    ------
    InvalidInput
        The text is no moment.

    Examples
    --------
    >>> parse_moment("2025-05-20T12:00:00Z")
    1747742400000
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--at: expected a moment such as 2025-05-20T12:00:00Z, was {text!r}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def recorded_choice(replay: Path | None, at: str | None) -> MarketChoice | None:
    """Return the choice of a recording at a moment; None where no recording is named.

    Raises
    ------
    InvalidInput
        A moment without a recording, a directory that is none, or a moment that is none.
    """
    if replay is None:
        if at is not None:
            raise InvalidInput("--at says which moment of a recording is meant: it needs --replay")
        return None
    if not replay.is_dir():
        raise InvalidInput(f"--replay: expected a directory of recorded bars, {replay} is not one")
    if at is not None:
        parse_moment(at)
    return MarketChoice(is_live=False, replay=replay.resolve(), at=at, symbols=60, seed=7)


def make_market(choice: MarketChoice, now_ms: int | None = None) -> Market:
    """Return the recorded or synthetic market; ``now_ms`` is the moment that the recording's ``at`` becomes."""
    if choice.replay is None:
        return SyntheticMarket(choice.symbols, seed=choice.seed)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    at_ms = None if choice.at is None else parse_moment(choice.at)
    return RecordedMarket(choice.replay, at_ms=at_ms, now_ms=now_ms)


__all__ = ["make_market", "parse_moment", "recorded_choice"]
