"""`ServerClock`: the exchange's time, measured and then carried on by a clock that nobody can set."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

CLOCK_LIFE_S: Final = 600.0
"""How long a reading is preferred to later ones that were longer under way."""
SLOW_S: Final = 2.0
"""A longer round trip tells little of the time: it corrects a clock that is wrong and moves no other."""

OTHER_CLOCK_MS: Final = 2_000
"""Clocks that are further apart are not one clock."""
MOST_SKEW_MS: Final = 3_600_000
"""No machine's clock is further off than this, unless somebody else says so too."""
DATE_STEP_S: Final = 1.0
"""A ``Date`` header counts whole seconds."""


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
        self._trip_s = SLOW_S  # what our own time is worth, as long as nothing contradicts it
        self.known_ms: float | None = None

    def measured(self, server_ms: float, *, sent_s: float, received_s: float) -> None:
        """Take a reading that was asked for and received at these moments of the monotonic clock.

        Notes
        -----
        The exchange is taken to have answered in the middle of the round trip. A clock that the reading does not
        contradict stays as it is where the reading is less exact: its round trip is longer than that of the reading
        before, which is younger than `CLOCK_LIFE_S`, or longer than `SLOW_S`. `known_ms` keeps the reading itself in
        any case: the exchange's clock has certainly reached it.
        """
        self.known_ms = server_ms
        trip_s = received_s - sent_s
        is_young = received_s - self._anchor_s <= CLOCK_LIFE_S
        is_less_exact = trip_s > self._trip_s and (is_young or trip_s > SLOW_S)
        if is_less_exact and not self.off_ms(server_ms, sent_s=sent_s, received_s=received_s):
            return
        self._anchor_ms = server_ms
        self._anchor_s = (sent_s + received_s) / 2
        self._trip_s = trip_s

    def off_ms(self, server_ms: float, *, sent_s: float, received_s: float) -> float:
        """Return how far this clock is outside of what a reading allows; 0 where the two agree.

        When the reply is received the exchange's clock shows what the reply says, or up to a round trip more.
        """
        at_receipt_ms = self._anchor_ms + 1000.0 * (received_s - self._anchor_s)
        return max(server_ms - at_receipt_ms, at_receipt_ms - server_ms - 1000.0 * (received_s - sent_s), 0.0)

    def now_ms(self) -> int:
        """Return the exchange's time, UTC epoch milliseconds."""
        return int(self._anchor_ms + 1000.0 * (self.monotonic_s() - self._anchor_s))

    def wall_ms(self) -> float:
        """Return this machine's own time, UTC epoch milliseconds."""
        return 1000.0 * self._wall_s()

    def offset_ms(self) -> float:
        """Return the exchange's time minus this machine's."""
        return self.now_ms() - self.wall_ms()


def set_budget_clock(clock: ServerClock, server_ms: float, date: str, *, sent_s: float, received_s: float) -> None:
    """Set the clock by which the exchange counts its budgets, from a reading and the ``Date`` of its reply.

    That is the exchange's clock, unless the host that answers says that the market's clock is not its own: a recorded
    market is played back, or the reading is absurd. Then it is the host's, which is ours where both agree. What two of
    the three say is believed; of one alone only what is within `MOST_SKEW_MS` of our own clock.
    """
    wall_ms, host_ms = clock.wall_ms(), date_ms(date)
    late_ms = OTHER_CLOCK_MS + 1000 * (received_s - sent_s)

    def is_like_ours(said_ms: float) -> bool:
        return -OTHER_CLOCK_MS <= wall_ms - said_ms <= late_ms

    is_hosts = host_ms is not None and abs(host_ms + 500 * DATE_STEP_S - server_ms) <= OTHER_CLOCK_MS
    if not is_hosts and not is_like_ours(server_ms):
        if host_ms is not None:
            server_ms, sent_s = host_ms, sent_s - DATE_STEP_S
        if is_like_ours(server_ms) or abs(wall_ms - server_ms) > MOST_SKEW_MS:
            server_ms, sent_s = wall_ms, (received_s := clock.monotonic_s())
    clock.measured(server_ms, sent_s=sent_s, received_s=received_s)


def date_ms(said: str) -> float | None:
    """Return the moment that an HTTP date names, UTC epoch milliseconds; None where it is none.

    Examples
    --------
    >>> date_ms("Thu, 01 Jan 1970 00:01:00 GMT"), date_ms("soon")
    (60000.0, None)
    """
    try:
        return parsedate_to_datetime(said).timestamp() * 1000
    except (ValueError, OverflowError, OSError):
        return None


__all__ = [
    "CLOCK_LIFE_S",
    "OTHER_CLOCK_MS",
    "SLOW_S",
    "ServerClock",
    "date_ms",
    "set_budget_clock",
]
