"""The cheapest requests: against trying everything, and against the obvious ways."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.venue import cover
from aione.venue.cover import cheapest_requests
from aione.venue.weights import klines_weight


def weight_of(requests):
    return sum(klines_weight(last - first + 1) for first, last in requests)


def positions(ranges):
    return {at for first, last in ranges for at in range(first, last + 1)}


def test_nothing_missing_needs_nothing():
    assert cheapest_requests(()) == ()


@pytest.mark.parametrize(
    ("bars", "weight", "requests"),
    [
        (1, 1, 1),
        (99, 1, 1),
        (100, 2, 1),
        (499, 2, 1),
        (500, 3, 2),
        (998, 4, 2),
        (999, 5, 1),
        (1000, 5, 1),
        (1500, 7, 4),
    ],
)
def test_one_range_costs_the_least(bars, weight, requests):
    found = cheapest_requests(((0, bars - 1),))
    assert (weight_of(found), len(found)) == (weight, requests)


def test_two_gaps_close_together_are_one_request():
    assert cheapest_requests(((10, 12), (60, 61))) == ((10, 61),)


def test_two_gaps_far_apart_are_two_requests():
    assert cheapest_requests(((0, 0), (1400, 1400))) == ((0, 0), (1400, 1400))


def test_no_request_is_longer_than_the_exchange_allows():
    found = cheapest_requests(((0, 4_999),))
    assert max(last - first + 1 for first, last in found) <= 1500
    assert positions(found) == set(range(5_000))


STEPS = ((2, 1), (5, 2), (9, 4), (12, 7))


def scaled_weight(bars):
    return next(weight for most, weight in STEPS if bars <= most)


def brute_force(missing):
    """Try every length of the first request, then of the next: exponential, so with a small price table."""
    wanted = sorted(positions(missing))

    @cache
    def best(index):
        if index == len(wanted):
            return 0
        return min(
            scaled_weight(bars)
            + best(next((i for i, at in enumerate(wanted) if at >= wanted[index] + bars), len(wanted)))
            for bars in range(1, 13)
        )

    return best(0)


RANGES = st.lists(st.integers(0, 40), max_size=20, unique=True).map(sorted)


@pytest.mark.usefixtures("small_prices")
@settings(max_examples=150, deadline=None)
@given(at=RANGES)
def test_it_is_as_cheap_as_trying_everything(at):
    missing = []
    for position in at:
        if missing and missing[-1][1] == position - 1:
            missing[-1] = (missing[-1][0], position)
        else:
            missing.append((position, position))
    found = cheapest_requests.__wrapped__(tuple(missing))
    assert sum(scaled_weight(last - first + 1) for first, last in found) == brute_force(tuple(missing))
    assert positions(missing) <= positions(found)
    assert all(last - first + 1 <= 12 for first, last in found)
    ends = [end for pair in found for end in pair]
    assert ends == sorted(ends), "requests do not overlap"


@pytest.fixture(scope="module")
def small_prices():
    patch = pytest.MonkeyPatch()
    patch.setattr(cover, "_SIZES", tuple(most for most, _ in STEPS))
    patch.setattr(cover, "klines_weight", scaled_weight)
    yield
    patch.undo()
