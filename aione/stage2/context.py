"""Where the close stands among the levels: the band around it, distances in ATR, room to each side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aione.panel import F8
from aione.stage2.levels import Levels


@dataclass(frozen=True, slots=True)
class Context:
    """The market around the close; float64 (S,) each.

    Attributes
    ----------
    support, resistance, major_support, major_resistance : float64 (S,)
        Quote per base; NaN is none known.
    room_down_atr, room_up_atr : float64 (S,)
        Distance to support and resistance, in ATR.
    band_frac : float64 (S,)
        Resistance minus support over the close.
    location : float64 (S,)
        Asymmetry of room, ``(up - down) / (up + down)``: +1 at the support, -1 at the resistance. With a level on one
        side alone, the other side's room is endless: +1 or -1. NaN without any level.
    """

    support: F8
    resistance: F8
    major_support: F8
    major_resistance: F8
    room_down_atr: F8
    room_up_atr: F8
    band_frac: F8
    location: F8


def market_context(levels: Levels, close: F8, atr: F8) -> Context:
    """Return the context of every symbol; ``close`` and ``atr`` float64 (S,), quote per base."""
    with np.errstate(invalid="ignore", divide="ignore"):
        down, up = close - levels.support, levels.resistance - close
        band = levels.resistance - levels.support
        location = (up - down) / band
        location = np.where(np.isnan(up) & ~np.isnan(down), 1.0, location)
        location = np.where(np.isnan(down) & ~np.isnan(up), -1.0, location)
        return Context(
            support=levels.support,
            resistance=levels.resistance,
            major_support=levels.major_support,
            major_resistance=levels.major_resistance,
            room_down_atr=down / atr,
            room_up_atr=up / atr,
            band_frac=band / close,
            location=location,
        )


__all__ = ["Context", "market_context"]
