"""What every kernel shares: how it is compiled, and the few row functions that more than one indicator needs.

A windowed indicator is one row function that gives the value at bar ``t`` from the bars of its window alone. Its
series calls it for every bar, the screening scan for the last bar only, so that the two cannot drift apart.
Only Wilder's averages and the EMA remember more than a window; see `aione.indicators.wilder`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from aione.errors import InvalidInput
from aione.panel import F8

KNOWN_SHARE: Final = 0.9
"""Share of a long window (session VWAP, profile, a value's own distribution) that must be known."""

ROUNDING: Final = 1e-13
"""A variance below this share of the mean square is what rounding leaves of zero."""

jit: Final[Any] = njit(cache=True, nogil=True, error_model="numpy")
"""A zero divisor gives inf or NaN, as in NumPy."""

regrouping_jit: Final[Any] = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
"""For sums: additions may be regrouped, so that they vectorise; NaN and infinity keep their meaning."""


def rows_of(**arrays: ArrayLike) -> tuple[F8, ...]:
    """Return the arrays as C-contiguous float64 ``(S, T)`` of one common shape, or raise `InvalidInput`."""
    rows = tuple(np.ascontiguousarray(array, dtype=np.float64) for array in arrays.values())
    for name, array in zip(arrays, rows, strict=True):
        if array.ndim != 2 or array.shape != rows[0].shape:
            raise InvalidInput(f"{name} must have shape (S, T) = {rows[0].shape}, was {array.shape}")
    return rows


def at_least(least: int, **values: int) -> None:
    """Raise `InvalidInput` for the first of ``values`` that is below ``least``."""
    for name, value in values.items():
        if value < least:
            raise InvalidInput(f"{name} must be at least {least}, was {value}")


@jit
def known_run(row: F8, t: int, limit: int) -> int:
    """Count the bars without a gap that end at ``t``, up to ``limit``."""
    run = 0
    while run < limit and run <= t and row[t - run] == row[t - run]:
        run += 1
    return run


@jit
def log_returns(close: F8, first: int, stop: int, out: F8) -> None:
    """Write ``log(close[t] / close[t - 1])`` for ``first <= t < stop`` to ``out``; ``first >= 1``.

    A step of up to 6 % takes the first five terms of ``log(a / b) = 2 artanh((a - b) / (a + b))``, which leave less than
    1e-16 of the result and keep more digits of a small step than ``log`` does; a larger one takes ``log``.
    """
    large = 0
    for i in range(stop - first):
        after, before = close[first + i], close[first + i - 1]
        z = (after - before) / (after + before)
        q = z * z
        out[i] = 2.0 * z * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0)))))
        large += abs(z) > 0.03
    if large:
        for i in range(stop - first):
            after, before = close[first + i], close[first + i - 1]
            if abs(after - before) > 0.03 * (after + before):
                out[i] = np.log(after / before)


@jit
def window_sums(x: F8, n: int, out: F8) -> None:
    """Write the sum of ``x[i:i + n]`` to ``out[i]`` for every whole window.

    A window is the end of one block of ``n`` plus the start of the next (van Herk's scheme), so nothing is ever
    subtracted: a large value or a NaN leaves no trace in the windows that do not hold it.
    """
    windows = len(x) - n + 1
    for block in range(0, windows, n):
        total = 0.0
        for i in range(block + n - 1, block - 1, -1):
            total += x[i]
            if i < windows:
                out[i] = total
        total = 0.0
        for i in range(block + 1, min(block + n, windows)):
            total += x[i + n - 1]
            out[i] += total


@jit
def variance(total: float, squares: float, n: int) -> float:
    """Population variance from a sum and a sum of squares; exactly 0 where only rounding is left."""
    mean_square = squares / n
    value = mean_square - (total / n) ** 2
    return 0.0 if value <= ROUNDING * mean_square else value


@jit
def order_statistic(x: F8, count: int, k: int) -> float:
    """Return the ``k``-th smallest (from 0) of ``x[:count]``, which it reorders (Hoare's quickselect).

    Afterwards everything behind place ``k`` is at least as large.
    """
    low, high = 0, count - 1
    while low < high:
        pivot = x[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while x[i] < pivot:
                i += 1
            while x[j] > pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return float(x[k])


@jit
def quantile_pair(x: F8, count: int, q: float) -> tuple[float, float, float]:
    """Values below and above the quantile ``q`` of ``x[:count]`` and its place between them in [0, 1).

    NumPy's default definition. ``x`` holds no NaN and is reordered.
    """
    place = q * (count - 1)
    k = min(int(place), count - 1)
    below = order_statistic(x, count, k)
    above = below
    if k + 1 < count:
        above = x[k + 1]
        for i in range(k + 2, count):
            above = min(above, x[i])
    return below, above, place - k


__all__ = [
    "KNOWN_SHARE",
    "ROUNDING",
    "at_least",
    "jit",
    "known_run",
    "log_returns",
    "order_statistic",
    "quantile_pair",
    "regrouping_jit",
    "rows_of",
    "variance",
    "window_sums",
]
