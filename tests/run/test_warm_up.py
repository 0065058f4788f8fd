"""After a warm-up nothing is compiled any more, in no process: neither by a cycle nor by a bar of the stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

LISTEN = """
import json
from numba import njit
from numba.core import event

class Compiled(event.Listener):
    def __init__(self):
        self.names = []
    def on_start(self, event):
        self.names.append(event.data["dispatcher"].py_func.__qualname__ + str(event.data["args"]))
    def on_end(self, event):
        pass

compiled = Compiled()
event.register("numba:compile", compiled)
"""

WORK = """
from dataclasses import replace

import numpy as np

from aione.indicators.incremental import IncrementalReadings
from aione.indicators.readings import compute_readings
from aione.panel import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, MarketSnapshot
from aione.run.warm_up import _small_market
from aione.stage1.run import run_stage1
from aione.stage2.run import run_stage2
from config.settings import load_settings

settings = load_settings(environ={})
params = settings.STAGE1_MONITOR_PARAMS.indicators
minutes, days = _small_market(1500), _small_market(70, DAY_MS)
other_days = replace(days, symbols=("AUSDT", "ETHUSDT", "BUSDT"))
running = replace(days, open_time_ms=days.open_time_ms - 60 * DAY_MS)

def scan(panel, daily):
    readings = compute_readings(panel, params, daily)
    market = MarketSnapshot.of(panel.symbols, bid=panel.close[:, -1], ask=panel.close[:, -1])
    stage1 = run_stage1(readings, market, settings, {})
    result = run_stage2(panel, daily, readings, market, stage1, settings)
    for row in range(len(panel.symbols)):
        stage1.reasons(row), result.view(row, 0.01)

for daily in (None, days, other_days, running, days.until(1), days.until(0)):
    scan(minutes, daily)
for bars in (1, 2, 700):
    scan(minutes.until(bars), days)
scan(minutes.take(["SOLUSDT", "ETHUSDT"]), days)
scan(minutes.take([]), days)

following = IncrementalReadings(minutes.until(900), params, days, lookback=800)
rows = np.zeros(3, dtype=BAR_RECORD)
for at in range(900, 1500):
    rows["open_time_ms"] = minutes.open_time_ms[at]
    for name in VALUE_FIELDS:
        rows[name] = np.nan_to_num(getattr(minutes, name)[:, at])
    following.live_peek("ETHUSDT", rows[1], rows[0])
    following.push(int(minutes.open_time_ms[at]), rows if at % 2 else {name: rows[name] for name in VALUE_FIELDS})
following.correct("BTCUSDT", rows[:1])
following.leave(["SOLUSDT"])
following.join(minutes.take(["SOLUSDT"]))
following.follow_days(None)
following.readings()
"""

TELL = """
compiled_by_work = list(compiled.names)

@njit
def control(x):
    return x + 1

control(1)
print(json.dumps([compiled_by_work, compiled.names[len(compiled_by_work):]]))
"""


def run(code: str) -> str:
    """In a process of its own, which shares nothing with others but the cache on disk."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AIONE_", "REDIS"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False, timeout=570
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_after_a_warm_up_nothing_is_compiled():
    """Kernels come from the cache; the last one is compiled on purpose, to see that it would be noticed."""
    run("from aione.run.warm_up import compile_kernels; compile_kernels()")
    by_work, by_control = json.loads(run(LISTEN + WORK + TELL))
    assert by_work == []
    assert by_control == ["control(int64,)"]
