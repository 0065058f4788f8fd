"""Whatever goes wrong, and in whatever order, the rings end equal to the exchange's own bars.

A failure names its seed; ``draw(seed)`` shows the schedule and ``run_schedule(seed)`` plays it again.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from schedules import draw, run_schedule

SCHEDULES = int(os.environ.get("SCHEDULES", "200"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
CHUNK = 20
COUNTS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """What only reports does so less often: it changes nothing of the bars."""
    for name in ("STATUS_EVERY_S", "FORMING_EVERY_S", "BOOK_EVERY_S"):
        monkeypatch.setattr(f"aione.stream.worker.{name}", 5.0)
    monkeypatch.setattr("aione.stream.worker.CLOCK_LOOK_S", 1.0)
    monkeypatch.setattr("aione.stream.worker.MARK_PRICE_STREAM", "!markPrice@arr")


@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + SCHEDULES, CHUNK))
def test_the_rings_end_equal_to_the_exchanges_own_bars(first, capsys, caplog):
    caplog.set_level("CRITICAL")
    seeds = range(first, min(first + CHUNK, FIRST_SEED + SCHEDULES))
    for seed in seeds:
        outcome = run_schedule(seed)
        assert not outcome.wrong_while_final, f"seed {seed}: a final bar was wrong; {draw(seed)}"
        assert not outcome.wrong, f"seed {seed}: {outcome.wrong[:3]} of {len(outcome.wrong)}; {draw(seed)}"
        COUNTS.update(outcome.counts)
    with capsys.disabled():
        print(f"\n{len(seeds)} schedules, seeds {seeds[0]}..{seeds[-1]}; so far {dict(sorted(COUNTS.items()))}")


def test_the_same_seed_is_the_same_run():
    first, second = run_schedule(7), run_schedule(7)
    assert first == second
    assert first.counts["bars compared"] >= 20
