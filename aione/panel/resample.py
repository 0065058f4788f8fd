"""Resampling: closed bars of a longer interval from closed bars of a shorter one."""

from __future__ import annotations

import numpy as np

from aione.errors import InvalidInput
from aione.panel.bar_panel import B1, BarPanel
from aione.panel.bars import MINUTE_MS


def resample(panel: BarPanel, minutes: int) -> BarPanel:
    """Join the bars of a panel into bars of ``minutes``, which begin at whole multiples of it in UTC.

    Only closed ones: the one that the panel ends in the middle of is left out, as is the one that it begins in the
    middle of. Adding bars at the end therefore adds bars and changes none.

    Parameters
    ----------
    panel : BarPanel
    minutes : int
        A multiple of the panel's interval, e.g. 5, 15, 60, 240, 1440.

    Returns
    -------
    BarPanel
        Possibly of no bar. A bar with a gap inside is not valid and NaN: what is missing may hold the high. A field
        that is unknown in one of its bars (``taker_buy_volume`` of some sources) is NaN in the longer one.

    Raises
    ------
    InvalidInput
        ``minutes`` is not a positive multiple of the panel's interval.

    Examples
    --------
    >>> from aione.panel import BAR_RECORD
    >>> rows = np.zeros(4, dtype=BAR_RECORD)
    >>> rows["open_time_ms"], rows["close"] = 60_000 * np.arange(1, 5), [1.0, 2.0, 3.0, 4.0]
    >>> panel = BarPanel.from_records({"BTCUSDT": rows}, end_ms=240_000, bars=4)
    >>> longer = resample(panel, minutes=2)
    >>> longer.open_time_ms, longer.close
    (array([120000]), array([[3.]]))
    """
    interval_ms = minutes * MINUTE_MS
    size, rest = divmod(interval_ms, panel.interval_ms)
    if size < 1 or rest:
        raise InvalidInput(f"minutes must be a multiple of the panel's {panel.interval_ms} ms, was {minutes}")
    symbols, bars = panel.shape
    skipped = int(-panel.open_time_ms[0] % interval_ms) // panel.interval_ms if bars else 0
    count = max(0, (bars - skipped) // size)
    window = slice(skipped, skipped + count * size)
    parts = {
        name: getattr(panel, name)[:, window].reshape(symbols, count, size)
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count")
    }
    valid: B1 = np.asarray(panel.valid[:, window].reshape(symbols, count, size).all(axis=2))
    values = {
        "open": parts["open"][:, :, 0],
        "high": parts["high"].max(axis=2),
        "low": parts["low"].min(axis=2),
        "close": parts["close"][:, :, -1],
        **{name: parts[name].sum(axis=2) for name in ("volume", "quote_volume", "taker_buy_volume", "trade_count")},
    }
    return BarPanel(
        symbols=panel.symbols,
        open_time_ms=panel.open_time_ms[window][::size].copy(),
        valid=valid,
        interval_ms=interval_ms,
        **{name: np.where(valid, value, np.nan) for name, value in values.items()},
    )


__all__ = ["resample"]
