"""The kinds of levels, what each is worth, and from which strength on a level counts."""

from __future__ import annotations

from typing import Final

LEVEL_KINDS: Final = (
    "micro_pivot_high",
    "micro_pivot_low",
    "hour_pivot_high",
    "hour_pivot_low",
    "poc",
    "vah",
    "val",
    "day_pivot_high",
    "day_pivot_low",
    "prev_day_high",
    "prev_day_low",
    "prev_day_close",
    "prev_week_high",
    "prev_week_low",
    "prev_week_close",
)
FIRST_MESO: Final = 2
FIRST_MACRO: Final = 7

CONTEXT_FIELDS: Final = (
    "support",
    "resistance",
    "major_support",
    "major_resistance",
    "support_strength",
    "resistance_strength",
)

WORTH: Final = (0.25, 0.25, 0.40, 0.40, 0.50, 0.35, 0.35, 0.60, 0.60, 0.60, 0.60, 0.40, 0.70, 0.70, 0.50)
"""Weight of a new candidate of each kind: how much more than nothing it says, the longer its timeframe the more."""

HALF_LIVES: Final = (1.0, 6.0, 60.0)
"""Of micro, meso and macro candidates, in multiples of ``half_life_bars``."""

IMMEDIATE_STRENGTH: Final = 0.30
"""Least strength of an immediate support or resistance: more than one bare 1m pivot."""

MAJOR_STRENGTH: Final = 0.70
"""Strength from which a level is major whatever its kind; macro levels always are."""

DRAWN_STRENGTH: Final = 0.20
"""Least strength of a level that is kept."""

APART_ATR: Final = 1.0
"""Distance within which only the strongest level is kept."""

__all__ = [
    "APART_ATR",
    "CONTEXT_FIELDS",
    "DRAWN_STRENGTH",
    "FIRST_MACRO",
    "FIRST_MESO",
    "HALF_LIVES",
    "IMMEDIATE_STRENGTH",
    "LEVEL_KINDS",
    "MAJOR_STRENGTH",
    "WORTH",
]
