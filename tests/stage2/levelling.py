"""What the tests of levels share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from config.models import LevelParams

from .conftest import END_MS, random_panel

PARAMS = LevelParams()


def atr_of(panel):
    return np.full(len(panel.symbols), 0.15)


def drawn(closes, end_ms=END_MS):
    """One symbol whose bars are dots: open, high, low and close are the same price."""
    panel = random_panel(0, symbols=("AUSDT",), bars=len(closes), end_ms=end_ms)
    dots = np.array([closes], dtype=float)
    return replace(panel, open=dots, high=dots, low=dots, close=dots)


def joined(closes):
    """One symbol whose bars begin where the one before ended."""
    panel = drawn(closes)
    opened = np.concatenate([panel.close[:, :1], panel.close[:, :-1]], axis=1)
    return replace(panel, open=opened, high=np.maximum(opened, panel.close), low=np.minimum(opened, panel.close))
