"""Which moment the simulated exchange believes it is: real, shifted, scaled, frozen or moved by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from aione.errors import InvalidInput


def wall_ms() -> int:
    """Return the machine's own time, UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Clock(Protocol):
    """Anything that tells a moment; the exchange reads no other clock for its market."""

    def now_ms(self) -> int:
        """Return UTC epoch milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class RealClock:
    """The machine's clock, moved by a constant offset and, if asked, running at another speed.

    Attributes
    ----------
    offset_ms : int
        Added to the machine's time.
    speed : float, > 0
        Market seconds that pass in a real second, counted from the moment the clock was made.

    Examples
    --------
    >>> RealClock(offset_ms=3_600_000).now_ms() > wall_ms()
    True
    """

    offset_ms: int = 0
    speed: float = 1.0
    _started_ms: int = field(default_factory=wall_ms)
    _started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise InvalidInput(f"speed must be above 0, was {self.speed}")

    @classmethod
    def at(cls, now_ms: int, speed: float = 1.0) -> RealClock:
        """Return a clock that shows ``now_ms`` now and goes on from there."""
        return cls(offset_ms=now_ms - wall_ms(), speed=speed)

    def now_ms(self) -> int:
        """Return the machine's time where speed is 1, and the scaled one otherwise, plus the offset."""
        if self.speed == 1.0:
            return wall_ms() + self.offset_ms
        passed_ms = (time.monotonic() - self._started_s) * 1000.0 * self.speed
        return self._started_ms + self.offset_ms + int(passed_ms)


@dataclass(slots=True)
class ManualClock:
    """A clock that stands still until it is told to move: a frozen moment, or a test's own time.

    Examples
    --------
    >>> clock = ManualClock(60_000)
    >>> clock.advance(1_500)
    >>> clock.now_ms()
    61500
    """

    moment_ms: int

    def now_ms(self) -> int:
        """Return the moment at which the clock stands."""
        return self.moment_ms

    def advance(self, by_ms: int) -> None:
        """Move the clock by ``by_ms``, which may be negative."""
        self.moment_ms += by_ms


@dataclass(frozen=True, slots=True)
class SkewedClock:
    """Another clock plus whatever ``skew_ms`` returns at that moment (a fault on demand)."""

    base: Clock
    skew_ms: Callable[[], int]

    def now_ms(self) -> int:
        """Return the base clock's moment plus the skew."""
        return self.base.now_ms() + self.skew_ms()


__all__ = ["Clock", "ManualClock", "RealClock", "SkewedClock", "wall_ms"]
