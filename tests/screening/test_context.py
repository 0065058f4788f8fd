"""What refreshes remember of book and open interest, and what a cycle makes of it."""

import numpy as np
import pytest

from aione.screening.context import (
    HISTORY,
    ContextSample,
    _depth_median,
    _open_interest_change,
    load_context,
    save_context,
)

HOUR_MS = 3_600_000
SYMBOLS = ("AAAUSDT", "BBBUSDT")


def sample(ts_ms, interest=1.0, bid=2.0, ask=3.0, symbol="AAAUSDT"):
    return ContextSample(ts_ms, {symbol: interest}, {symbol: bid}, {symbol: ask})


async def test_samples_come_back_newest_first_and_the_oldest_are_forgotten(redis):
    for number in range(HISTORY + 3):
        await save_context(redis, sample(number))
    kept = await load_context(redis)
    assert [entry.ts_ms for entry in kept] == list(range(HISTORY + 2, 2, -1))
    assert kept[0] == sample(HISTORY + 2)


def test_open_interest_change_is_taken_over_the_last_hour_only():
    samples = [sample(2 * HOUR_MS, 120.0), sample(int(1.5 * HOUR_MS), 100.0), sample(0, 1.0)]
    change = _open_interest_change(SYMBOLS, samples)
    assert change[0] == pytest.approx(0.2)
    assert np.isnan(change[1])


@pytest.mark.parametrize("samples", [[], [sample(0)], [sample(2 * HOUR_MS), sample(0)]])
def test_open_interest_change_is_unknown_without_a_second_sample_within_the_hour(samples):
    assert np.isnan(_open_interest_change(SYMBOLS, samples)).all()


def test_depth_median_is_of_the_smaller_side_and_needs_three_samples():
    samples = [sample(n, bid=bid, ask=ask) for n, (bid, ask) in enumerate([(5.0, 9.0), (8.0, 2.0), (7.0, 7.0)])]
    assert _depth_median(SYMBOLS, samples)[0] == np.median([5.0, 2.0, 7.0])
    assert np.isnan(_depth_median(SYMBOLS, samples)[1])
    assert np.isnan(_depth_median(SYMBOLS, samples[:2])).all()


def test_depth_median_of_an_even_number_of_known_samples():
    samples = [sample(n, bid=bid, ask=9.0) for n, bid in enumerate([4.0, 1.0, 3.0, 2.0])]
    samples.append(sample(9, symbol="BBBUSDT"))
    assert _depth_median(SYMBOLS, samples)[0] == 2.5
