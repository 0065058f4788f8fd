"""The life of one stream is the table, and nothing else."""

from __future__ import annotations

from itertools import product

import pytest

from aione.errors import IllegalTransition
from aione.venue.stream_track import TRANSITIONS, StreamEvent, StreamState, StreamTrack, step
from config.models import VenueParams


@pytest.mark.parametrize(("state", "event"), sorted(set(product(StreamState, StreamEvent)) - set(TRANSITIONS)))
def test_every_pair_not_in_the_table_is_refused(state, event):
    with pytest.raises(IllegalTransition, match=str(state)):
        step(state, event)


def test_data_proves_a_stream_from_every_state():
    assert {step(state, StreamEvent.DATA) for state in StreamState} == {StreamState.PROVEN}


def test_nothing_but_data_proves_a_stream():
    proven = {pair for pair, after in TRANSITIONS.items() if after is StreamState.PROVEN}
    assert all(event is StreamEvent.DATA or state is StreamState.PROVEN for state, event in proven)


def test_a_stream_that_never_delivered_stays_unproven_across_reconnects():
    track = StreamTrack()
    for event in ("sent", "acked", "silent", "lost", "sent", "acked", "silent", "lost"):
        track.apply(StreamEvent(event))
    assert track.state is StreamState.UNPROVEN


def test_a_stream_that_is_wanted_and_cannot_be_asked_for_is_unproven_too():
    track = StreamTrack()
    for event in ("lost", "silent", "lost", "sent", "acked"):
        track.apply(StreamEvent(event))
    assert track.state is StreamState.UNPROVEN


def test_every_state_can_be_judged_silent():
    assert {step(state, StreamEvent.SILENT) for state in StreamState} == {StreamState.UNPROVEN, StreamState.STALE}


@pytest.mark.parametrize(
    ("stream", "patience_s"),
    [
        ("btcusdt@kline_1m", 130.0),
        ("!markPrice@arr@1s", 130.0),
        ("btcusdt@bookTicker", 900.0),
        ("btcusdt@depth20@500ms", 900.0),
    ],
)
def test_patience_is_that_of_the_kind_once_it_has_delivered_and_the_deadline_before(stream, patience_s):
    track = StreamTrack.of(stream, 100.0, VenueParams())
    track.judge(108.0, proof_within_s=8.0)
    assert track.state is StreamState.WANTED
    track.judge(108.1, proof_within_s=8.0)
    assert track.state is StreamState.UNPROVEN
    track.apply(StreamEvent.DATA, 200.0)
    track.judge(200.0 + patience_s, proof_within_s=8.0)
    assert track.state is StreamState.PROVEN
    track.judge(200.1 + patience_s, proof_within_s=8.0)
    assert track.state is StreamState.STALE


def test_only_a_step_with_a_time_restarts_the_silence():
    track = StreamTrack(since_s=1.0)
    track.apply(StreamEvent.SENT, 5.0)
    track.apply(StreamEvent.ACKED)
    assert track.since_s == 5.0
