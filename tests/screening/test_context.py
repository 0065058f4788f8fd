"""What refreshes remember of book and open interest, and what a cycle makes of it."""

import numpy as np
import pytest

from aione.screening import context
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


# ── What a cycle makes of it ──


NOW_MS = 10 * HOUR_MS
BOOKS = {
    "AAAUSDT": {
        "bid": 99.0, "ask": 101.0, "quoted_ms": NOW_MS - 1000, "mark_price": 100.0, "funding_rate": 0.0001,
        "marked_ms": NOW_MS - 2000, "depth_bid_quote": 5.0, "depth_ask_quote": 6.0, "depth_median_quote": 7.0,
        "depth_ms": NOW_MS - 3000, "event_ms": NOW_MS - 1000,
    },
    "BBBUSDT": {"bid": 9.0, "ask": 11.0, "event_ms": NOW_MS - 4000, "mark_price": 10.0},
}  # fmt: skip


def test_depth_and_its_median_are_of_one_source():
    samples = [sample(NOW_MS - n, bid=50.0 + n, ask=90.0, symbol="BBBUSDT") for n in range(3)]
    depth = context._depth(SYMBOLS, BOOKS, samples, NOW_MS)
    assert depth["depth_bid_quote"].tolist() == [5.0, 50.0]
    assert depth["depth_median_quote"].tolist() == [7.0, 51.0]
    assert depth["depth_age_ms"].tolist() == [3000.0, 0.0]
    late = NOW_MS + context.DEPTH_LIFE_MS
    depth = context._depth(SYMBOLS, BOOKS, samples, int(late))
    assert np.isnan(depth["depth_median_quote"][0]), "too old, and no refresh knows the symbol"
    assert depth["depth_median_quote"][1] == 51.0
    assert np.isnan(context._depth(SYMBOLS, BOOKS, samples, NOW_MS + 3 * HOUR_MS)["depth_bid_quote"]).all()


def test_open_interest_is_the_polled_one_while_it_is_fresh():
    polled = {"AAAUSDT": {"open_interest": 12.0, "at_ms": NOW_MS - 60_000, "samples": [[NOW_MS - 1_800_000, 10.0]]}}
    samples = [sample(NOW_MS - 5, 1000.0, symbol="BBBUSDT"), sample(NOW_MS - HOUR_MS, 800.0, symbol="BBBUSDT")]
    found = context._open_interest(SYMBOLS, polled, samples, np.array([100.0, 10.0]), NOW_MS)
    assert found["open_interest_quote"].tolist() == [1200.0, 1000.0]
    assert found["open_interest_change_frac"] == pytest.approx([0.2, 0.25])
    assert found["open_interest_age_ms"].tolist() == [60_000.0, 5.0]
    later = context._open_interest(SYMBOLS, polled, samples, np.array([100.0, 10.0]), NOW_MS + HOUR_MS)
    assert np.isnan(later["open_interest_quote"]).all(), "what is too old is not known"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (None, np.nan),
        ({"open_interest": 2.0, "at_ms": NOW_MS, "samples": []}, np.nan),
        ({"open_interest": 2.0, "at_ms": NOW_MS, "samples": [[NOW_MS - 60_000, 1.0]]}, np.nan),
        ({"open_interest": 2.0, "at_ms": NOW_MS, "samples": [[NOW_MS - 2 * HOUR_MS, 9.0]]}, np.nan),
        (
            {"open_interest": 2.0, "at_ms": NOW_MS, "samples": [[NOW_MS - 2 * HOUR_MS, 9.0], [NOW_MS - HOUR_MS, 1.0]]},
            1.0,
        ),
        ({"open_interest": 2.0, "at_ms": NOW_MS, "samples": [[NOW_MS - HOUR_MS, 0.0]]}, np.nan),
    ],
)
def test_a_change_needs_a_sample_of_the_last_hour_that_is_old_enough(row, expected):
    np.testing.assert_equal(context._polled_change(row, NOW_MS), expected)


async def test_every_value_has_its_age_and_what_is_too_old_is_unknown(screened):
    symbols = (await screened.states.load_prefilter()).symbols
    infos = {info.symbol: info for info in (await screened.states.load_universe()).infos}
    prefilter = await screened.states.load_prefilter()
    now_ms = screened.now_ms()
    panel = await screened.minute_rings.load(symbols, now_ms // 60_000 * 60_000 - 60_000, 5)
    fresh = await context.market_snapshot(screened, panel, infos, prefilter, now_ms)
    for name in ("bid", "mark_price", "depth_bid_quote", "open_interest_quote"):
        assert np.isfinite(getattr(fresh, name)).all()
    for name in ("book_age_ms", "mark_age_ms", "depth_age_ms", "open_interest_age_ms"):
        assert (getattr(fresh, name) >= -context.LEAD_MS).all(), "the clock was measured twice"
        assert (getattr(fresh, name) < 60_000).all()
    old = await context.market_snapshot(screened, panel, infos, prefilter, now_ms + HOUR_MS)
    for name in ("bid", "spread_frac", "mark_price", "funding_rate", "depth_median_quote", "open_interest_quote"):
        assert np.isnan(getattr(old, name)).all()
    assert (old.book_age_ms >= HOUR_MS).all()


def test_a_moment_that_has_not_come_is_no_better_than_one_too_old():
    age_ms = np.array([-5_001.0, -5_000.0, 0.0, 100.0, 101.0, np.nan])
    fresh = context._fresh(np.arange(6.0), age_ms, life_ms=100.0)
    np.testing.assert_array_equal(fresh, [np.nan, 1.0, 2.0, 3.0, np.nan, np.nan])
    ahead = {"AAAUSDT": {**BOOKS["AAAUSDT"], "depth_ms": NOW_MS + 60_000}}
    assert np.isnan(context._depth(SYMBOLS, ahead, [], NOW_MS)["depth_bid_quote"]).all()
    polled = {"AAAUSDT": {"open_interest": 12.0, "at_ms": NOW_MS + 60_000, "samples": []}}
    found = context._open_interest(SYMBOLS, polled, [], np.array([100.0, 10.0]), NOW_MS)
    assert np.isnan(found["open_interest_quote"]).all()
