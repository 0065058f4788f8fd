"""The life of one stream is the table, and nothing else."""

from __future__ import annotations

from itertools import product

import pytest

from aione.errors import IllegalTransition
from aione.venue.stream_track import TRANSITIONS, StreamEvent, StreamState, StreamTrack, step


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


def test_only_a_step_with_a_time_restarts_the_silence():
    track = StreamTrack(since_s=1.0)
    track.apply(StreamEvent.SENT, 5.0)
    track.apply(StreamEvent.ACKED)
    assert track.since_s == 5.0
