"""How the cost of readings grows: with history, and with new bars to be read one by one.

- history: 500, 1500 and 5000 bars a symbol; the batch, one bar more of the incremental path, TA-Lib and pandas, which
  compute whole series and so grow with them. What has a window of its own does not.
- new bars: the readings of each of k bars, by a batch for each, by pushes, and by TA-Lib for each.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from bench_scan import Follower
from measuring import in_turns, load, quartiles, show
from panels import days_before, random_walk
from peer_pandas import pandas_panel
from peer_talib import talib_panel

from aione.indicators import compute_readings
from config.models import IndicatorParams

PARAMS = IndicatorParams()


def history(symbols: int, bars: int, rounds: int, slow_rounds: int) -> dict[str, dict[str, float]]:
    longer = random_walk(symbols, bars + rounds + 8)
    panel = longer.until(bars)
    daily = days_before(panel)
    follower = Follower(longer, bars, PARAMS, daily)
    runs = {
        "readings": lambda: compute_readings(panel, PARAMS, daily),
        "push": follower.push,
        "talib": lambda: talib_panel(panel),
        "pandas": lambda: pandas_panel(panel),
    }
    if slow_rounds == 0:
        runs = {name: runs[name] for name in ("readings", "push")}
    times = in_turns(runs, {name: slow_rounds if name in {"talib", "pandas"} else rounds for name in runs})
    return {name: quartiles(taken) for name, taken in times.items()}


def new_bars(symbols: int, bars: int, k: int, rounds: int, slow_rounds: int) -> dict[str, dict[str, float]]:
    longer = random_walk(symbols, bars + k)
    daily = days_before(longer.until(bars))
    windows = [longer.window(bars + at + 1, bars) for at in range(k)]
    follower = Follower(longer, bars, PARAMS, daily)

    def by_batch() -> None:
        for window in windows:
            compute_readings(window, PARAMS, daily)

    def by_pushes() -> None:
        for _ in range(k):
            follower.push()

    def by_talib() -> None:
        for window in windows:
            talib_panel(window)

    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        follower.start()
        for name, taken in in_turns({"batch": by_batch, "pushes": by_pushes}, {"batch": 1, "pushes": 1}).items():
            times.setdefault(name, []).extend(taken)
    if slow_rounds:
        times |= in_turns({"talib": by_talib}, {"talib": slow_rounds})
    return {name: quartiles(taken) for name, taken in times.items()}


def drift(symbols: int, bars: int, k: int) -> float:
    """Largest difference between pushes and the batch after k bars, as a share of the value."""
    longer = random_walk(symbols, bars + k)
    follower = Follower(longer, bars, PARAMS, days_before(longer.until(bars)))
    for _ in range(k):
        pushed = follower.push()
    exact = compute_readings(longer.tail(bars), PARAMS, follower.daily)
    worst = 0.0
    for name, values in exact.values.items():
        gap = np.abs(pushed[name] - values) / np.maximum(np.abs(values), 1e-3)
        worst = max(worst, float(np.nanmax(gap, initial=0.0)))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, nargs="+", default=[500, 1500, 5000])
    parser.add_argument("--new-bars", type=int, nargs="+", default=[1, 5, 15, 60])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--slow-rounds", type=int, default=2, help="of TA-Lib and pandas; 0 leaves them out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    before, results = load(), {}
    for bars in options.bars:
        results[f"history of {bars}"] = history(options.symbols, bars, options.rounds, options.slow_rounds)
    for k in options.new_bars:
        slow = min(1, options.slow_rounds) if k <= 5 else 0
        results[f"{k} new bars"] = new_bars(options.symbols, 1500, k, max(3, options.rounds // 3), slow)
    worst = drift(options.symbols, 1500, 1500)
    if options.json:
        print(json.dumps({"before": before, "after": load(), "drift": worst, "results": results}))
        return
    for title, table in results.items():
        show(f"{options.symbols} symbols, {title}; milliseconds", table, "push" if "push" in table else "pushes")
    print(f"\nlargest difference from the batch after 1500 pushes: {worst:.1e}")
    print(f"before: {before}; after: {load()}")


if __name__ == "__main__":
    main()
