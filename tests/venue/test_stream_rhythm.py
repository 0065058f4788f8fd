"""How long silence is nothing strange, from how often a connection has spoken."""

from __future__ import annotations

import pytest

from aione.venue.stream_rhythm import DOUBLINGS, STRANGE_GAPS, Rhythm
from aione.venue.stream_track import StreamTrack
from config.models import VenueParams

PARAMS = VenueParams(stale_after_s=15.0, stream_stale_after_s=130.0, book_stale_after_s=900.0, resubscribe_cap_s=600.0)


def tracks(*streams):
    return [StreamTrack.of(stream, 0.0, PARAMS) for stream in streams]


def patience(rhythm, streams, messages=0, last_s=0.0):
    return rhythm.patience_s(tracks(*streams), PARAMS, messages=messages, last_s=last_s)


def test_the_gap_is_open_time_over_messages_of_all_connections_and_silence_of_dropped_ones_counts():
    rhythm = Rhythm()
    assert rhythm.gap_s(0, 0.0) is None
    rhythm.begin(100.0)
    assert rhythm.gap_s(10, 110.0) == 1.0, "and not the silence that is going on"
    rhythm.end(140.0)
    rhythm.end(150.0)
    assert rhythm.gap_s(10, 110.0) == 4.0
    rhythm.begin(200.0)
    assert rhythm.gap_s(12, 208.0) == 4.0


def test_a_new_set_of_streams_starts_from_nothing():
    rhythm = Rhythm()
    rhythm.begin(0.0)
    rhythm.restart(10, 50.0)
    assert rhythm.gap_s(10, 60.0) is None
    assert rhythm.gap_s(15, 60.0) == 2.0


@pytest.mark.parametrize(
    ("streams", "expected_s"),
    [
        (["a@kline_1m"], 130.0),
        (["a@bookTicker"], 900.0),
        (["!markPrice@arr@1s"], 15.0),
        (["a@kline_1m", "b@kline_1m"], 15.0),
    ],
)
def test_before_anything_was_heard_only_a_single_symbol_may_be_quiet(streams, expected_s):
    assert patience(Rhythm(), streams) == expected_s


@pytest.mark.parametrize(
    ("gap_s", "expected_s"), [(0.01, 15.0), (1.0, 15.0), (6.0, 6.0 * STRANGE_GAPS), (500.0, 600.0)]
)
def test_what_was_heard_decides_between_the_usual_patience_and_the_longest(gap_s, expected_s):
    rhythm = Rhythm()
    rhythm.begin(0.0)
    assert patience(rhythm, ["a@kline_1m"], messages=100, last_s=100 * gap_s) == pytest.approx(expected_s)


def test_each_drop_doubles_it_up_to_a_limit():
    rhythm = Rhythm()
    waits = []
    for drops in range(DOUBLINGS + 3):
        rhythm.drops = drops
        waits.append(patience(rhythm, ["a@kline_1m", "b@kline_1m"]))
    assert waits == [15.0, 30.0, 60.0, 120.0, 120.0, 120.0]
    assert patience(rhythm, ["a@bookTicker"]) == 900.0, "never longer than the longest"
