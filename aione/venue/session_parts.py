"""What a session says and is told: commands, ends of connections, and which of them are worth another try."""

from __future__ import annotations

from collections import Counter
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
    """

    message: str
    status: int | None = None
    code: int | None = None
    is_hopeless: bool = False


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
    "verdict",
]
