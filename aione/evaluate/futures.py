"""Ways in which the engine could come to see the future: each walks the same bars and must say the same.

===============  =====================================================================================================
``truncated``    the reference: fresh copies of what there was, one bar at a time; nothing later exists anywhere
``future``       `walk` over the whole recording, with every later minute and every later day in it
``random``       as ``future``, but what is later is prices of another market
``unknown``      ... is NaN
``huge``         ... is 1e300
``forming_day``  the daily bars end with the running day, as an exchange returns it
``guarded``      the window lies between walls of garbage in memory and its symbols stand in another order: a kernel
                 that reads past the end of a row meets another neighbour
===============  =====================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from aione.evaluate.said import Column, said
from aione.evaluate.walk import Step, look, walk
from aione.panel import DAY_MS, MINUTE_MS, VALUE_FIELDS, BarPanel, MarketSnapshot
from aione.stage1.states import MonitorState
from config.settings import Settings

MarketAt = Callable[[BarPanel], MarketSnapshot]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is walked: bars ``start <= at < stop`` of ``panel``.

    Attributes
    ----------
    panel : BarPanel
        1-minute bars, before ``start`` and after ``stop`` too.
    daily : BarPanel
        Whole days, those after ``stop`` too.
    settings : Settings
    market_at : callable
        Order book and derivatives of the last bar of a window.
    start, stop : int
    """

    panel: BarPanel
    daily: BarPanel
    settings: Settings
    market_at: MarketAt
    start: int
    stop: int

    def days_before(self, at: int) -> BarPanel:
        """Return copies of the days that ended before the day of bar ``at``: those that a cycle of that minute has."""
        return cut(self.daily, 0, int(np.searchsorted(self.daily.open_time_ms, self.midnight(at))))

    def midnight(self, at: int) -> int:
        """Return when the UTC day of bar ``at`` began, in ms."""
        return int(self.panel.open_time_ms[at]) // DAY_MS * DAY_MS


# ── The reference ──


def truncated(stretch: Stretch) -> Iterator[Step]:
    """Yield the steps of an engine for which nothing later exists."""
    states: Mapping[str, MonitorState] = {}
    for at in range(stretch.start, stretch.stop):
        window = cut(stretch.panel, max(0, at + 1 - stretch.settings.SCREENING_LOOKBACK), at + 1)
        last = window.shape[1] - 1
        steps = walk(
            window,
            stretch.days_before(at),
            stretch.settings,
            start=last,
            market_at=stretch.market_at,
            states=states,
        )
        step = next(steps)
        states = step.stage1.states
        yield replace(step, at=at)


# ── Futures ──


def future(stretch: Stretch) -> Iterator[list[Column]]:
    """Walk with every later minute and day there."""
    return _walked(stretch, stretch.panel, stretch.daily)


def random(stretch: Stretch) -> Iterator[list[Column]]:
    """Walk with another market's prices in the future."""
    return _revealed(stretch, "random")


def unknown(stretch: Stretch) -> Iterator[list[Column]]:
    """Walk with NaN in the future."""
    return _revealed(stretch, "unknown")


def huge(stretch: Stretch) -> Iterator[list[Column]]:
    """Walk with 1e300 in the future."""
    return _revealed(stretch, "huge")


def forming_day(stretch: Stretch) -> Iterator[list[Column]]:
    """Walk with daily bars that end with the running day as it is at the minute."""
    states: Mapping[str, MonitorState] = {}
    for at in range(stretch.start, stretch.stop):
        window = stretch.panel.window(at + 1, stretch.settings.SCREENING_LOOKBACK)
        daily = with_running_day(stretch.days_before(at), window)
        market = stretch.market_at(window)
        readings, stage1, stage2 = look(window, daily, market, stretch.settings, states)
        states = stage1.states
        yield said(readings, stage1, stage2)


def guarded(stretch: Stretch) -> Iterator[list[Column]]:
    """Look at windows between walls of garbage, the symbols in another order; the columns come back in the first."""
    symbols = stretch.panel.symbols
    order = np.random.default_rng(len(symbols)).permutation(len(symbols))
    back, mixed = np.argsort(order), [symbols[row] for row in order]
    panel, daily = stretch.panel.take(mixed), stretch.daily.take(mixed)
    other = replace(stretch, panel=panel, daily=daily)
    states: Mapping[str, MonitorState] = {}
    for at in range(stretch.start, stretch.stop):
        wall = WALLS[at % len(WALLS)]
        window = between_walls(panel.window(at + 1, stretch.settings.SCREENING_LOOKBACK), wall)
        market = stretch.market_at(window)
        readings, stage1, stage2 = look(
            window, between_walls(other.days_before(at), wall), market, stretch.settings, states
        )
        states = stage1.states
        yield [
            column._replace(values=column.values[back]) if column.values.ndim else column
            for column in said(readings, stage1, stage2)
        ]


FUTURES: Final[Mapping[str, Callable[[Stretch], Iterator[list[Column]]]]] = {
    "future": future,
    "random": random,
    "unknown": unknown,
    "huge": huge,
    "forming_day": forming_day,
    "guarded": guarded,
}

# ── How they are made ──

WALLS: Final = (np.nan, 1e300, 0.0, -1.0, 100.0)
"""What stands in memory before and behind the arrays of a guarded window."""

_WALL: Final = 4096


def cut(panel: BarPanel, first: int, stop: int) -> BarPanel:
    """Return fresh copies of the bars ``first <= at < stop``, by no method of the panel: those are under audit too."""
    arrays: dict[str, Any] = {
        name: np.array(getattr(panel, name)[:, first:stop], order="C") for name in (*VALUE_FIELDS, "valid")
    }
    return replace(panel, open_time_ms=np.array(panel.open_time_ms[first:stop]), **arrays)


def with_running_day(days: BarPanel, window: BarPanel) -> BarPanel:
    """Return the closed days and behind them the running one, made of the minutes of ``window`` that fall on it."""
    midnight = int(window.open_time_ms[-1]) // DAY_MS * DAY_MS
    first = int(np.searchsorted(window.open_time_ms, midnight))
    today = {
        "open": window.open[:, first],
        "high": window.high[:, first:].max(axis=1),
        "low": window.low[:, first:].min(axis=1),
        "close": window.close[:, -1],
        **{name: getattr(window, name)[:, first:].sum(axis=1) for name in VALUE_FIELDS[4:]},
    }
    arrays: dict[str, Any] = {
        name: np.column_stack([getattr(days, name), column[:, None]]) for name, column in today.items()
    }
    times = np.append(days.open_time_ms, midnight)
    valid = np.column_stack([days.valid, np.ones((len(days.symbols), 1), dtype=np.bool_)])
    return replace(days, open_time_ms=times, valid=valid, **arrays)


def between_walls(panel: BarPanel, wall: float) -> BarPanel:
    """Return the panel in arrays that lie inside larger ones; what is around them is ``wall``."""
    arrays: dict[str, Any] = {}
    for name in VALUE_FIELDS:
        values = getattr(panel, name)
        block = np.full(values.size + 2 * _WALL, wall)
        block[_WALL : _WALL + values.size] = values.ravel()
        arrays[name] = block[_WALL : _WALL + values.size].reshape(values.shape)
    return replace(panel, **arrays)


def _walked(stretch: Stretch, panel: BarPanel, daily: BarPanel) -> Iterator[list[Column]]:
    steps = walk(panel, daily, stretch.settings, start=stretch.start, stop=stretch.stop, market_at=stretch.market_at)
    for step in steps:
        yield said(step.readings, step.stage1, step.stage2)


def _revealed(stretch: Stretch, kind: str) -> Iterator[list[Column]]:
    """Walk over arrays whose future is garbage; each bar is written only when its turn comes."""
    panel = _with_garbage(stretch.panel, stretch.start, kind)
    day = int(np.searchsorted(stretch.daily.open_time_ms, stretch.midnight(stretch.start)))
    daily = _with_garbage(stretch.daily, day, kind)
    steps = _walked(stretch, panel, daily)
    for at in range(stretch.start, stretch.stop):
        _copy_column(stretch.panel, panel, at)
        while day < daily.shape[1] and daily.open_time_ms[day] < stretch.midnight(at):
            _copy_column(stretch.daily, daily, day)
            day += 1
        yield next(steps)


def _copy_column(source: BarPanel, target: BarPanel, at: int) -> None:
    for name in (*VALUE_FIELDS, "valid"):
        getattr(target, name)[:, at] = getattr(source, name)[:, at]


def _with_garbage(panel: BarPanel, first: int, kind: str) -> BarPanel:
    """Return copies of the panel in which every bar from ``first`` on is garbage of a kind."""
    arrays: dict[str, Any] = {name: getattr(panel, name).copy() for name in (*VALUE_FIELDS, "valid")}
    rng = np.random.default_rng(MINUTE_MS)
    for name in VALUE_FIELDS:
        later = arrays[name][:, first:]
        if kind == "random":
            later[:] = np.exp(3.0 * rng.standard_normal(later.shape))
        else:
            later[:] = np.nan if kind == "unknown" else 1e300
    arrays["valid"][:, first:] = kind != "unknown"
    return replace(panel, **arrays)


__all__ = [
    "FUTURES",
    "WALLS",
    "MarketAt",
    "Stretch",
    "between_walls",
    "cut",
    "truncated",
    "with_running_day",
]
