"""Market stories: seeded bars in which something happens that a person would name, one story a symbol.

A story is a list of stretches. Prices are ``CENTRE x (1 + amplitude x path)`` on a grid of powers of two, so that the
mirror image about the centre and any power of two times the price are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aione.panel import DAY_MS, MINUTE_MS, BarPanel, MarketSnapshot

CENTRE = 128.0
START_MS = 1_747_699_200_000
LEAD = 1440
"""Quiet bars before every story."""

_STEPS = 12


@dataclass(frozen=True)
class Stretch:
    """Bars of one character.

    ``drift`` and ``noise`` are a bar's mean and deviation in units of a quiet bar's deviation; ``pull`` draws back to
    where the stretch began; ``volume`` multiplies; ``buyers`` is the share of the takers' volume that buys; ``wick``
    is thrown out and taken back within each bar.
    """

    bars: int
    drift: float = 0.0
    noise: float = 1.0
    pull: float = 0.0
    volume: float = 1.0
    buyers: float = 0.5
    wick: float = 0.0


QUIET = Stretch(LEAD, pull=0.01)
CALM = Stretch(12, noise=0.6, pull=0.05)
UP = {
    "breakout": [
        Stretch(60, noise=0.5, pull=0.1),
        Stretch(3, drift=3.0, noise=0.6, volume=6.0, buyers=0.8),
        Stretch(3, drift=1.5, noise=0.6, volume=3.0, buyers=0.7),
        Stretch(30, drift=0.2, noise=0.6),
    ],
    "trend": [Stretch(110, drift=0.45, noise=0.8, buyers=0.55)],
    "slow_trend": [Stretch(160, drift=0.22, noise=0.5, buyers=0.53)],
    "reversal": [
        Stretch(70, drift=0.4, noise=0.7, buyers=0.6),
        Stretch(5, drift=1.6, noise=0.4, volume=2.0, buyers=0.7),
        Stretch(8, drift=-0.8, noise=0.4),
        Stretch(18, drift=0.55, noise=0.3, volume=0.7),
        Stretch(8, drift=-0.5, noise=0.3, volume=2.0, buyers=0.2),
    ],
    "trap": [CALM, Stretch(20, noise=0.6, pull=0.1), Stretch(1, noise=0.4, wick=7.0, volume=5.0), CALM, CALM],
    "run": [
        Stretch(60, drift=0.2, noise=0.7, buyers=0.55),
        Stretch(8, noise=0.5, pull=0.1),
        Stretch(2, drift=2.6, noise=0.4, volume=4.0, buyers=0.85),
        Stretch(20, drift=0.35, noise=0.5, buyers=0.65),
        Stretch(2, drift=2.6, noise=0.4, volume=5.0, buyers=0.85),
        Stretch(15, drift=0.3, noise=0.5, buyers=0.65),
    ],
}
"""Stories with a side, told upwards (a reversal turns down at the top); each has its mirror."""

EVEN = {
    "range": [Stretch(120, noise=0.8, pull=0.15)],
    "violent": [Stretch(25, noise=4.0, pull=0.25, volume=3.0), Stretch(20, noise=2.0, pull=0.2, volume=2.0)],
    "absorbed": [CALM, Stretch(20, pull=0.1), Stretch(1, noise=0.12, volume=9.0), CALM],
    "blown": [Stretch(60, noise=0.8, pull=0.1)],
    "wide": [Stretch(60, noise=0.8, pull=0.1)],
    "torn": [Stretch(12, drift=0.5, noise=1.4), Stretch(12, drift=-0.5, noise=1.4)] * 4,
}
"""Stories without a side."""


def mirrored(story: Sequence[Stretch]) -> list[Stretch]:
    """The same story told downwards."""
    return [replace(one, drift=-one.drift, wick=-one.wick, buyers=1.0 - one.buyers) for one in story]


STORIES: dict[str, Sequence[Stretch]] = {
    "BTCUSDT": [Stretch(120, pull=0.01)],
    **{f"{name.upper()}_UP": story for name, story in UP.items()},
    **{f"{name.upper()}_DOWN": mirrored(story) for name, story in UP.items()},
    **{name.upper(): story for name, story in EVEN.items()},
}
BARS = max(sum(one.bars for one in story) for story in STORIES.values())


def panel_of(seed: int, stories: Mapping[str, Sequence[Stretch]] = STORIES, amplitude: float = 2.0**-10) -> BarPanel:
    """Bars of every story after `LEAD` quiet ones; shorter stories begin later, all end together."""
    told = {
        symbol: _told(np.random.default_rng([seed, row]), story) for row, (symbol, story) in enumerate(stories.items())
    }
    columns = {name: np.stack([one[name] for one in told.values()]) for name in ("path", "volume", "buyers")}
    grid = amplitude * CENTRE / 2.0**14
    price = CENTRE + np.round(amplitude * CENTRE * columns["path"] / grid) * grid
    steps = price[:, 1:].reshape(len(told), -1, _STEPS)
    open_ = price[:, :-1:_STEPS]
    high, low = np.maximum(open_, steps.max(axis=2)), np.minimum(open_, steps.min(axis=2))
    volume, bars = columns["volume"], open_.shape[1]
    return BarPanel(
        tuple(told),
        START_MS + MINUTE_MS * np.arange(bars),
        *(np.ascontiguousarray(column) for column in (open_, high, low, steps[:, :, -1])),
        volume,
        volume * CENTRE,
        volume * columns["buyers"],
        np.full(volume.shape, 50.0),
        np.ones(volume.shape, dtype=bool),
        MINUTE_MS,
    )


def daily_of(seed: int, panel: BarPanel, amplitude: float = 2.0**-10) -> BarPanel:
    """Thirty days before the panel's first one, and that day itself."""
    rng = np.random.default_rng([seed, 99])
    days, size = 31, len(panel.symbols)
    grid = amplitude * CENTRE / 2.0**14
    close = CENTRE + np.round(rng.normal(0.0, 40.0, (size, days)) * 2.0**14) * grid
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    reach = np.round(np.abs(rng.normal(0.0, 20.0, (2, size, days))) * 2.0**14) * grid
    volume = np.full((size, days), 1e5)
    first = START_MS // DAY_MS * DAY_MS - (days - 1) * DAY_MS
    return BarPanel(
        panel.symbols,
        first + DAY_MS * np.arange(days),
        *(open_, np.maximum(open_, close) + reach[0], np.minimum(open_, close) - reach[1], close),
        *(volume, volume * CENTRE, volume / 2.0, volume, np.ones((size, days), dtype=bool)),
        DAY_MS,
    )


def market_of(panel: BarPanel, amplitude: float = 2.0**-10) -> Callable[[BarPanel], MarketSnapshot]:
    """Order book and derivatives at any bar: ordinary, but blown out or wide where the story says so."""
    size, last_ms = len(panel.symbols), int(panel.open_time_ms[-1])
    row = {symbol: index for index, symbol in enumerate(panel.symbols)}
    side = np.array([1.0 if "_UP" in name else -1.0 if "_DOWN" in name else 0.0 for name in panel.symbols])

    def at(window: BarPanel) -> MarketSnapshot:
        spread, median = np.full(size, 1e-4), np.full(size, 1e-4)
        ago = (last_ms - int(window.open_time_ms[-1])) // MINUTE_MS
        if "BLOWN" in row and ago % 20 == 5:
            spread[row["BLOWN"]] = 9e-4
        if "WIDE" in row:
            spread[row["WIDE"]] = median[row["WIDE"]] = 4e-3
        return MarketSnapshot.of(
            panel.symbols,
            tick_size=np.full(size, amplitude * CENTRE / 2.0**14),
            step_size=np.full(size, 0.01),
            min_notional=np.full(size, 5.0),
            spread_frac=spread,
            spread_median_frac=median,
            depth_bid_quote=np.full(size, 4e5) * (1.0 + 0.5 * side),
            depth_ask_quote=np.full(size, 4e5) * (1.0 - 0.5 * side),
            depth_median_quote=np.full(size, 4e5),
            open_interest_change_frac=0.01 * np.abs(side),
            funding_rate=1e-4 * side,
        )

    return at


def _told(rng: np.random.Generator, story: Sequence[Stretch]) -> dict[str, np.ndarray]:
    rest = BARS - sum(one.bars for one in story)
    stretches = [replace(QUIET, bars=QUIET.bars + rest), *story]
    path, volumes, buyers, now = [np.zeros(1)], [], [], 0.0
    for one in stretches:
        now, prices = _stretch(rng, one, now)
        path.append(prices)
        activity = one.volume * rng.lognormal(0.0, 0.35, one.bars)
        volumes.append(1000.0 * np.maximum(np.round(activity * 256.0), 1.0) / 256.0)
        buyers.append(np.round(np.clip(one.buyers + rng.normal(0.0, 0.05, one.bars), 0.0, 1.0) * 64.0) / 64.0)
    return {"path": np.concatenate(path), "volume": np.concatenate(volumes), "buyers": np.concatenate(buyers)}


def _stretch(rng: np.random.Generator, one: Stretch, now: float) -> tuple[float, np.ndarray]:
    """Prices of a stretch, `_STEPS` a bar, and the last one."""
    noise = rng.normal(0.0, one.noise / _STEPS**0.5, one.bars * _STEPS)
    home, at, prices = now, now, np.empty(one.bars * _STEPS)
    for step, shock in enumerate(noise):
        home += one.drift / _STEPS
        at += one.drift / _STEPS + shock + one.pull / _STEPS * (home - at)
        prices[step] = at
    prices[_STEPS // 2 :: _STEPS] += one.wick
    return at, prices
