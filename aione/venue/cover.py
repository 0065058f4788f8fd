"""The cheapest klines requests that cover what is missing."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from aione.venue.weights import KLINES_STEPS, klines_weight

Range = tuple[int, int]
"""First and last position, inclusive."""

_SIZES: Final = tuple(most for most, _ in KLINES_STEPS)


@lru_cache(maxsize=4096)
def cheapest_requests(missing: tuple[Range, ...]) -> tuple[Range, ...]:
    """Return the requests, as ranges of bars, that cover every missing bar with the least weight.

    Parameters
    ----------
    missing : tuple of (first, last)
        Positions of bars, inclusive, ascending and apart.

    Returns
    -------
    tuple of (first, last)
        Each at most 1500 bars long. Of two covers of equal weight the one with fewer requests.

    Notes
    -----
    A request may as well start at the first bar that no earlier one covers, and be as long as its weight allows. So
    the choice is only among the steps of the price table, and what is left is a smaller problem of the same kind.

    Examples
    --------
    >>> cheapest_requests(((0, 1499),))
    ((0, 498), (499, 997), (998, 1496), (1497, 1499))
    >>> cheapest_requests(((0, 0), (50, 50)))
    ((0, 50),)
    """
    best: dict[int, tuple[int, int, tuple[Range, ...]]] = {}
    starts = [first for first, _ in missing]
    end = missing[-1][1] + 1 if missing else 0

    def uncovered(position: int) -> int:
        """Return the first missing position at or after ``position``, or ``end``."""
        for first, last in missing:
            if position <= last:
                return max(position, first)
        return end

    def solve(position: int) -> None:
        options = []
        for size in _SIZES:
            following = uncovered(position + size)
            last = _last_missing_before(missing, position + size)
            weight, count, rest = best[following]
            options.append((weight + klines_weight(last - position + 1), count + 1, ((position, last), *rest)))
        best[position] = min(options, key=lambda option: option[:2])

    best[end] = (0, 0, ())
    pending = [starts[0]] if starts else []
    while pending:
        position = pending[-1]
        following = {uncovered(position + size) for size in _SIZES} - best.keys()
        if following:
            pending += following
        else:
            if position not in best:
                solve(position)
            pending.pop()
    return best[starts[0]][2] if starts else ()


def _last_missing_before(missing: tuple[Range, ...], stop: int) -> int:
    """Return the last missing position below ``stop``."""
    return max(min(last, stop - 1) for first, last in missing if first < stop)


__all__ = ["Range", "cheapest_requests"]
