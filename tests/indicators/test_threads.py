"""Kernels in several threads: the same bytes, no part forgotten, errors told, and forks that go on."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from aione.indicators import compute_readings
from aione.indicators.incremental import IncrementalReadings
from aione.indicators.threads import LEAST_ROWS, available_cpus, in_parts, use_threads
from aione.panel import VALUE_FIELDS
from config.models import IndicatorParams

PARAMS = IndicatorParams()


@pytest.fixture(autouse=True)
def _as_before():
    yield
    use_threads(available_cpus())


@pytest.fixture(scope="module")
def panel(make_panel):
    names = [f"S{k}USDT" for k in range(5 * LEAST_ROWS)]
    return make_panel(700, seed=21, symbols=("BTCUSDT", "GAPUSDT", "FLATUSDT", *names))


def test_the_bytes_do_not_depend_on_the_threads(panel):
    use_threads(1)
    alone = compute_readings(panel, PARAMS)
    for threads in (2, 3, 5):
        use_threads(threads)
        together = compute_readings(panel, PARAMS)
        for name, values in alone.values.items():
            assert values.tobytes() == together[name].tobytes(), name


def test_nor_do_those_of_the_incremental_path(panel):
    """Not even of the benchmark, whose row one part writes while the others read it."""
    told = []
    for threads in (1, 4):
        use_threads(threads)
        following = IncrementalReadings(panel.until(600), PARAMS)
        for at in range(600, 640):
            bars = {name: np.ascontiguousarray(getattr(panel, name)[:, at]) for name in VALUE_FIELDS}
            readings = following.push(int(panel.open_time_ms[at]), bars)
        told.append(b"".join(values.tobytes() for values in readings.values.values()))
    assert told[0] == told[1]


@pytest.mark.parametrize("rows", [0, 1, LEAST_ROWS, 2 * LEAST_ROWS - 1, 10 * LEAST_ROWS + 3])
def test_every_row_is_in_one_part(rows):
    use_threads(4)
    counts, threads = np.zeros(rows, dtype=int), set()

    def count(begin, end, step):
        threads.add(threading.current_thread().name)
        counts[begin:end] += step

    in_parts(count, rows, 1)
    assert (counts == 1).all()
    assert len(threads) <= min(4, max(1, rows // LEAST_ROWS))


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_an_error_of_any_part_is_told_when_no_part_runs_any_more(bad):
    use_threads(4)
    begun, ended = [], []

    def fail(begin, _end):
        begun.append(begin)
        if begin == bad * LEAST_ROWS:
            raise ValueError(f"part {bad}")
        ended.append(begin)

    with pytest.raises(ValueError, match=f"part {bad}"):
        in_parts(fail, 4 * LEAST_ROWS)
    assert sorted([*ended, bad * LEAST_ROWS]) == sorted(begun)


def test_a_thread_that_is_held_up_leaves_its_parts_to_the_others():
    """The first to come waits for all the rest: no part was dealt to it beforehand."""
    use_threads(2)
    rows, done, held = 8 * LEAST_ROWS, threading.Semaphore(0), threading.Lock()

    def kernel(_begin, _end):
        if held.acquire(blocking=False):
            for _ in range(7):
                assert done.acquire(timeout=60.0)
        else:
            done.release()

    in_parts(kernel, rows)


def test_a_forked_child_computes_with_threads_of_its_own(panel):
    """The threads do not survive a fork; a child that waited for them would wait for ever."""
    use_threads(2)
    expected = compute_readings(panel, PARAMS)["rsi"].tobytes()
    child = os.fork()
    if child == 0:
        same = compute_readings(panel, PARAMS)["rsi"].tobytes() == expected
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_there_is_a_cpu():
    assert available_cpus() >= 1
