"""Contestants timed in turns, so that a busy machine weighs on all alike; and their table."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: Mapping[str, int]) -> dict[str, list[float]]:
    """Milliseconds of each contestant, after two warm-up calls of those that have more than three rounds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        for _ in range(2 if rounds[name] > 3 else 0):
            run()
    for turn in range(max(rounds.values())):
        for name, run in runs.items():
            if turn < rounds[name]:
                start = time.perf_counter()
                run()
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def quartiles(times: list[float]) -> dict[str, float]:
    """Median, quartiles and fastest; of one time alone, that."""
    low, middle, high = statistics.quantiles(times, n=4) if len(times) > 1 else (times[0],) * 3
    return {"median_ms": middle, "q1_ms": low, "q3_ms": high, "min_ms": min(times), "rounds": len(times)}


def load() -> str:
    """What else the machine does, as the system says it."""
    return "load " + " ".join(f"{x:.2f}" for x in os.getloadavg()) + f", {os.cpu_count()} CPUs"


def show(title: str, table: Mapping[str, Mapping[str, float]], reference: str) -> None:
    """Print one table; the last column is how many times the reference's median."""
    print(f"\n{title}")
    print(f"{'what':<14}{'median':>10}{'q1':>10}{'q3':>10}{'min':>10}{'rounds':>8}{'x ' + reference:>12}")
    base = table[reference]["median_ms"]
    for name, row in table.items():
        numbers = "".join(f"{row[key]:10.3f}" for key in ("median_ms", "q1_ms", "q3_ms", "min_ms"))
        print(f"{name:<14}{numbers}{row['rounds']:8.0f}{row['median_ms'] / base:12.2f}")
