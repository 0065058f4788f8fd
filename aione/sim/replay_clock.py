"""Which moment of a recording is now: the shift between two clocks, and the loop at the recording's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aione.errors import InvalidInput
from aione.sim.market import DAY_MS, MINUTE_MS
from aione.sim.noise import I8

HISTORY_DAYS: Final = 2
GAP_MS: Final = DAY_MS


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a recording: open time of its first minute, open time after its last."""

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class ReplayClock:
    """Maps the market's time to the recording's.

    Attributes
    ----------
    window : Window
        The stretch that all symbols have.
    shift_ms : int
        Market time minus recording time until the recording ends; whole minutes.
    loop_ms : int
        0 where the market falls silent at the recording's end; otherwise its last ``loop_ms`` are repeated for ever.
    """

    window: Window
    shift_ms: int
    loop_ms: int = 0

    def recorded_ms(self, time_ms: int) -> int:
        """Return the moment of the recording that is played at ``time_ms``.

        Examples
        --------
        >>> clock = ReplayClock(Window(0, 600_000), 1_000_000_020_000, 300_000)
        >>> clock.recorded_ms(1_000_000_020_000 + 599_999), clock.recorded_ms(1_000_000_020_000 + 600_001)
        (599999, 300001)
        """
        recorded = time_ms - self.shift_ms
        if self.loop_ms and recorded >= self.window.end_ms:
            recorded = self.window.end_ms - self.loop_ms + (recorded - self.window.end_ms) % self.loop_ms
        return recorded

    def pieces(self, start_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
        """Return ``(recorded start, recorded end, shift)`` of the stretches that are played within the range."""
        found = []
        at = start_ms
        while at <= end_ms:
            recorded = self.recorded_ms(at)
            shift = at - recorded
            stop = end_ms
            if self.loop_ms:
                stop = min(end_ms, self.window.end_ms + shift - 1)
            found.append((recorded, stop - shift, shift))
            at = stop + 1
        return found


def clock_at(window: Window, at_ms: int, now_ms: int) -> ReplayClock:
    """Return the clock on which ``at_ms`` of the recording is ``now_ms``; without a loop.

    The shift is cut to whole minutes, so that bars keep opening on the minute. It is 0 where both are equal.

    Raises
    ------
    InvalidInput
        ``at_ms`` is outside the recording.
    """
    if not window.start_ms <= at_ms < window.end_ms:
        raise InvalidInput(
            f"the chosen moment must lie in the recording, {_iso(window.start_ms)} to {_iso(window.end_ms)} UTC, "
            f"was {_iso(at_ms)}"
        )
    return ReplayClock(window, (now_ms - at_ms) // MINUTE_MS * MINUTE_MS)


def looping_clock(window: Window, now_ms: int) -> ReplayClock:
    """Return a clock chosen by ``now_ms`` alone, the same for processes that start minutes or days apart.

    The shift is a whole number of days. Now is mapped between two days after the window's start and one day before its
    end, by a period of as many whole days as lie between: starts disagree only where a period ends between them. A
    recording that is too short for that gives up the day ahead first, then the history; one of less than a day is
    played in a loop of its own length, which keeps no time of day.
    """
    days = window.length_ms // DAY_MS
    if not days:
        return ReplayClock(window, (now_ms - window.start_ms) // window.length_ms * window.length_ms, window.length_ms)
    history = max(0, min(HISTORY_DAYS, days - 1))
    ahead = 1 if days >= history + 2 else 0
    anchor, period = window.start_ms + history * DAY_MS, (days - history - ahead) * DAY_MS
    return ReplayClock(window, (now_ms - anchor) // period * period, days * DAY_MS)


def common_window(times: Sequence[I8]) -> Window:
    """Return the longest stretch that every symbol has without a hole of more than a day.

    Parameters
    ----------
    times : sequence of int64 (N,)
        Open times of each symbol's 1m bars, ascending, at least one.

    Raises
    ------
    InvalidInput
        No minute is inside the recordings of all.
    """
    stretches = _stretches(times[0])
    for other in times[1:]:
        stretches = [
            Window(max(one.start_ms, two.start_ms), min(one.end_ms, two.end_ms))
            for one in stretches
            for two in _stretches(other)
            if max(one.start_ms, two.start_ms) < min(one.end_ms, two.end_ms)
        ]
    if not stretches:
        raise InvalidInput(f"the recordings of the {len(times)} symbols share no minute; expected a common time window")
    return max(stretches, key=lambda one: one.length_ms)


def _stretches(times: I8) -> list[Window]:
    cuts = np.flatnonzero(np.diff(times) > GAP_MS)
    starts, ends = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [len(times) - 1]))
    return [
        Window(int(times[one]), int(times[two]) + MINUTE_MS)
        for one, two in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _iso(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("datetime64[s]"))


__all__ = ["HISTORY_DAYS", "ReplayClock", "Window", "clock_at", "common_window", "looping_clock"]
