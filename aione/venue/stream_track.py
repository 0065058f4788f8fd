"""The life of one stream on a connection: a table and a pure step.

An acknowledgement proves nothing, since the exchange acknowledges every name; only data does. So a stream that is
wanted and does not deliver ends in ``UNPROVEN``, whether it was acknowledged, asked for, or could not even be asked for
because no connection stands; it stays there, across reconnects and new subscriptions, until it delivers. A silent
stream is asked for again, each time after twice as long (`StreamTrack.ask_again_s`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final, Self

from aione.errors import IllegalTransition
from aione.venue.stream_wire import stream_kind, stream_symbol
from config.models import VenueParams

MAX_EXPONENT: Final = 16
SELDOM_KINDS: Final = frozenset({"bookTicker", "depth"})
"""Kinds that push only when the book changes."""


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
    (_S.WANTED, _E.SILENT): _S.UNPROVEN,
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
    """One stream; all times are seconds of one monotonic clock.

    Attributes
    ----------
    state : StreamState
    since_s : float
        From when its silence counts: its last event, else since when it is wanted, else when it was lost.
    symbol : str
        Whose events it must carry; empty for a stream of the whole market.
    patience_s : float
        How long it may be silent once it has delivered.
    asked : int
        How often it was asked for again since it last delivered.
    ask_again_s : float
        When it will be.
    """

    state: StreamState = StreamState.WANTED
    since_s: float = 0.0
    symbol: str = ""
    patience_s: float = inf
    asked: int = 0
    ask_again_s: float = inf

    @classmethod
    def of(cls, stream: str, now_s: float, params: VenueParams) -> Self:
        """Return a stream that is wanted from now on.

        Examples
        --------
        >>> track = StreamTrack.of("btcusdt@kline_1m", 5.0, VenueParams())
        >>> track.state, track.symbol, track.patience_s
        (<StreamState.WANTED: 'wanted'>, 'BTCUSDT', 130.0)
        """
        is_seldom = stream_kind(stream) in SELDOM_KINDS
        patience_s = params.book_stale_after_s if is_seldom else params.stream_stale_after_s
        return cls(since_s=now_s, symbol=stream_symbol(stream), patience_s=patience_s)

    @property
    def is_silent(self) -> bool:
        """Return whether it should deliver and does not."""
        return self.state in {StreamState.UNPROVEN, StreamState.STALE}

    def apply(self, event: StreamEvent, now_s: float | None = None) -> None:
        """Step; ``now_s`` restarts the silence."""
        self.state = step(self.state, event)
        if now_s is not None:
            self.since_s = now_s

    def judge(self, now_s: float, proof_within_s: float) -> None:
        """Step if it has been silent for too long."""
        has_delivered = self.state in {StreamState.PROVEN, StreamState.STALE}
        if now_s - self.since_s > (self.patience_s if has_delivered else proof_within_s):
            self.apply(StreamEvent.SILENT)

    def is_due_again(self, now_s: float, base_s: float, cap_s: float) -> bool:
        """Return whether a silent stream's wait is over, and begin the next one, twice as long."""
        is_due = now_s >= self.ask_again_s
        if is_due or self.ask_again_s == inf:
            self.asked += is_due
            self.ask_again_s = now_s + min(base_s * 2 ** min(self.asked, MAX_EXPONENT), cap_s)
        return is_due


__all__ = ["MAX_EXPONENT", "TRANSITIONS", "StreamEvent", "StreamState", "StreamTrack", "step"]
