"""Time the minute's scan: against reading the panel once, and against TA-Lib and pandas called symbol by symbol.

Every round times, one after the other:

- ``spin_1``, ``spin``: a sum in registers in one thread, and the same sum in each of as many threads as there are CPUs:
  where ``spin`` takes longer than ``spin_1``, the machine has not given all its CPUs, and no thread helps
- ``read_1``, ``read``: summing the panel's eight arrays and counting its valid bars once, in one thread and in as many
  as there are CPUs: what memory alone allows
- ``readings_1``, ``readings``: `compute_readings` in one thread and in all
- ``push_1``, ``push``: one closed bar more of all symbols, `IncrementalReadings.push`, in one thread and in all
- ``100 peeks``: the forming bars of 100 symbols (or as many as there are), `IncrementalReadings.live_peek` of each
- ``stage1``, ``stage2``: what follows from the readings
- ``scan``: readings, Stage1 and Stage2, from the panel in memory to the results
- ``talib``, ``pandas``: the same indicators as such programs are written, see `peer_talib` and `peer_pandas`

The other sides have no daily levels and no ranks of the universe. The panel is a seeded random walk.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from measuring import in_turns, load, quartiles, show
from numba import njit
from panels import days_before, market_of, random_walk
from peer_pandas import pandas_panel
from peer_talib import talib_panel

from aione.indicators import compute_readings
from aione.indicators.incremental import IncrementalReadings
from aione.indicators.threads import available_cpus, use_threads
from aione.panel import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, BarPanel
from aione.stage1 import run_stage1
from aione.stage2 import run_stage2
from config.settings import load_settings

SLOW = ("talib", "pandas")
SPIN_STEPS = 2_000_000


@njit(nogil=True)
def spin(steps: int) -> float:
    total = 0.0
    for i in range(steps):
        total = total * 0.999 + i
    return total


class Reader:
    """Reads the whole panel once."""

    def __init__(self, panel: BarPanel) -> None:
        self.arrays = [getattr(panel, name) for name in VALUE_FIELDS]
        self.valid = panel.valid
        self.pool = ThreadPoolExecutor(available_cpus())

    def alone(self) -> float:
        return float(sum(array.sum() for array in self.arrays)) + np.count_nonzero(self.valid)

    def spun(self) -> float:
        return sum(self.pool.map(spin, [SPIN_STEPS] * available_cpus()))

    def together(self) -> float:
        cpus = available_cpus()
        halves = [
            [array[k * len(array) // cpus : (k + 1) * len(array) // cpus] for array in self.arrays] for k in range(cpus)
        ]
        sums = self.pool.map(lambda part: float(sum(array.sum() for array in part)), halves)
        return sum(sums) + np.count_nonzero(self.valid)


class Follower:
    """Pushes the bars of a longer panel one by one, and starts anew at its end."""

    def __init__(self, panel: BarPanel, bars: int, params: object, daily: BarPanel) -> None:
        self.panel, self.bars, self.params, self.daily = panel, bars, params, daily
        self.columns = [
            {name: np.ascontiguousarray(getattr(panel, name)[:, at]) for name in VALUE_FIELDS}
            for at in range(bars, panel.shape[1])
        ]
        self.start()

    def start(self) -> None:
        self.at = 0
        self.following = IncrementalReadings(self.panel.until(self.bars), self.params, self.daily)

    def push(self) -> object:
        at = self.at
        self.at += 1
        return self.following.push(int(self.panel.open_time_ms[self.bars + at]), self.columns[at])


def forming(panel: BarPanel, row: int, open_time_ms: int) -> np.void:
    record = np.zeros(1, dtype=BAR_RECORD)[0]
    record["open_time_ms"] = open_time_ms
    for name in VALUE_FIELDS:
        record[name] = getattr(panel, name)[row, -1]
    return record


def in_threads(threads: int, run: Callable[[], object]) -> Callable[[], object]:
    def with_threads() -> object:
        use_threads(threads)
        return run()

    return with_threads


def contestants(symbols: int, bars: int, rounds: int) -> dict[str, Callable[[], object]]:
    settings = load_settings(environ={})
    params = settings.STAGE1_MONITOR_PARAMS.indicators
    longer = random_walk(symbols, bars + 2 * rounds + 8)
    panel = longer.until(bars)
    daily, market, cpus = days_before(panel), market_of(panel), available_cpus()
    reader, follower = Reader(panel), Follower(longer, bars, params, daily)
    resting = IncrementalReadings(panel, params, daily)
    bars_now = [forming(panel, row, resting.open_time_ms + MINUTE_MS) for row in range(min(100, symbols))]
    readings = compute_readings(panel, params, daily)
    alerts = run_stage1(readings, market, settings, {})

    def scan() -> object:
        now = compute_readings(panel, params, daily)
        stage1 = run_stage1(now, market, settings, alerts.states)
        return run_stage2(panel, daily, now, market, stage1, settings)

    def peeks() -> None:
        for symbol, bar in zip(panel.symbols, bars_now, strict=False):
            resting.live_peek(symbol, bar, bars_now[0])

    def stage2() -> object:
        return run_stage2(panel, daily, readings, market, alerts, settings)

    return {
        "spin_1": lambda: spin(SPIN_STEPS),
        "spin": reader.spun,
        "read_1": reader.alone,
        "read": reader.together,
        "readings_1": in_threads(1, lambda: compute_readings(panel, params, daily)),
        "readings": in_threads(cpus, lambda: compute_readings(panel, params, daily)),
        "push_1": in_threads(1, follower.push),
        "push": in_threads(cpus, follower.push),
        "100 peeks": peeks,
        "stage1": lambda: run_stage1(readings, market, settings, alerts.states),
        "stage2": in_threads(cpus, stage2),
        "scan": in_threads(cpus, scan),
        "talib": lambda: talib_panel(panel),
        "pandas": lambda: pandas_panel(panel),
    }


def measure(symbols: int, bars: int, rounds: int, slow_rounds: int) -> dict[str, dict[str, float]]:
    runs = contestants(symbols, bars, rounds)
    if slow_rounds == 0:
        runs = {name: run for name, run in runs.items() if name not in SLOW}
    times = in_turns(runs, {name: slow_rounds if name in SLOW else rounds for name in runs})
    return {name: quartiles(taken) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, nargs="+", default=[50, 500, 2000])
    parser.add_argument("--bars", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--slow-rounds", type=int, default=3, help="of TA-Lib and pandas; 0 leaves them out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    before = load()
    results = {}
    for symbols in options.symbols:
        results[symbols] = measure(symbols, options.bars, options.rounds, options.slow_rounds)
        if not options.json:
            show(f"{symbols} symbols, {options.bars} bars; milliseconds", results[symbols], "read_1")
    if options.json:
        print(json.dumps({"bars": options.bars, "before": before, "after": load(), "symbols": results}))
    else:
        print(f"\nbefore: {before}; after: {load()}")


if __name__ == "__main__":
    main()
