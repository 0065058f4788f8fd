"""The exchange's clock: what a reading of it is worth, and which clock the budgets are counted by."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from aione.venue.clock import ServerClock, set_budget_clock


def test_the_clock_runs_on_from_a_measurement_and_ignores_a_step_of_the_wall():
    wall, monotonic = [1000.0], [50.0]
    clock = ServerClock(wall_s=lambda: wall[0], monotonic_s=lambda: monotonic[0])
    assert clock.now_ms() == 1_000_000
    assert clock.known_ms is None
    clock.measured(2_000_000, sent_s=49.0, received_s=50.0)
    assert (clock.now_ms(), clock.known_ms) == (2_000_500, 2_000_000)
    wall[0] += 3600
    monotonic[0] += 10
    assert clock.now_ms() == 2_010_500


# ── What a reading is worth ──


class Moment:
    """A machine whose clocks the test moves; ``true_ms`` is the exchange's time."""

    def __init__(self, skew_ms=0.0):
        self.s = 100.0
        self.skew_ms = skew_ms
        self.clock = ServerClock(wall_s=lambda: 1e9 + self.s, monotonic_s=lambda: self.s)

    def true_ms(self):
        return 1e12 + 1000 * self.s + self.skew_ms

    def read(self, *, there_s, back_s):
        sent_s = self.s
        self.s += there_s
        server_ms = self.true_ms()
        self.s += back_s
        self.clock.measured(server_ms, sent_s=sent_s, received_s=self.s)
        assert self.clock.known_ms == server_ms, "certainly reached, whatever it is worth"

    def error_ms(self):
        return abs(self.clock.now_ms() - self.true_ms())


@pytest.mark.parametrize(("there_s", "back_s"), [(0.0, 18.0), (18.0, 0.0), (3.0, 1.0)])
def test_a_slow_reading_does_not_move_a_clock_that_it_does_not_contradict(there_s, back_s):
    it = Moment(skew_ms=4_000)
    it.read(there_s=0.01, back_s=0.01)
    for _ in range(3):
        it.s += 700
        it.read(there_s=there_s, back_s=back_s)
        assert it.error_ms() <= 1


def test_a_slow_first_reading_leaves_our_own_time_where_it_may_be_right():
    it = Moment()
    it.read(there_s=0.0, back_s=18.0)
    assert it.error_ms() <= 1


def test_a_slow_reading_moves_a_clock_that_it_proves_wrong_to_half_its_round_trip():
    it = Moment(skew_ms=60_000)
    it.read(there_s=0.0, back_s=6.0)
    assert it.error_ms() == pytest.approx(3_000, abs=1)
    it.read(there_s=0.0, back_s=4.0)
    assert it.error_ms() <= 3_000, "and the shorter of two slow ones is no worse"


def test_of_the_readings_of_ten_minutes_the_shortest_round_trip_counts():
    it = Moment(skew_ms=5_000)
    it.read(there_s=0.005, back_s=0.005)
    it.s += 60
    it.read(there_s=0.0, back_s=1.5)
    assert it.error_ms() <= 1
    it.s += 601
    it.read(there_s=0.0, back_s=1.5)
    assert it.error_ms() == pytest.approx(750, abs=1), "an old one is replaced: clocks drift"
    it.read(there_s=0.1, back_s=0.1)
    assert it.error_ms() <= 1


def test_an_exchange_whose_clock_is_set_is_followed_at_once():
    it = Moment()
    it.read(there_s=0.005, back_s=0.005)
    it.skew_ms = -2 * 86_400_000.0
    it.read(there_s=0.1, back_s=0.1)
    assert it.error_ms() <= 1


# ── The budget's clock ──

WALL_S = 1_779_278_400.0
YEAR_MS = 365 * 86_400_000


def http_date(ms):
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("server_off_ms", "host_off_ms", "expected_off_ms"),
    [
        (0, 0, 0),
        (1_300, 1_300, 1_300),  # we are slow, and both say so
        (70_000, 70_000, 70_000),
        (-90 * 86_400_000, 0, 0),  # a market played back
        (7 * 60_000, 0, 0),  # an absurd reply: the host's clock and ours agree
        (YEAR_MS, 0, 0),
        (-YEAR_MS, 300_000, 300_000),  # played back, and we are slow
        (1_300, YEAR_MS, 1_300),  # an absurd host: the exchange's clock and ours agree
        (-YEAR_MS, 2 * YEAR_MS, 0),  # everybody says something else
        (YEAR_MS, YEAR_MS, YEAR_MS),  # ours is absurd
        (900_000, None, 900_000),  # no word of the host: within reason it is the exchange's
        (2 * 3_600_000, None, 0),  # beyond it is ours
        (-YEAR_MS, None, 0),
    ],
)
def test_budgets_are_counted_by_the_exchanges_clock_within_reason(server_off_ms, host_off_ms, expected_off_ms):
    clock = ServerClock(wall_s=lambda: WALL_S, monotonic_s=lambda: 50.0)
    wall_ms = 1000 * WALL_S
    date = "" if host_off_ms is None else http_date(int(wall_ms + host_off_ms))
    set_budget_clock(clock, wall_ms + server_off_ms, date, sent_s=49.98, received_s=50.0)
    assert clock.offset_ms() == pytest.approx(expected_off_ms, abs=600)


@pytest.mark.parametrize("date", ["garbage", "Mon, 01 Jan 0001 00:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 -2359"])
def test_a_date_that_is_none_or_absurd_changes_nothing(date):
    clock = ServerClock(wall_s=lambda: WALL_S, monotonic_s=lambda: 50.0)
    set_budget_clock(clock, 1000 * WALL_S + 300, date, sent_s=49.98, received_s=50.0)
    assert clock.offset_ms() == pytest.approx(300, abs=20)


def test_a_slow_reply_of_a_played_back_market_is_not_taken_for_another_host():
    """Its date was written 18 s before it arrived; ours has gone on meanwhile."""
    clock = ServerClock(wall_s=lambda: WALL_S, monotonic_s=lambda: 50.0)
    set_budget_clock(
        clock, 1000 * WALL_S - YEAR_MS, http_date(int(1000 * WALL_S) - 18_000), sent_s=31.5, received_s=50.0
    )
    assert clock.offset_ms() == 0
