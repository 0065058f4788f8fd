"""The largest moves inside a window that has no gap, of one symbol."""

from __future__ import annotations

from typing import Final

from aione.indicators.kernel import gapless_jit, greatest
from aione.panel import F8

MOVE_BARS: Final = (5, 30, 60)
"""Windows of ``volatility.max_{n}bar_move`` and ``volatility.max_{n}bar_return``."""


@gapless_jit
def doubled(highs: F8, width: int, out: F8) -> None:
    """Turn maxima over ``width`` values from each place on into maxima over twice as many."""
    later = highs[width:]
    n = len(later)
    for i in range(n):
        out[i] = highs[i] if highs[i] > later[i] else later[i]  # noqa: FURB136 - max() is not vectorised
    for i in range(n, len(highs)):
        out[i] = highs[i]


@gapless_jit
def largest_move(highs: F8, width: int, low: F8, inverse: F8, bars: int, margin: int, work: F8) -> float:
    """Largest move over ``bars`` bars: of all pairs of a high and a low less than ``bars`` apart.

    ``highs`` are maxima over ``width`` bars (`doubled`) of the highs with ``margin`` >= ``bars`` - 1 bars of -inf on
    either side; ``inverse`` is ``1 / low``; ``work`` holds as many values.
    """
    one, two, moves = highs[margin - bars + 1 :], highs[margin + bars - width :], work[: len(low)]
    for i in range(len(low)):
        top = one[i] if one[i] > two[i] else two[i]  # noqa: FURB136 - max() is not vectorised
        moves[i] = (top - low[i]) * inverse[i]
    return float(greatest(moves))


@gapless_jit
def largest_return(close: F8, inverse: F8, bars: int, work: F8) -> float:
    """Largest absolute return over ``bars`` bars; ``inverse`` is ``1 / close``, ``work`` holds as many values."""
    later = close[bars:]
    moves = work[: len(later)]
    for i in range(len(later)):
        moves[i] = abs((later[i] - close[i]) * inverse[i])
    return float(greatest(moves))


__all__ = ["MOVE_BARS", "doubled", "largest_move", "largest_return"]
