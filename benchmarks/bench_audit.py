"""What an audit event costs the one who logs it.

    python benchmarks/bench_audit.py [--events 20000] [--rounds 9] [--json]

The same event (stage, symbol, timeframe, kind, three numbers), in turns:

``memory``   `audit_bus.log_metrics`, no sink.
``file``     the same with the JSONL sink: its thread writes during the measurement.
``null``     `logging.info` with the same facts to a `NullHandler`.
``queue``    `logging.info` to a `QueueHandler`, the usual way not to wait; nobody writes.
``dict``     a dictionary with a time, appended to a list: the least that any structured log does.

Microseconds a call, median of the rounds; ``worst`` is the 99.9th percentile of single calls, timer included. Between
the rounds the file's thread may write what waits; how many events it dropped is said.
"""

from __future__ import annotations

import argparse
import json
import logging
import logging.handlers
import queue
import statistics
import tempfile
import time
from pathlib import Path

from aione.audit import AuditBus

FACTS = {"density": 3.2, "mean_rank": 0.41, "burst": 2}


def bus_side(path=None):
    bus = AuditBus()
    bus.configure(max_size=10_000, jsonl_path=path)

    def call():
        bus.log_metrics("stage1", "BTCUSDT", "1m", kind="metrics", density=3.2, mean_rank=0.41, burst=2)

    return call, bus


def logging_side(name, handler):
    log = logging.getLogger(name)
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(handler)

    def call():
        log.info("metrics", extra={"stage": "stage1", "symbol": "BTCUSDT", "timeframe": "1m", **FACTS})

    return call


def dict_side(held):
    def call():
        held.append(
            {
                "ts": time.time_ns() // 1_000_000,
                "stage": "stage1",
                "symbol": "BTCUSDT",
                "timeframe": "1m",
                "kind": "metrics",
                "density": 3.2,
                "mean_rank": 0.41,
                "burst": 2,
            }
        )

    return call


def timed(call, events):
    began = time.perf_counter_ns()
    for _ in range(events):
        call()
    return (time.perf_counter_ns() - began) / events / 1000


def worst(call, events):
    took = []
    for _ in range(events):
        began = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - began)
    return sorted(took)[int(0.999 * len(took))] / 1000


def measure(events, rounds):
    with tempfile.TemporaryDirectory() as folder:
        memory, _ = bus_side()
        file, bus = bus_side(Path(folder) / "audit.jsonl")
        waiting, held = queue.SimpleQueue(), []
        sides = {
            "memory": memory,
            "file": file,
            "null": logging_side("bench.null", logging.NullHandler()),
            "queue": logging_side("bench.queue", logging.handlers.QueueHandler(waiting)),
            "dict": dict_side(held),
        }
        found = {name: [] for name in sides}
        for _ in range(rounds):
            for name, call in sides.items():
                found[name].append(timed(call, events))
                if name == "file":
                    bus.flush(30.0)
                held.clear()
                while not waiting.empty():
                    waiting.get()
        facts = {}
        for name, rows in found.items():
            low, middle, high = statistics.quantiles(rows, n=4)
            facts[name] = {"median_us": middle, "quartiles_us": [low, high], "worst_us": worst(sides[name], events)}
        bus.close(30.0)
        facts["file"]["dropped"] = bus.stats().dropped
        return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = measure(options.events, options.rounds)
    if options.json:
        print(json.dumps(facts))
        return
    print(f"{options.events} events, {options.rounds} rounds")
    for name, row in facts.items():
        low, high = row["quartiles_us"]
        more = f", {row['dropped']} dropped" if "dropped" in row else ""
        print(f"  {name:8}{row['median_us']:7.2f} us ({low:.2f} to {high:.2f}), 99.9 %: {row['worst_us']:.1f} us{more}")


if __name__ == "__main__":
    main()
