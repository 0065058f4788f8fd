"""Price levels: where each symbol turned or traded most before, merged, ranked and laid around the close.

1. Candidates: micro, 1m pivots of the last ``micro_lookback`` bars; meso, 1h pivots and POC, VAH, VAL; macro, daily
   pivots and the previous day's and week's high, low and close.
2. A candidate weighs what its kind is worth, less with age: half after its tier's half life.
3. The heaviest candidate takes in all within ``merge_atr`` ATR of it, then the heaviest of those left, and so on.
   So no two levels stand within that distance, and mirrored prices give mirrored levels.
4. A level's price is its heaviest member's; what its members leave of doubt is ``prod(1 - weight)``.
5. Visits are counted (`aione.stage2.level_visits`): each touch after the first takes away some of the doubt, the older
   the less. Strength is ``(1 - doubt) x (1 + touches) / (1 + touches + breaks)``.
6. Kept are the nearest levels on each side, and on each side the next major one.

Only closed buckets count: an hour or a day that the last bar does not end is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aione.indicators.threads import in_parts
from aione.panel import DAY_MS, F8, MINUTE_MS, BarPanel
from aione.stage2.level_kernel import find_levels
from aione.stage2.level_kinds import CONTEXT_FIELDS, LEVEL_KINDS
from config.models import LevelParams

TIERS: Final = ("micro", "meso", "macro")


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of S symbols, at most K each, by ascending price; NaN padded at the end.

    Attributes
    ----------
    price : float64 (S, K)
        Quote per base.
    kind : int8 (S, K)
        Index into `LEVEL_KINDS` of the heaviest member; -1 where there is none.
    touches : int16 (S, K)
        Visits after which the price was where it came from: it was turned. Bars in a row are one visit.
    age_bars : float64 (S, K)
        Minutes since its newest member was made.
    strength : float64 (S, K)
        In [0, 1].
    support, resistance : float64 (S,)
        Nearest level below and above the close that is worth the name (`IMMEDIATE_STRENGTH`); NaN is none.
    major_support, major_resistance : float64 (S,)
        Next macro or strong (`MAJOR_STRENGTH`) level beyond it.
    support_strength, resistance_strength : float64 (S,)
    breaks : int16 (S, K)
        Visits after which the price was on the other side.
    """

    price: F8
    kind: NDArray[np.int8]
    touches: NDArray[np.int16]
    age_bars: F8
    strength: F8
    support: F8
    resistance: F8
    major_support: F8
    major_resistance: F8
    support_strength: F8
    resistance_strength: F8
    breaks: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int16))


def price_levels(
    panel: BarPanel,
    daily: BarPanel | None,
    atr: F8,
    profile: tuple[F8, F8, F8],
    previous_day: tuple[F8, F8, F8],
    params: LevelParams,
) -> Levels:
    """Return the levels of every symbol at the panel's last bar.

    Parameters
    ----------
    panel : BarPanel
        1-minute bars. A symbol whose last bar is missing has no levels.
    daily : BarPanel, optional
        Daily bars of any symbols in any order; days that end after the panel's last bar are ignored.
    atr : float64 (S,)
        Quote per base; a symbol without it has no levels.
    profile : three float64 (S,)
        POC, VAH and VAL; NaN is unknown.
    previous_day : three float64 (S,)
        High, low and close of the UTC day before the last bar's.
    params : LevelParams

    Returns
    -------
    Levels
        K is ``params.max_levels``.
    """
    symbols, k = len(panel.symbols), params.max_levels
    out = np.full((symbols, 6, k), np.nan)
    out[:, 1] = -1.0
    out[:, 2:4] = 0.0
    context = np.full((symbols, len(CONTEXT_FIELDS)), np.nan)
    end_ms = int(panel.open_time_ms[-1]) + MINUTE_MS
    day_rows, day_high, day_low, day_close, first_day = _days(panel, daily, end_ms)
    scalars = np.column_stack([atr, *profile, *previous_day])
    options = np.array([params.merge_atr, params.half_life_bars])
    spans = np.array([params.micro_lookback, params.micro_span, params.meso_span, params.macro_span])

    def find(begin: int, end: int) -> None:
        rows = slice(begin, end)
        find_levels(
            *(panel.high[rows], panel.low[rows], panel.close[rows], int(panel.open_time_ms[0])),
            *(day_rows[rows], day_high, day_low, day_close, first_day),
            *(scalars[rows], options, spans),
            *(out[rows], context[rows]),
        )

    in_parts(find, len(panel.symbols))
    price, kind, touches, breaks, age, strength = (np.ascontiguousarray(column) for column in out.swapaxes(0, 1))
    support, resistance, major_support, major_resistance, below, above = (np.ascontiguousarray(c) for c in context.T)
    return Levels(
        price=price,
        kind=kind.astype(np.int8),
        touches=touches.astype(np.int16),
        breaks=breaks.astype(np.int16),
        age_bars=age,
        strength=strength,
        support=support,
        resistance=resistance,
        major_support=major_support,
        major_resistance=major_resistance,
        support_strength=below,
        resistance_strength=above,
    )


def _days(panel: BarPanel, daily: BarPanel | None, end_ms: int) -> tuple[NDArray[np.int64], F8, F8, F8, int]:
    """Return each panel symbol's row in the daily bars (-1 is none), closed days alone, and the first day's number."""
    if daily is None:
        none = np.empty((0, 0))
        return np.full(len(panel.symbols), -1), none, none, none, 0
    today_ms = (end_ms - MINUTE_MS) // DAY_MS * DAY_MS  # the last bar's day is not a closed one, even at its end
    closed = int(np.searchsorted(daily.open_time_ms, today_ms))
    if daily.symbols == panel.symbols:
        rows = np.arange(len(panel.symbols))
    else:
        at = {symbol: row for row, symbol in enumerate(daily.symbols)}
        rows = np.array([at.get(symbol, -1) for symbol in panel.symbols], dtype=np.int64)
    first_day = int(daily.open_time_ms[0]) // DAY_MS if len(daily.open_time_ms) else 0
    return rows, daily.high[:, :closed], daily.low[:, :closed], daily.close[:, :closed], first_day


__all__ = ["LEVEL_KINDS", "TIERS", "Levels", "price_levels"]
