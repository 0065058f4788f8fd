"""How often a connection speaks, and so for how long its silence is nothing strange."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from aione.venue.stream_track import StreamTrack
from config.models import VenueParams

STRANGE_GAPS: Final = 10.0
"""Silence is strange when it has lasted so many times the usual time between two messages."""
DOUBLINGS: Final = 3


@dataclass(slots=True)
class Rhythm:
    """What was heard of the wanted streams over all connections, the silence of dropped ones included.

    Examples
    --------
    >>> rhythm = Rhythm()
    >>> rhythm.begin(10.0)
    >>> rhythm.gap_s(messages=4, last_s=12.0)
    0.5
    """

    drops: int = 0
    """Connections dropped for their silence since the last one that delivered."""
    messages_before: int = 0
    heard_s: float = 0.0
    since_s: float | None = None

    def begin(self, now_s: float) -> None:
        """A connection stands."""
        self.since_s = now_s

    def end(self, now_s: float) -> None:
        """It is gone."""
        if self.since_s is not None:
            self.heard_s += max(0.0, now_s - self.since_s)
        self.since_s = None

    def restart(self, messages: int, now_s: float) -> None:
        """Other streams are wanted: what was learned of these is of no use. ``messages`` are all so far."""
        self.messages_before, self.heard_s = messages, 0.0
        self.since_s = None if self.since_s is None else now_s

    def gap_s(self, messages: int, last_s: float) -> float | None:
        """Return the mean time between messages until the last one; None before there was any."""
        heard = messages - self.messages_before
        if heard <= 0:
            return None
        open_s = 0.0 if self.since_s is None else max(0.0, last_s - self.since_s)
        return (self.heard_s + open_s) / heard

    def patience_s(
        self, tracks: Collection[StreamTrack], params: VenueParams, *, messages: int, last_s: float
    ) -> float:
        """Return how long a connection with these streams may be silent.

        Streams that were heard are known to be busy or not. Before that, several of them and one of the whole market
        are taken for busy, a single symbol's is not.
        """
        first = next(iter(tracks))
        gap_s = self.gap_s(messages, last_s)
        usual_s = params.stale_after_s
        longest_s = max(params.resubscribe_cap_s, first.patience_s)
        if gap_s is not None:
            usual_s = max(usual_s, min(STRANGE_GAPS * gap_s, longest_s))
        elif len(tracks) == 1 and first.symbol:
            usual_s = max(usual_s, first.patience_s)
        return min(usual_s * (1 << min(self.drops, DOUBLINGS)), max(usual_s, longest_s))


__all__ = ["DOUBLINGS", "STRANGE_GAPS", "Rhythm"]
