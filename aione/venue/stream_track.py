"""The life of one stream on a connection: a table and a pure step.

An acknowledgement proves nothing, since the exchange acknowledges every name; only data does. So a stream that was
acknowledged and never delivered ends in ``UNPROVEN`` and stays there, across reconnects and new subscriptions, until it
delivers. A silent stream is asked for again, each time after twice as long (`StreamTrack.ask_again_s`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from aione.errors import IllegalTransition


class StreamState(StrEnum):
    """What is known of a stream."""

    WANTED = "wanted"
    REQUESTED = "requested"
    ACKNOWLEDGED = "acknowledged"
    PROVEN = "proven"
    STALE = "stale"
    UNPROVEN = "unproven"


class StreamEvent(StrEnum):
    """What can happen to a stream. ``SILENT``: its deadline passed; ``LOST``: its connection ended."""

    SENT = "sent"
    ACKED = "acked"
    DATA = "data"
    SILENT = "silent"
    LOST = "lost"


_S, _E = StreamState, StreamEvent

TRANSITIONS: Final = {
    (_S.WANTED, _E.SENT): _S.REQUESTED,
    (_S.WANTED, _E.DATA): _S.PROVEN,  # wanted again before the exchange had stopped sending it
    (_S.WANTED, _E.LOST): _S.WANTED,
    (_S.REQUESTED, _E.ACKED): _S.ACKNOWLEDGED,
    (_S.REQUESTED, _E.DATA): _S.PROVEN,
    (_S.REQUESTED, _E.SILENT): _S.UNPROVEN,
    (_S.REQUESTED, _E.LOST): _S.WANTED,
    (_S.ACKNOWLEDGED, _E.DATA): _S.PROVEN,
    (_S.ACKNOWLEDGED, _E.SILENT): _S.UNPROVEN,
    (_S.ACKNOWLEDGED, _E.LOST): _S.WANTED,
    (_S.PROVEN, _E.SENT): _S.PROVEN,
    (_S.PROVEN, _E.ACKED): _S.PROVEN,
    (_S.PROVEN, _E.DATA): _S.PROVEN,
    (_S.PROVEN, _E.SILENT): _S.STALE,
    (_S.PROVEN, _E.LOST): _S.WANTED,
    (_S.STALE, _E.SENT): _S.STALE,
    (_S.STALE, _E.ACKED): _S.STALE,
    (_S.STALE, _E.DATA): _S.PROVEN,
    (_S.STALE, _E.SILENT): _S.STALE,
    (_S.STALE, _E.LOST): _S.STALE,
    (_S.UNPROVEN, _E.SENT): _S.UNPROVEN,
    (_S.UNPROVEN, _E.ACKED): _S.UNPROVEN,
    (_S.UNPROVEN, _E.DATA): _S.PROVEN,
    (_S.UNPROVEN, _E.SILENT): _S.UNPROVEN,
    (_S.UNPROVEN, _E.LOST): _S.UNPROVEN,
}


def step(state: StreamState, event: StreamEvent) -> StreamState:
    """Return the next state.

    Raises
    ------
    IllegalTransition
        A pair that is not in `TRANSITIONS`.

    Examples
    --------
    >>> step(StreamState.ACKNOWLEDGED, StreamEvent.SILENT)
    <StreamState.UNPROVEN: 'unproven'>
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a stream that is {state} cannot be {event}") from None


@dataclass(slots=True)
class StreamTrack:
    """One stream: its state, the moment (seconds, monotonic) from which its silence counts, and the asking again.

    ``asked`` counts how often it was asked for again since it last delivered; ``ask_again_s`` is when it will be.
    """

    state: StreamState = StreamState.WANTED
    since_s: float = 0.0
    asked: int = 0
    ask_again_s: float = inf

    @property
    def is_silent(self) -> bool:
        """Return whether it should deliver and does not."""
        return self.state in {StreamState.UNPROVEN, StreamState.STALE}

    def apply(self, event: StreamEvent, now_s: float | None = None) -> None:
        """Step; ``now_s`` restarts the silence."""
        self.state = step(self.state, event)
        if now_s is not None:
            self.since_s = now_s


__all__ = ["TRANSITIONS", "StreamEvent", "StreamState", "StreamTrack", "step"]
