"""The cheapest klines requests that cover what is missing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
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
    if not missing:
        return ()
    firsts = [first for first, _ in missing]
    lasts = [last for _, last in missing]
    end = lasts[-1] + 1
    best: dict[int, tuple[int, int, int, int]] = {end: (0, 0, end, end)}

    def uncovered(position: int) -> int:
        """Return the first missing position at or after ``position``, or ``end``."""
        index = bisect_left(lasts, position)
        return max(position, firsts[index]) if index < len(lasts) else end

    def options(position: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (weight, requests, last bar of the first request, where the next starts), longest first."""
        for size in reversed(_SIZES):
            following = uncovered(position + size)
            index = bisect_left(firsts, position + size) - 1
            last = min(lasts[index], position + size - 1)
            weight, requests, *_ = best[following]
            yield weight + klines_weight(last - position + 1), requests + 1, last, following

    pending = [firsts[0]]
    while pending:
        position = pending[-1]
        unknown = {uncovered(position + size) for size in _SIZES} - best.keys()
        pending += unknown
        if not unknown:
            best[position] = min(options(position), key=lambda option: option[:2])
            pending.pop()
    requests, position = [], firsts[0]
    while position < end:
        _, _, last, following = best[position]
        requests.append((position, last))
        position = following
    return tuple(requests)


__all__ = ["Range", "cheapest_requests"]
