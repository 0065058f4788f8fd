"""What every kernel shares: how it is compiled, and the few row functions that more than one indicator needs.

A windowed indicator is one row function that gives the value at bar ``t`` from the bars of its window alone. Its
series calls it for every bar, the screening scan for the last bar only, so that the two cannot drift apart.
Only Wilder's averages and the EMA remember more than a window; see `aione.indicators.wilder`.

Hot loops count from 0 over slices, or with an unsigned index: one that might be negative would be wrapped around,
which costs, and keeps the loop from being vectorised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from math import isnan
from pathlib import Path
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

_PACKAGE: Final = Path(__file__).parent


@cache
def _source_stamp(own: Path) -> tuple[str, int]:
    """Change when any kernel of this package or of ``own`` does: a compiled kernel holds the code that it calls."""
    sources = sorted({*_PACKAGE.glob("*.py"), *own.glob("*.py")})
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest(), len(sources)


def kernel_decorator(**options: Any) -> Any:
    """Return a decorator that compiles to machine code, once for all processes.

    Numba looks only at the file of a kernel to tell whether its cached code is still good. Here it looks at all files
    of its package and of this one, or a changed helper would stay as it was inside its callers.
    """
    compile_kernel = njit(cache=True, nogil=True, error_model="numpy", **options)

    def decorate(function: Callable[..., Any]) -> Any:
        kernel = compile_kernel(function)
        cache_file = getattr(kernel._cache, "_cache_file", None)  # noqa: SLF001 - Numba has no public way
        if cache_file is not None:
            own = Path(function.__code__.co_filename).parent
            cache_file._source_stamp = _source_stamp(own)  # noqa: SLF001 - likewise
        return kernel

    return decorate


jit: Final[Any] = kernel_decorator()
"""A zero divisor gives inf or NaN, as in NumPy."""

row_jit: Final[Any] = kernel_decorator(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For what only other kernels call."""

regrouping_jit: Final[Any] = kernel_decorator(
    no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath={"reassoc", "contract", "nsz"}
)
"""For sums: additions may be regrouped, so that they vectorise; NaN and infinity keep their meaning."""

gapless_jit: Final[Any] = kernel_decorator(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath={"nnan", "nsz"})
"""For extremes of windows that the caller knows to hold no NaN."""


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


@regrouping_jit
def is_whole(row: F8) -> bool:
    """Tell whether no bar is missing."""
    total = 0.0
    for i in range(len(row)):
        total += row[i]
    return not isnan(total)


@gapless_jit
def greatest(x: F8) -> float:
    """Return the largest of ``x``, which holds no NaN; reorders it.

    Half is folded upon half, which vectorises; a running maximum does not.
    """
    n = len(x)
    while n > 8:
        half = (n + 1) // 2
        left, right = x[: n - half], x[half:n]
        for i in range(len(right)):
            left[i] = left[i] if left[i] > right[i] else right[i]  # noqa: FURB136 - max() is not vectorised
        n = half
    best = x[0]
    for i in range(1, n):
        best = max(best, x[i])
    return float(best)


@row_jit
def decaying(newest: float, keep: float, bars: int) -> F8:
    """Weights of an exponential average, ``(bars,)``: ``newest`` for the last bar, ``keep`` times the next's before."""
    out = np.empty(bars)
    weight = newest
    for k in range(bars):
        out[bars - 1 - k] = weight
        weight *= keep
    return out


@row_jit
def known_run(row: F8, t: int, limit: int) -> int:
    """Count the bars without a gap that end at ``t``, up to ``limit``."""
    run = 0
    while run < limit and run <= t and not isnan(row[t - run]):
        run += 1
    return run


@row_jit
def log_returns(close: F8, first: int, stop: int, out: F8) -> None:
    """Write ``log(close[t] / close[t - 1])`` for ``first <= t < stop`` to ``out``; ``first >= 1``.

    A step of up to 6 % takes the first five terms of ``log(a / b) = 2 artanh((a - b) / (a + b))``, which leave less
    than 1e-16 of the result and keep more digits of a small step than ``log`` does; a larger one takes ``log``.
    """
    large = 0
    now, before = close[first:stop], close[first - 1 : stop - 1]
    for i in range(len(now)):
        z = (now[i] - before[i]) / (now[i] + before[i])
        q = z * z
        out[i] = 2.0 * z * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0)))))
        large += abs(z) > 0.03
    if large:
        for i in range(len(now)):
            if abs(now[i] - before[i]) > 0.03 * (now[i] + before[i]):
                out[i] = np.log(now[i] / before[i])


@row_jit
def log_return(before: float, now: float) -> float:
    """Return one of `log_returns`, to the bit."""
    z = (now - before) / (now + before)
    if abs(now - before) > 0.03 * (now + before):
        return float(np.log(now / before))
    q = z * z
    return 2.0 * z * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0)))))


@row_jit
def window_moments(x: F8, n: int, sums: F8, squares: F8) -> None:
    """Write sum and sum of squares of ``x[i:i + n]`` to ``sums[i]`` and ``squares[i]`` for every whole window.

    A window is the end of one block of ``n`` plus the start of the next (van Herk's scheme), so nothing is ever
    subtracted: a large value or a NaN leaves no trace in the windows that do not hold it.
    """
    windows = len(x) - n + 1
    for start in range(0, windows, n):
        m = min(n, windows - start)
        block, behind = x[start : start + n], x[start + n : start + n + m - 1]
        to_sums, to_squares = sums[start : start + m], squares[start : start + m]
        total, square = 0.0, 0.0
        place, step = np.uint64(n), np.uint64(1)
        for _ in range(n - m):
            place -= step
            total += block[place]
            square += block[place] * block[place]
        for _ in range(m):
            place -= step
            total += block[place]
            square += block[place] * block[place]
            to_sums[place] = total
            to_squares[place] = square
        to_sums, to_squares = to_sums[1:], to_squares[1:]
        total, square = 0.0, 0.0
        for i in range(len(behind)):
            total += behind[i]
            square += behind[i] * behind[i]
            to_sums[i] += total
            to_squares[i] += square


@row_jit
def variance(total: float, squares: float, share: float) -> float:
    """Population variance from a sum, a sum of squares and ``1 / n``; exactly 0 where only rounding is left."""
    mean_square = squares * share
    value = mean_square - (total * share) * (total * share)
    return 0.0 if value <= ROUNDING * mean_square else value


@row_jit
def order_statistic(x: F8, count: int, k: int) -> float:
    """Return the ``k``-th smallest (from 0) of ``x[:count]``, reordering it: no larger before, no smaller behind.

    Quickselect whose partition moves every value and branches on none, as branches on data are what costs.
    """
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) >> 1
        x[middle], x[low] = x[low], x[middle]
        pivot, behind = x[low], np.uint64(low + 1)
        place, step = np.uint64(low + 1), np.uint64(1)
        for _ in range(high - low - 1):
            value = x[place]
            x[place] = x[behind]
            x[behind] = value
            behind += np.uint64(value < pivot)
            place += step
        split = int(behind) - 1
        x[low], x[split] = x[split], x[low]
        if k == split:
            return float(pivot)
        if k < split:
            high = split
        elif split > low:
            low = split + 1
        else:
            low += 1
            for i in range(low, high):
                value = x[i]
                x[i] = x[low]
                x[low] = value
                low += value == pivot
            if k < low:
                return float(pivot)
    return float(x[k])


@row_jit
def quantile_pair(x: F8, count: int, q: float, top: F8) -> tuple[float, float, float]:
    """Values below and above the quantile ``q`` of ``x[:count]`` and its place between them in [0, 1).

    NumPy's default definition; NaN do not count and must not be among ``count``'s share. Keeps the values from the
    quantile up in ``top``, in descending order: quick for a high quantile.
    """
    place = q * (count - 1)
    k = min(int(place), count - 1)
    kept, wanted = 0, count - k
    least, zero, step = -np.inf, np.uint64(0), np.uint64(1)
    for j in range(len(x)):
        value = x[j]
        if not (value > least or (kept < wanted and not isnan(value))):
            continue
        if kept < wanted:
            kept += 1
        i = np.uint64(kept - 1)
        while i > zero and top[i - step] < value:
            top[i] = top[i - step]
            i -= step
        top[i] = value
        if kept == wanted:
            least = top[wanted - 1]
    return top[wanted - 1], top[max(wanted - 2, 0)], place - k


__all__ = [
    "KNOWN_SHARE",
    "ROUNDING",
    "at_least",
    "decaying",
    "gapless_jit",
    "greatest",
    "is_whole",
    "jit",
    "known_run",
    "log_return",
    "log_returns",
    "order_statistic",
    "quantile_pair",
    "regrouping_jit",
    "row_jit",
    "rows_of",
    "variance",
    "window_moments",
]
