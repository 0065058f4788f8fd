"""How the synthetic market makes a symbol's minutes, whole UTC days at a time.

1. A market factor and each symbol have a mean-reverting walk over days; a day's minutes lead from value to value.
2. A minute's deviation is the symbol's own, times the hour's habit, times drifting volatility that knows no midnight.
3. Minute returns are Student t with 4 degrees of freedom; regimes of hours give them drift, calm or turmoil.
4. A symbol's return is ``beta x factor + own``; the day's scripted events are drawn over it.
5. What is missing to the day's end is spread over its other minutes: the next day begins where this one ended.
6. Open and close lie on the path; high and low are the extremes of a Brownian bridge between them.
7. Turnover follows habit, its own drifting noise, the size of the move and events; takers lean to the move.

Every number is drawn by absolute minute (`aione.sim.noise`), so days can be made in any order, alone or together.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aione.sim.market import MINUTE_MS, SIM_BAR, Bars, on_grid
from aione.sim.noise import F8, I8, drifting_days, noise_key, normal, reverting_walk, student_t4, uniform
from aione.sim.script import Canvas, play, script_of_day
from aione.sim.synthetic_catalog import Profile

DAY_MINUTES: Final = 1440
BLOCKS: Final = 8
FACTOR_SIGMA: Final = 5.5e-4
FACTOR_WALK: Final = (0.985, 0.014)  # memory, daily step
OWN_WALK: Final = (0.97, 0.018)
_FACTOR_DAYS_KEPT: Final = 400

_HOURS: Final = 2.0 * np.pi * (np.arange(DAY_MINUTES) - 14.5 * 60) / DAY_MINUTES
HABIT: Final = 1.0 + 0.35 * np.cos(_HOURS) + 0.12 * np.cos(2.0 * _HOURS)
"""Activity by UTC minute of the day, mean 1: busiest at 14:30, when Europe and America both trade."""

#                    range  trend up  trend down  high vol  ordinary
_REGIME_SHARE: Final = (0.25, 0.15, 0.15, 0.12, 0.33)
_REGIME_SIGMA: Final = np.array([0.75, 0.9, 0.9, 1.9, 1.0])
_REGIME_DRIFT: Final = np.array([0.0, 0.07, -0.07, 0.0, 0.0])
_RANGE: Final = 0


class Component(NamedTuple):
    """Minute returns and their deviations, both (D, 1440)."""

    returns: F8
    sigma: F8


class MinuteModel:
    """Makes minutes; keeps nothing but the market factor's last days.

    Parameters
    ----------
    seed : int
        Another seed is another market.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._factor: OrderedDict[int, Component] = OrderedDict()

    def minutes(self, profile: Profile, first_day: int, count: int) -> Bars:
        """Return all 1m bars of ``count`` UTC days, SIM_BAR (count * 1440,).

        Raises nothing: the listing's own dates are the caller's business.
        """
        day = np.arange(first_day, first_day + count)
        minute = day[:, None] * DAY_MINUTES + np.arange(DAY_MINUTES)
        if profile.daily_turnover <= 0.0:
            return _flat(minute, profile)
        factor = self._factor_days(first_day, count)
        key = noise_key(self._seed, profile.symbol, "own")
        own = _component(key, minute, profile.sigma, _walk(key, first_day, count, OWN_WALK), factor.sigma)
        canvas = _blank(profile.beta * factor.returns + own.returns, np.hypot(profile.beta * factor.sigma, own.sigma))
        is_free = np.ones(minute.shape, dtype=bool)
        for row in range(count):
            today = canvas.part(row)
            for event in script_of_day(self._seed, profile.symbol, first_day + row):
                play(event, today)
                is_free[row, event.minutes] = False
        edges = profile.beta * _walk(self._factor_key, first_day, count, FACTOR_WALK) + _walk(
            key, first_day, count, OWN_WALK
        )
        return _bars(key, minute, _path(canvas.returns, edges, is_free), canvas, profile)

    @property
    def _factor_key(self) -> int:
        return noise_key(self._seed, "market factor")

    def _factor_days(self, first_day: int, count: int) -> Component:
        wanted = range(first_day, first_day + count)
        missing = [day for day in wanted if day not in self._factor]
        if missing:
            start, total = missing[0], missing[-1] - missing[0] + 1
            key = self._factor_key
            minute = np.arange(start, start + total)[:, None] * DAY_MINUTES + np.arange(DAY_MINUTES)
            made = _component(key, minute, FACTOR_SIGMA, _walk(key, start, total, FACTOR_WALK), None)
            for row in range(total):
                self._factor[start + row] = Component(made.returns[row].copy(), made.sigma[row].copy())
        rows = [self._factor[day] for day in wanted]
        while len(self._factor) > _FACTOR_DAYS_KEPT:
            self._factor.popitem(last=False)
        return Component(np.array([row.returns for row in rows]), np.array([row.sigma for row in rows]))


# ── Returns ──


def _walk(key: int, first_day: int, count: int, shape: tuple[float, float]) -> F8:
    """Return the walk's value at the start of each day and at the end of the last, (count + 1,)."""
    return reverting_walk(noise_key(key, "days"), first_day, count + 1, *shape)


def _component(key: int, minute: I8, sigma: float, edges: F8, market_sigma: F8 | None) -> Component:
    """Return one component's minutes, each day led to the walk's next value."""
    days = int(minute[0, 0]) // DAY_MINUTES, len(minute)
    wild = (
        0.38 * drifting_days(noise_key(key, "v1"), *days, 480)
        + 0.28 * drifting_days(noise_key(key, "v2"), *days, 72)
        + 0.22 * drifting_days(noise_key(key, "v3"), *days, 12)
    )
    if market_sigma is not None:
        wild += 0.5 * np.log(market_sigma / FACTOR_SIGMA)
    else:
        wild += 0.5 * np.log(HABIT)
    deviation = sigma * np.exp(wild - 0.13)
    block = _blocks(key, minute)
    regime = _regimes(key, minute[:, :1] // DAY_MINUTES * BLOCKS + block)
    deviation *= _REGIME_SIGMA[regime]
    returns = student_t4(noise_key(key, "t"), minute) * deviation + _REGIME_DRIFT[regime] * deviation
    _keep_ranges(returns, block, regime)
    return Component(_led(returns, np.diff(edges)), deviation)


def _blocks(key: int, minute: I8) -> I8:
    """Return the regime block of each minute, 0 to 7; bounds lie near every third hour, midnight among them."""
    day = minute[:, 0] // DAY_MINUTES
    jitter = (uniform(noise_key(key, "blocks"), day[:, None] * BLOCKS + np.arange(1, BLOCKS)) - 0.5) * 90
    bounds = np.arange(1, BLOCKS) * (DAY_MINUTES // BLOCKS) + jitter.astype(np.int64)
    block = np.zeros(minute.shape, dtype=np.int64)
    for number in range(BLOCKS - 1):
        block += np.arange(DAY_MINUTES) >= bounds[:, number : number + 1]
    return block


def _regimes(key: int, number: I8) -> I8:
    first = int(number.min())
    draw = uniform(noise_key(key, "regime"), np.arange(first, int(number.max()) + 1))
    kinds = np.searchsorted(np.cumsum(_REGIME_SHARE), draw, "right").clip(0, len(_REGIME_SHARE) - 1)
    return np.asarray(kinds[number - first], dtype=np.int64)


def _keep_ranges(returns: F8, block: I8, regime: I8) -> None:
    """Take the net move out of every block whose regime is a range."""
    for row in range(len(returns)):
        starts = np.searchsorted(block[row], np.arange(BLOCKS + 1))
        for start, stop in pairwise(starts.tolist()):
            if stop > start and regime[row, start] == _RANGE:
                part = returns[row, start:stop]
                part -= np.add.reduce(part) / len(part)


def _led(returns: F8, move: F8) -> F8:
    """Return daily rows whose sums are ``move``: the difference is spread evenly."""
    missing = move - np.cumsum(returns, axis=1)[:, -1]
    return np.asarray(returns + missing[:, None] / DAY_MINUTES)


def _path(returns: F8, edges: F8, is_free: NDArray[np.bool_]) -> F8:
    """Return the log level at each minute's end with the day's start in front, (D, 1441); rows end at the next edge.

    The way that is missing is spread over the free minutes, those that no event has drawn.
    """
    missing = np.diff(edges) - np.cumsum(returns, axis=1)[:, -1]
    led = returns + is_free * (missing / is_free.sum(axis=1))[:, None]
    path = np.concatenate((edges[:-1, None], edges[:-1, None] + np.cumsum(led, axis=1)), axis=1)
    path[:, -1] = edges[1:]
    return path


# ── Bars ──


def _blank(returns: F8, sigma: F8) -> Canvas:
    zeros = (np.zeros_like(returns) for _ in range(3))
    return Canvas(np.array(returns), np.array(sigma), np.ones_like(returns), *zeros)


def _bars(key: int, minute: I8, path: F8, canvas: Canvas, profile: Profile) -> Bars:
    """Return the bars along the log path, rounded to the symbol's grids, (D * 1440,)."""
    tick = profile.tick_size
    level = np.maximum(np.round(np.exp(path) * profile.price / tick), 2.0)
    first, last = level[:, :-1], level[:, 1:]
    high, low = _extremes(key, minute, np.log(first), np.log(last), canvas)
    out = np.empty(minute.shape, dtype=SIM_BAR)
    out["open_time_ms"] = minute * MINUTE_MS
    top, bottom = np.maximum(first, last), np.minimum(first, last)
    for field, ticks in (
        ("open", first),
        ("high", np.maximum(np.round(high), top)),
        ("low", np.maximum(np.minimum(np.round(low), bottom), 1.0)),
        ("close", last),
    ):
        out[field] = on_grid(ticks, tick)
    _fill_volumes(out, key, minute, path, canvas, profile)
    return out.reshape(-1)


def _extremes(key: int, minute: I8, first: F8, last: F8, canvas: Canvas) -> tuple[F8, F8]:
    """Return high and low in ticks: the exact law of a Brownian bridge's extremes, and the script's wicks."""
    reach = 2.0 * (0.8 * canvas.sigma) ** 2
    move, middle = (last - first) ** 2, first + last
    up = np.sqrt(move - reach * np.log(uniform(noise_key(key, "high"), minute)))
    down = np.sqrt(move - reach * np.log(uniform(noise_key(key, "low"), minute)))
    return np.exp(0.5 * (middle + up) + canvas.wick_up), np.exp(0.5 * (middle - down) - canvas.wick_down)


def _fill_volumes(out: Bars, key: int, minute: I8, path: F8, canvas: Canvas, profile: Profile) -> None:
    """Set volumes and counts: at least one step is traded a minute, takers never trade more than all."""
    step = profile.step_size
    move = np.diff(path, axis=1)
    size = np.abs(move) / canvas.sigma
    days = int(minute[0, 0]) // DAY_MINUTES, len(minute)
    mood = 0.35 * drifting_days(noise_key(key, "q1"), *days, 180)
    mood += 0.25 * drifting_days(noise_key(key, "q2"), *days, 20)
    noise = 0.38 * normal(noise_key(key, "q3"), minute)
    turnover = profile.daily_turnover / DAY_MINUTES * HABIT * np.exp(mood + noise - 0.56)
    turnover *= (0.45 + 0.65 * np.minimum(size, 8.0)) * canvas.volume
    typical = 0.25 * (out["open"] + out["high"] + out["low"] + out["close"])
    steps = np.maximum(np.round(turnover / typical / step), 1.0)
    lean = 0.5 + 0.16 * np.tanh(0.7 * move / canvas.sigma) + canvas.taker
    share = np.clip(lean + 0.07 * normal(noise_key(key, "taker"), minute), 0.02, 0.98)
    bought = np.minimum(np.round(steps * share), steps)
    out["volume"] = on_grid(steps, step)
    out["taker_buy_volume"] = on_grid(bought, step)
    out["quote_volume"] = out["volume"] * typical
    out["taker_buy_quote_volume"] = out["taker_buy_volume"] * typical
    usual = 60.0 * (profile.daily_turnover / 1e8) ** 0.4
    out["trade_count"] = np.clip(out["quote_volume"] / (profile.daily_turnover / DAY_MINUTES) * usual, 1.0, steps)


def _flat(minute: I8, profile: Profile) -> Bars:
    """Return the bars of a symbol that nobody trades."""
    out = np.zeros(minute.size, dtype=SIM_BAR)
    out["open_time_ms"] = minute.reshape(-1) * MINUTE_MS
    for field in ("open", "high", "low", "close"):
        out[field] = profile.price
    return out


__all__ = ["DAY_MINUTES", "HABIT", "MinuteModel"]
