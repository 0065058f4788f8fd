"""The script of the synthetic market: what happens to a symbol, when, and how it shows in the bars.

Each day of a symbol is cut into slots of 96 minutes, from a minute of its own on. Two slots in three hold one event,
drawn from all kinds; an event lives inside its slot and its day, so a day can be made without its neighbours. Sizes are
multiples of the symbol's own minute deviation at that time: an event looks the same on a calm and on a wild symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from aione.sim.market import DAY_MS, MINUTE_MS
from aione.sim.noise import F8, noise_key, uniform, uniform_at

SLOT_MINUTES: Final = 96
DAY_MINUTES: Final = 1440
SLOTS: Final = DAY_MINUTES // SLOT_MINUTES
SHARE_OF_SLOTS: Final = 0.65

DURATIONS: Final[Mapping[str, int]] = {
    "pump": 40,
    "dump": 40,
    "breakout_up": 45,
    "breakout_down": 45,
    "fakeout_up": 34,
    "fakeout_down": 34,
    "bullish_divergence": 50,
    "bearish_divergence": 50,
    "volume_spike": 2,
    "wick_trap": 2,
    "spread_blowout": 12,
    "range_bound": 80,
    "steady_trend_up": 80,
    "steady_trend_down": 80,
}
"""Every kind of scripted event and how many minutes it takes."""


@dataclass(frozen=True, slots=True)
class Event:
    """One scripted event.

    Attributes
    ----------
    kind : str
        A key of ``DURATIONS``, or ``listing`` / ``delisting``.
    symbol : str
    start_ms, end_ms : int
        Open time of its first bar; open time of the first bar after it.
    size : float
        Multiplies its moves, 1 is ordinary.
    """

    kind: str
    symbol: str
    start_ms: int
    end_ms: int
    size: float = 1.0

    @property
    def minutes(self) -> slice:
        """Its bars, counted from its day's start."""
        start = self.start_ms % DAY_MS // MINUTE_MS
        return slice(start, start + (self.end_ms - self.start_ms) // MINUTE_MS)


@dataclass(slots=True)
class Canvas:
    """A day of one symbol while it is made: float64 (1440,) each, changed in place by events.

    Attributes
    ----------
    returns, sigma
        Log return of each minute and the standard deviation it was drawn with.
    volume
        Multiplies the turnover.
    taker
        Added to the taker's share of buying.
    wick_up, wick_down
        Log distance by which the high and the low reach beyond open and close.
    """

    returns: F8
    sigma: F8
    volume: F8
    taker: F8
    wick_up: F8
    wick_down: F8

    def part(self, rows: slice | int) -> Canvas:
        """Return the same arrays cut to ``rows``: views, so that drawing on them draws here."""
        return Canvas(
            self.returns[rows],
            self.sigma[rows],
            self.volume[rows],
            self.taker[rows],
            self.wick_up[rows],
            self.wick_down[rows],
        )


@lru_cache(maxsize=8192)
def script_of_day(seed: int, symbol: str, day: int) -> tuple[Event, ...]:
    """Return a symbol's events of one day (since the epoch), in order of time.

    Examples
    --------
    >>> events = script_of_day(7, "BTCUSDT", 20_000)
    >>> all(one.end_ms <= other.start_ms for one, other in zip(events, events[1:], strict=False))
    True
    """
    kinds = list(DURATIONS)
    phase = int(uniform_at(noise_key(seed, symbol, "phase"), day) * SLOT_MINUTES)
    draw = uniform(noise_key(seed, symbol, "script", day), np.arange(SLOTS * 4)).reshape(SLOTS, 4)
    events = []
    for slot, (is_used, which, when, size) in enumerate(draw):
        opening = phase + slot * SLOT_MINUTES
        if is_used > SHARE_OF_SLOTS or opening + SLOT_MINUTES > DAY_MINUTES:
            continue
        kind = kinds[int(which * len(kinds))]
        room = SLOT_MINUTES - DURATIONS[kind] - 4
        start = day * DAY_MINUTES + opening + 2 + int(when * room)
        end = start + DURATIONS[kind]
        events.append(Event(kind, symbol, start * MINUTE_MS, end * MINUTE_MS, 0.8 + 0.6 * float(size)))
    return tuple(events)


def play(event: Event, canvas: Canvas) -> None:
    """Draw one event of the canvas's day."""
    part = canvas.part(event.minutes)
    unit = float(np.add.reduce(part.sigma)) / len(part.sigma)
    _PLAYERS[event.kind](part, unit, event.size)


# ── How each kind is drawn ──

_WAVE: Final = np.diff(np.sin(2.0 * np.pi * np.arange(DURATIONS["range_bound"] + 1) / 20.0))
_DIVERGENCE: Final = np.concatenate(
    (
        np.full(8, -1.8),
        np.full(8, 1.0),
        np.tile([-1.15, 0.4, -0.4], 7),
        [-1.2, 1.2, 1.2, 1.0, 0.8, 0.8, 0.6, 0.6, 0.5],
    )
)


def _calm(part: Canvas, noise: float) -> None:
    """Quieten the noise and take its drift away."""
    part.returns -= np.add.reduce(part.returns) / len(part.returns)
    part.returns *= noise
    part.sigma *= noise


def _surge(part: Canvas, unit: float, size: float, side: int) -> None:
    """Run six bars, hold, give two fifths back."""
    _calm(part, 0.6)
    part.returns[:6] += side * size * unit * np.array([1.2, 2.4, 3.6, 4.2, 2.8, 1.6])
    part.returns[12:36] -= side * size * unit * 15.8 * 0.4 / 24
    part.volume[:12] *= np.array([3, 6, 9, 11, 9, 7, 5, 4, 3, 2.5, 2, 1.5])
    part.taker[:7] += side * 0.22


def _break(part: Canvas, unit: float, size: float, side: int) -> None:
    """Rest 25 bars in a tight range, leave it on volume, follow through."""
    _calm(part, 0.4)
    part.volume[:25] *= 0.6
    part.returns[25:28] += side * size * unit * np.array([3.5, 2.5, 1.2])
    part.returns[28:] += side * size * unit * 0.2
    part.volume[25:32] *= np.array([7, 6, 4, 3, 2.5, 2, 1.5])
    part.taker[25:33] += side * 0.22


def _fake(part: Canvas, unit: float, size: float, side: int) -> None:
    """Leave a tight range like a breakout and be back in it four bars later."""
    _calm(part, 0.4)
    part.volume[:22] *= 0.6
    part.returns[22:28] += side * size * unit * np.array([3.5, 1.2, -1.8, -2.6, -1.8, -0.9])
    part.volume[22:28] *= np.array([4, 2.5, 4, 5, 4, 3])
    part.taker[22:24] += side * 0.15
    part.taker[24:29] -= side * 0.22


def _diverge(part: Canvas, unit: float, size: float, side: int) -> None:
    """Make two extremes, the second further out in price but with less momentum, then turn to ``side``."""
    _calm(part, 0.12)
    part.returns[: len(_DIVERGENCE)] += _DIVERGENCE * (side * size * unit)
    (part.wick_down if side > 0 else part.wick_up)[[7, 37]] += 0.5 * size * unit
    part.volume[:8] *= 2.5
    part.volume[16:38] *= 0.8
    part.volume[38:44] *= 2.5
    part.taker[:8] -= side * 0.10
    part.taker[38:46] += side * 0.20


def _spike(part: Canvas, unit: float, size: float, side: int) -> None:
    """Trade ten times the volume in place: absorption, no range."""
    del unit, side
    _calm(part, 0.25)
    part.volume *= np.array([11.0, 8.0]) * size


def _trap(part: Canvas, unit: float, size: float, side: int) -> None:
    """Shoot far out within a bar and close where it began; the wick is up or down as the noise leans."""
    is_up = part.returns[0] > 0
    (part.wick_up if is_up else part.wick_down)[0] += 7.0 * size * unit
    part.returns[:] *= 0.3
    part.volume[0] *= 9.0
    part.taker += side * (-0.1 if is_up else 0.1)


def _thin(part: Canvas, unit: float, size: float, side: int) -> None:
    """Trade little while the book is wide (the quote shows it)."""
    del unit, side
    part.volume *= 0.35 / size


def _rest(part: Canvas, unit: float, size: float, side: int) -> None:
    """Swing between two bounds, four bars of deviation apart."""
    del side
    _calm(part, 0.35)
    part.returns += _WAVE * (2.0 * size * unit)
    part.volume *= 0.7


def _climb(part: Canvas, unit: float, size: float, side: int) -> None:
    """Move one way a third of a deviation a bar, with shallow noise."""
    _calm(part, 0.5)
    part.returns += side * size * unit * 0.33
    part.taker += side * 0.06


_Player = Callable[[Canvas, float, float], None]


def _to(side: int, player: Callable[[Canvas, float, float, int], None]) -> _Player:
    def drawn(part: Canvas, unit: float, size: float) -> None:
        player(part, unit, size, side)

    return drawn


_PLAYERS: Final[Mapping[str, _Player]] = {
    "pump": _to(1, _surge),
    "dump": _to(-1, _surge),
    "breakout_up": _to(1, _break),
    "breakout_down": _to(-1, _break),
    "fakeout_up": _to(1, _fake),
    "fakeout_down": _to(-1, _fake),
    "bullish_divergence": _to(1, _diverge),
    "bearish_divergence": _to(-1, _diverge),
    "volume_spike": _to(1, _spike),
    "wick_trap": _to(1, _trap),
    "spread_blowout": _to(1, _thin),
    "range_bound": _to(1, _rest),
    "steady_trend_up": _to(1, _climb),
    "steady_trend_down": _to(-1, _climb),
}

__all__ = ["DURATIONS", "SHARE_OF_SLOTS", "Canvas", "Event", "play", "script_of_day"]
