"""What the guards of data quality cost a cycle: the hour alone, the whole history, everything."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from measuring import in_turns, load, quartiles, show
from panels import random_walk

from aione.panel import BarPanel
from aione.quality import UniverseRows, check_bars, check_history, look
from config.models import QualityParams

PARAMS = QualityParams()
NOW_MS = 1_800_000_000_000


def sound(symbols: int, bars: int) -> BarPanel:
    """A random walk whose quote volume is of a price within each bar."""
    panel = random_walk(symbols, bars)
    return replace(panel, quote_volume=panel.volume * (panel.high + panel.low) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    panel = sound(options.symbols, options.bars)
    hour, holes, ones = panel.tail(PARAMS.window_bars), np.zeros(options.symbols, np.int64), np.ones(options.symbols)
    listed = np.full(options.symbols, 1_600_000_000_000)
    rows = UniverseRows(panel.symbols, ("TRADING",) * options.symbols, ones, ones, ones, listed)
    assert look(panel, holes, rows, NOW_MS, PARAMS).findings == ()
    runs = {
        "hour": lambda: check_bars(hour, PARAMS),
        "history": lambda: check_history(panel, holes, PARAMS),
        "all": lambda: look(panel, holes, rows, NOW_MS, PARAMS),
    }
    times = in_turns(runs, dict.fromkeys(runs, options.rounds))
    table = {name: quartiles(taken) for name, taken in times.items()}
    show(f"{options.symbols} symbols x {options.bars} bars, {load()}", table, "all")


if __name__ == "__main__":
    main()
