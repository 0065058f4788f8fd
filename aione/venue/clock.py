"""`ServerClock`: the exchange's time, measured and then carried on by a clock that nobody can set."""

from __future__ import annotations

import time
from collections.abc import Callable


class ServerClock:
    """What the exchange's clock shows now, to about half a round trip.

    Before the first measurement it shows this machine's own time. Between measurements it runs on the monotonic
    clock, so a step of the machine's time does not move it.

    Parameters
    ----------
    wall_s, monotonic_s : callable
        Seconds; replaced in tests.

    Examples
    --------
    >>> ticks = iter([0.0, 12.0])
    >>> clock = ServerClock(wall_s=lambda: 0.0, monotonic_s=lambda: next(ticks))
    >>> clock.measured(5_000.0, sent_s=9.0, received_s=10.0)
    >>> clock.now_ms()
    7500
    """

    def __init__(
        self, wall_s: Callable[[], float] = time.time, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall_s = wall_s
        self.monotonic_s = monotonic_s
        self._anchor_ms = 1000.0 * wall_s()
        self._anchor_s = monotonic_s()
        self.known_ms: float | None = None

    def measured(self, server_ms: float, *, sent_s: float, received_s: float) -> None:
        """Take a reading that was asked for and received at these moments of the monotonic clock.

        Notes
        -----
        The exchange is taken to have answered in the middle of the round trip. `known_ms` keeps the reading itself:
        the exchange's clock has certainly reached it.
        """
        self._anchor_ms = server_ms
        self._anchor_s = (sent_s + received_s) / 2
        self.known_ms = server_ms

    def now_ms(self) -> int:
        """Return the exchange's time, UTC epoch milliseconds."""
        return int(self._anchor_ms + 1000.0 * (self.monotonic_s() - self._anchor_s))

    def offset_ms(self) -> float:
        """Return the exchange's time minus this machine's."""
        return self.now_ms() - 1000.0 * self._wall_s()


__all__ = ["ServerClock"]
