"""How far the engine is from independent implementations: TA-Lib, and the definitions in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np

from aione.errors import ServiceUnavailable
from aione.evaluate.oracles import ORACLES, SymbolBars, by_sixteenths, evenly, profile
from aione.indicators.momentum import adx, rsi
from aione.indicators.readings import Readings, compute_readings
from aione.indicators.trend import ema
from aione.indicators.volatility import atr
from aione.panel import F8, BarPanel
from aione.panel.resample import resample
from config.models import IndicatorParams

WITHIN: Final = 1e-9
PERIOD: Final = 14
EMA_PERIODS: Final = (20, 50)
FRAMES: Final = (1, 5, 15, 60, 240)
SAME_PROFILES: Final = 0.995


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two implementations of one indicator are apart.

    Attributes
    ----------
    name, oracle, data : str
    compared : int
        Values that both know.
    only_one : int
        Values that one of them alone knows.
    after_bars : int
        The oracle's warm-up, which is left out: its averages begin in another way.
    largest : float
        Largest absolute difference, in the indicator's unit; NaN where nothing could be compared.
    largest_frac : float
        Largest difference relative to the value, or to the symbol's usual one (its median) where that is larger.
    where : str
        Symbol and bar of ``largest_frac``.
    agrees_from : int, optional
        First bar from which on all differences are within 1e-9 (relative); None where not to the end.
    """

    name: str
    oracle: str
    data: str
    compared: int
    only_one: int
    after_bars: int
    largest: float
    largest_frac: float
    where: str
    agrees_from: int | None

    @property
    def agrees(self) -> bool:
        """Return whether all is within 1e-9 after the warm-up, and known to both."""
        return self.compared > 0 and self.only_one == 0 and self.largest_frac <= WITHIN


def with_talib(panel: BarPanel, data: str) -> list[Agreement]:
    """Compare RSI, ATR, ADX, the directional indices and EMA at every bar of a panel without gaps.

    EMA is compared on the closes of the minutes and on those of each higher timeframe.

    Raises
    ------
    ServiceUnavailable
        TA-Lib is not installed.
    """
    talib = _talib()
    bars = (panel.high, panel.low, panel.close)
    index, plus, minus = adx(*bars, PERIOD)
    found = {
        "rsi": (rsi(panel.close, PERIOD), _rows(lambda c: talib.RSI(c, PERIOD), panel.close), PERIOD),
        "atr": (atr(*bars, PERIOD), _rows(lambda *b: talib.ATR(*b, PERIOD), *bars), PERIOD),
        "adx": (index, _rows(lambda *b: talib.ADX(*b, PERIOD), *bars), 32 * PERIOD),
        "plus_di": (plus, _rows(lambda *b: talib.PLUS_DI(*b, PERIOD), *bars), 32 * PERIOD),
        "minus_di": (minus, _rows(lambda *b: talib.MINUS_DI(*b, PERIOD), *bars), 32 * PERIOD),
    }
    rows = [_series(name, *columns, panel, data) for name, columns in found.items()]
    for minutes in FRAMES:
        longer = resample(panel, minutes)
        for period in EMA_PERIODS:
            warm_up = 12 * period
            if longer.shape[1] > warm_up:
                expected = _rows(lambda c, n=period: talib.EMA(c, n), longer.close)
                name = f"ema {period} on {minutes} min"
                rows.append(_series(name, ema(longer.close, period), expected, warm_up, longer, data))
    return rows


def readings_with_talib(
    panel: BarPanel, params: IndicatorParams, data: str, lookback: int, stops: int
) -> list[Agreement]:
    """Compare what the engine reads from its last ``lookback`` bars with TA-Lib over the whole history."""
    talib = _talib()
    bars = (panel.high, panel.low, panel.close)
    whole = {
        "rsi": _rows(lambda c: talib.RSI(c, PERIOD), panel.close),
        "atr": _rows(lambda *b: talib.ATR(*b, PERIOD), *bars),
        "adx": _rows(lambda *b: talib.ADX(*b, PERIOD), *bars),
        "plus_di": _rows(lambda *b: talib.PLUS_DI(*b, PERIOD), *bars),
        "minus_di": _rows(lambda *b: talib.MINUS_DI(*b, PERIOD), *bars),
    }
    places = _places(panel, lookback, stops)
    read = [compute_readings(panel.window(at + 1, lookback), params) for at in places]
    return [
        _of_places(name, "TA-Lib over all bars", data, panel, places, _column(read, name), column[:, places])
        for name, column in whole.items()
    ]


def with_oracles(panel: BarPanel, params: IndicatorParams, data: str, lookback: int, stops: int) -> list[Agreement]:
    """Compare the readings with their definitions in plain NumPy at ``stops`` bars of every symbol."""
    places = _places(panel, lookback, stops)
    found: dict[str, list[F8]] = {name: [] for name in ORACLES}
    expected: dict[str, list[list[float]]] = {name: [] for name in ORACLES}
    for at in places:
        window = panel.window(at + 1, lookback)
        readings = compute_readings(window, params)
        bars = [SymbolBars.of(window, row) for row in range(len(panel.symbols))]
        for name, column in found.items():
            value = readings[name]
            column.append(np.where(value > 0.0, 1.0, value) if name.endswith("_div") else value)
            expected[name].append([ORACLES[name](one) for one in bars])
    return [
        _of_places(name, "plain NumPy", data, panel, places, np.array(column).T, np.array(expected[name]).T)
        for name, column in found.items()
    ]


@dataclass(frozen=True, slots=True)
class ProfileShare:
    """How often the volume profile is that of an oracle.

    Attributes
    ----------
    name : str
        ``poc``, ``vah`` or ``val``.
    data : str
    compared : int
    same_frac : float
        Share equal to 1e-9 where the oracle, too, lays a bar's volume over the sixteenths of a bin that it touches.
    exact_frac : float
        Share in the same bin where the oracle lays it exactly over high-low.
    largest_bins : float
        How many bins apart the exact one is at most.
    """

    name: str
    data: str
    compared: int
    same_frac: float
    exact_frac: float
    largest_bins: float

    @property
    def agrees(self) -> bool:
        """Return whether it is the same but for a tie in a thousand, which the last bit of a sum decides."""
        return self.same_frac >= SAME_PROFILES


def with_profile(panel: BarPanel, params: IndicatorParams, data: str, lookback: int, stops: int) -> list[ProfileShare]:
    """Compare POC and value area at ``stops`` bars of every symbol with two profiles in plain NumPy."""
    apart: dict[str, list[float]] = {name: [] for name in _PROFILE}
    same: dict[str, list[bool]] = {name: [] for name in _PROFILE}
    for at in _places(panel, lookback, stops):
        window = panel.window(at + 1, lookback)
        readings = compute_readings(window, params)
        for row in range(len(panel.symbols)):
            bars = SymbolBars.of(window, row)
            *exact, width = profile(bars, evenly)
            *touched, _ = profile(bars, by_sixteenths)
            for index, name in enumerate(_PROFILE):
                found = float(readings[name][row])
                apart[name].append(abs(found - exact[index]) / width)
                same[name].append(abs(found - touched[index]) <= WITHIN * found)
    return [
        ProfileShare(
            name,
            data,
            len(apart[name]),
            float(np.mean(same[name])),
            float(np.mean(np.array(apart[name]) < 0.5)),
            float(np.max(apart[name])),
        )
        for name in _PROFILE
    ]


_PROFILE: Final = ("poc", "vah", "val")


def _talib() -> Any:
    try:
        return import_module("talib")
    except ImportError as error:
        raise ServiceUnavailable("TA-Lib is not installed; it comes with the development tools") from error


def _places(panel: BarPanel, lookback: int, stops: int) -> list[int]:
    return [int(at) for at in np.unique(np.linspace(lookback, panel.shape[1] - 1, stops).astype(int))]


def _column(read: list[Readings], name: str) -> F8:
    return np.array([one[name] for one in read]).T


def _rows(function: Callable[..., F8], *arrays: F8) -> F8:
    return np.array([function(*rows) for rows in zip(*arrays, strict=True)])


def _series(name: str, found: F8, expected: F8, warm_up: int, panel: BarPanel, data: str) -> Agreement:
    """Compare two series ``(S, T)`` after ``warm_up`` bars, and tell from where on they agree without it."""
    apart = _relative(found, expected)
    wrong = np.flatnonzero((apart > WITHIN).any(axis=0))
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    times = panel.open_time_ms[warm_up:]
    return _measured(name, "TA-Lib", data, warm_up, found[:, warm_up:], expected[:, warm_up:], panel, times, first)


def _of_places(
    name: str, oracle: str, data: str, panel: BarPanel, places: list[int], found: F8, expected: F8
) -> Agreement:
    return _measured(name, oracle, data, 0, found, expected, panel, panel.open_time_ms[places], None)


def _measured(
    name: str,
    oracle: str,
    data: str,
    warm_up: int,
    found: F8,
    expected: F8,
    panel: BarPanel,
    times: np.ndarray,
    agrees_from: int | None,
) -> Agreement:
    both = ~np.isnan(found) & ~np.isnan(expected)
    only_one = int(np.count_nonzero(np.isnan(found) != np.isnan(expected)))
    if not both.any():
        return Agreement(name, oracle, data, 0, only_one, warm_up, np.nan, np.nan, "", None)
    apart = np.where(both, _relative(found, expected), 0.0)
    row, at = (int(place) for place in np.unravel_index(int(np.argmax(apart)), apart.shape))
    largest = float(np.abs(found - expected)[both].max())
    where = f"{panel.symbols[row]} {np.datetime64(int(times[at]), 'ms').astype('datetime64[m]')}"
    count = int(np.count_nonzero(both))
    return Agreement(name, oracle, data, count, only_one, warm_up, largest, float(apart[row, at]), where, agrees_from)


def _relative(found: F8, expected: F8) -> F8:
    """Return differences ``(S, T)`` relative to the value, or to the symbol's usual one where the value is smaller."""
    size = np.where(np.isnan(expected), 0.0, np.abs(expected))
    usual = np.array([np.median(row[row > 0.0]) if (row > 0.0).any() else 1.0 for row in size])
    apart: F8 = np.abs(found - expected) / np.maximum(size, usual[:, None])
    return apart


def wrong(rows: list[Agreement]) -> Iterator[str]:
    """Yield what does not agree, in words."""
    for row in rows:
        if not row.agrees:
            yield (
                f"{row.name} of {row.data} against {row.oracle}: {row.largest_frac:.2e} at {row.where or 'no bar'},"
                f" {row.only_one} values known to one alone"
            )


__all__ = [
    "WITHIN",
    "Agreement",
    "ProfileShare",
    "readings_with_talib",
    "with_oracles",
    "with_profile",
    "with_talib",
    "wrong",
]
