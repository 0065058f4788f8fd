"""Recorded bars of a directory as panels, with nothing made up: what the files lack is NaN."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from aione.panel import BAR_RECORD, DAY_MS, MINUTE_MS, BarPanel
from aione.sim.archive import INTERVALS, read_directory
from aione.sim.market import Bars


def recorded_panels(directory: str | Path) -> tuple[BarPanel, BarPanel]:
    """Return the 1-minute bars of the stretch that all symbols of a directory share, and their daily bars.

    Quote volume is close x volume where the file has none; taker volume and trade count are NaN there.

    Raises
    ------
    InvalidInput
        See `aione.sim.archive.read_directory`.
    """
    recordings = read_directory(directory, fill=False)
    minutes = {symbol: _records(one.minutes) for symbol, one in recordings.items()}
    days = {symbol: _records(one.bars.get(INTERVALS["1d"])) for symbol, one in recordings.items()}
    first = max(int(rows["open_time_ms"][0]) for rows in minutes.values())
    last = min(int(rows["open_time_ms"][-1]) for rows in minutes.values())
    held = [rows["open_time_ms"] for rows in days.values() if len(rows)]
    first_day = min((int(times[0]) for times in held), default=last // DAY_MS * DAY_MS)
    last_day = max((int(times[-1]) for times in held), default=first_day)
    return (
        _panel(minutes, last, (last - first) // MINUTE_MS + 1, MINUTE_MS),
        _panel(days, last_day, (last_day - first_day) // DAY_MS + 1, DAY_MS),
    )


def _panel(records: dict[str, np.ndarray], end_ms: int, bars: int, interval_ms: int) -> BarPanel:
    panel = BarPanel.from_records(records, end_ms=end_ms, bars=bars, interval_ms=interval_ms)
    counted = np.where(panel.trade_count > 0, panel.trade_count, np.nan)
    quoted = np.where(np.isnan(panel.quote_volume), panel.close * panel.volume, panel.quote_volume)
    return replace(panel, trade_count=counted, quote_volume=quoted)


def _records(bars: Bars | None) -> np.ndarray:
    records = np.zeros(0 if bars is None else len(bars), dtype=BAR_RECORD)
    if bars is not None:
        for name in ("open_time_ms", "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"):
            records[name] = bars[name]
        records["trade_count"] = np.maximum(bars["trade_count"], 0)
    return records


__all__ = ["recorded_panels"]
