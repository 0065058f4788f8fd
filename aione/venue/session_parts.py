"""What a session says and is told: commands, ends of connections, which of them are worth another try, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

# ── Commands ──


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a socket to ``url``, then report `Session.connected` or `Session.closed`."""

    url: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text message."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket, at once if ``abort``, then report `Session.closed`."""

    reason: str
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Rotate:
    """Open another session for the same streams; stop this one when the other has proven them."""


Command: TypeAlias = Connect | Send | Close | Rotate

# ── Ends ──


@dataclass(frozen=True, slots=True)
class End:
    """How a connection, or the attempt at one, ended.

    Attributes
    ----------
    message : str
        For a person.
    status : int, optional
        HTTP status that refused the upgrade.
    code : int, optional
        WebSocket close code.
    is_hopeless : bool
        The address itself or the peer's certificate is wrong.
    retry_after_s : float, optional
        How long the exchange has asked us to stay away (``Retry-After``).
    """

    message: str
    status: int | None = None
    code: int | None = None
    is_hopeless: bool = False
    retry_after_s: float | None = None


class Verdict(StrEnum):
    """What to do after an `End`."""

    RETRY = "retry"
    FATAL = "fatal"


RETRYABLE_STATUS: Final = frozenset({403, 408, 418, 425, 429})
"""4xx that pass: the firewall's and the rate limits'. Any other 4xx says that our request is wrong."""


def verdict(end: End) -> Verdict:
    """Decide whether a connection that ended so is worth another try; the only place that does.

    Examples
    --------
    >>> verdict(End("bad gateway", status=502)), verdict(End("no such path", status=404))
    (<Verdict.RETRY: 'retry'>, <Verdict.FATAL: 'fatal'>)
    """
    if end.is_hopeless:
        return Verdict.FATAL
    if end.status is not None and 400 <= end.status < 500 and end.status not in RETRYABLE_STATUS:
        return Verdict.FATAL
    return Verdict.RETRY


HOLD_S: Final[Mapping[int, float]] = {403: 120.0, 418: 120.0, 429: 60.0}
"""How long to stay away after a status that does not say it itself: a ban lasts two minutes at the least."""


def hold_s(end: End) -> float:
    """Return how long the exchange wants no other try after an end, in seconds; 0 where it does not mind.

    Examples
    --------
    >>> hold_s(End("refused", status=429, retry_after_s=30.0)), hold_s(End("banned", status=418)), hold_s(End("lost"))
    (30.0, 120.0, 0.0)
    """
    if end.retry_after_s is not None:
        return end.retry_after_s
    return HOLD_S.get(end.status or 0, 0.0)


# ── State ──


class Phase(StrEnum):
    """Where the session's connection is."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(slots=True)
class SessionCounts:
    """What happened so far; counts only grow."""

    messages: int = 0
    connections: int = 0
    reconnects: int = 0
    resubscribed: int = 0
    errors: Counter[str] = field(default_factory=Counter)


__all__ = [
    "HOLD_S",
    "RETRYABLE_STATUS",
    "Close",
    "Command",
    "Connect",
    "End",
    "Phase",
    "Rotate",
    "Send",
    "SessionCounts",
    "Verdict",
    "hold_s",
    "verdict",
]
