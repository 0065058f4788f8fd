"""Noise as a pure function: the same key and index give the same number in every process and at any time.

A counter-based generator (SplitMix64's finaliser over ``key + index * golden``) has no state, so a minute's random
numbers need nothing but the minute's own number. NumPy's generators are avoided: their streams may change between
releases, and seeding one costs more than a whole day of numbers here.

References
----------
G. Steele, D. Lea, C. Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_WORD: Final = 2**64 - 1
_TO_UNIT: Final = 2.0**-53


def noise_key(*parts: str | int) -> int:
    """Return 64 bits that depend on every part and on their order.

    Examples
    --------
    >>> noise_key(7, "BTCUSDT") == noise_key(7, "BTCUSDT"), noise_key(7, "a") == noise_key(8, "a")
    (True, False)
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def uniform(key: int, index: I8) -> F8:
    """Return numbers evenly spread over (0, 1), the shape of ``index``; neither 0 nor 1 occurs.

    Examples
    --------
    >>> bool(uniform(1, np.array([5, 6]))[0] == uniform(1, np.array([5]))[0])
    True
    """
    z = np.asarray(index).astype(np.uint64) * _GOLDEN + np.array(key, dtype=np.uint64)
    z ^= z >> np.uint64(30)
    z *= _MIX_1
    z ^= z >> np.uint64(27)
    z *= _MIX_2
    z ^= z >> np.uint64(31)
    return np.asarray(((z >> np.uint64(11)).astype(np.float64) + 0.5) * _TO_UNIT)


def uniform_at(key: int, index: int) -> float:
    """Return one number of `uniform`, the same to the bit, many times faster than an array of one.

    Examples
    --------
    >>> uniform_at(9, 4) == uniform(9, np.array([4]))[0]
    np.True_
    """
    z = (index * int(_GOLDEN) + key) & _WORD
    z = ((z ^ (z >> 30)) * int(_MIX_1)) & _WORD
    z = ((z ^ (z >> 27)) * int(_MIX_2)) & _WORD
    return (((z ^ (z >> 31)) >> 11) + 0.5) * _TO_UNIT


def normal(key: int, index: I8) -> F8:
    """Return standard normal numbers, the shape of ``index`` (Box and Muller's transform)."""
    twice = np.asarray(index) * 2
    radius = np.sqrt(-2.0 * np.log(uniform(key, twice)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform(key, twice + 1)))


def student_t4(key: int, index: I8, bound: float = 10.0) -> F8:
    """Return fat-tailed numbers of unit variance: Student's t with 4 degrees of freedom over sqrt(2).

    A chi-square of 4 degrees is ``-2 ln(u1 u2)``. Values beyond ``bound`` are cut to it.
    """
    other = np.asarray(index) * 2
    chi_square = -2.0 * np.log(uniform(key ^ 0x5DEECE66D, other) * uniform(key ^ 0x5DEECE66D, other + 1))
    return np.clip(normal(key, index) * np.sqrt(2.0 / chi_square), -bound, bound)


def drifting(key: int, minutes: I8, period: int) -> F8:
    """Return a continuous standard normal curve that forgets itself after ``period`` minutes.

    Numbers at the multiples of ``period`` are joined by straight lines whose variance is kept at one.

    Parameters
    ----------
    key : int
        Names the curve.
    minutes : int64, any shape
        Minutes since the epoch.
    period : int
        Minutes between two independent values.
    """
    node, rest = np.divmod(minutes, period)
    first = int(node.min())
    nodes = normal(key, np.arange(first, int(node.max()) + 2))
    part = rest / period
    joined = nodes[node - first] * (1.0 - part) + nodes[node - first + 1] * part
    return np.asarray(joined / np.sqrt((1.0 - part) ** 2 + part**2))


def drifting_at(key: int, minute: int, period: int) -> float:
    """Return `drifting` at one minute, equal but for the last bits."""
    node, rest = divmod(minute, period)
    one, two = (
        math.sqrt(-2.0 * math.log(uniform_at(key, 2 * at))) * math.cos(2.0 * math.pi * uniform_at(key, 2 * at + 1))
        for at in (node, node + 1)
    )
    part = rest / period
    return (one * (1.0 - part) + two * part) / math.hypot(1.0 - part, part)


def drifting_days(key: int, first_day: int, count: int, period: int) -> F8:
    """Return `drifting` for every minute of whole days, (count, 1440), several times faster.

    ``period`` divides 1440. Equal to `drifting` to the last bits of rounding.
    """
    nodes = normal(key, np.arange(first_day * 1440 // period, (first_day + count) * 1440 // period + 1))
    part = np.arange(period) / period
    length = np.sqrt((1.0 - part) ** 2 + part**2)
    joined = nodes[:-1, None] * ((1.0 - part) / length) + nodes[1:, None] * (part / length)
    return np.asarray(joined.reshape(count, 1440))


def reverting_walk(key: int, first_day: int, count: int, memory: float, step: float) -> F8:
    """Return a mean-reverting walk at ``count`` consecutive days, (count,), zero on average.

    It is the moving average ``step * sum(memory**j * e[day - j])`` over 240 days, so a day's value needs no start.

    Parameters
    ----------
    key : int
        Names the walk.
    first_day, count : int
        Days since the epoch.
    memory : float in (0, 1)
        How much of a day's value is left the day after.
    step : float
        Standard deviation of a day's innovation.
    """
    reach = 240
    innovations = normal(key, np.arange(first_day - reach + 1, first_day + count))
    weights = step * memory ** np.arange(reach - 1, -1, -1.0)
    windows = np.lib.stride_tricks.sliding_window_view(innovations, reach)
    return np.asarray(np.ascontiguousarray(windows * weights).sum(axis=1))


__all__ = [
    "F8",
    "I8",
    "drifting",
    "drifting_at",
    "drifting_days",
    "noise_key",
    "normal",
    "reverting_walk",
    "student_t4",
    "uniform",
    "uniform_at",
]
