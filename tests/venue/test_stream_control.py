"""Control messages: the limit is kept, nothing is said twice, and replies find what they are to."""

from __future__ import annotations

from math import inf

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aione.venue.stream_control import STREAMS_A_MESSAGE, ControlQueue


def said(queue, until_s):
    """Take everything that may be said until then, at the moments that the queue names."""
    messages = []
    while (now_s := queue.wake_at_s) <= until_s:
        assert queue.take(now_s - 0.001) is None
        method, names, text = queue.take(now_s)
        decoded = msgspec.json.decode(text)
        assert (decoded["method"], decoded["params"]) == (method, names)
        messages.append((now_s, method, names))
    return messages


@given(
    names=st.lists(st.integers(0, 400).map(str), unique=True, max_size=180),
    off=st.lists(st.integers(0, 400).map(str), unique=True, max_size=80),
    per_second=st.integers(1, 10),
)
def test_everything_is_said_once_in_chunks_under_the_limit_and_taking_off_comes_first(names, off, per_second):
    queue = ControlQueue(per_second)
    queue.begin(7.0)
    queue.add("SUBSCRIBE", names)
    queue.add("SUBSCRIBE", names)
    queue.add("UNSUBSCRIBE", off)
    messages = said(queue, 1e9)
    assert queue.wake_at_s == inf
    assert [name for _, method, some in messages for name in some if method == "SUBSCRIBE"] == names
    assert [name for _, method, some in messages for name in some if method == "UNSUBSCRIBE"] == off
    assert [method for _, method, _ in messages] == sorted((method for _, method, _ in messages), reverse=True)
    assert all(len(some) <= STREAMS_A_MESSAGE for _, _, some in messages)
    for start_s, _, _ in messages:
        assert sum(start_s <= at_s < start_s + 0.999 for at_s, _, _ in messages) <= per_second


def test_a_reply_is_to_one_message_and_only_once():
    queue = ControlQueue(per_second=5)
    queue.add("SUBSCRIBE", ["a@kline_1m"])
    queue.take(0.0)
    assert queue.replied(None) is queue.replied(99) is None
    assert queue.replied(1) == ("SUBSCRIBE", ["a@kline_1m"])
    assert queue.replied(1) is None


def test_what_is_discarded_is_not_said_and_a_new_connection_starts_with_nothing():
    queue = ControlQueue(per_second=5)
    queue.add("SUBSCRIBE", ["a@kline_1m", "b@kline_1m"])
    queue.discard("SUBSCRIBE", "a@kline_1m")
    queue.discard("UNSUBSCRIBE", "never@kline_1m")
    assert queue.take(0.0)[1] == ["b@kline_1m"]
    queue.add("SUBSCRIBE", ["c@kline_1m"])
    queue.begin(0.05)
    assert queue.wake_at_s == inf
    assert queue.replied(1) is None, "that was another connection"
    queue.add("SUBSCRIBE", ["d@kline_1m"])
    number = msgspec.json.decode(queue.take(0.05)[2])["id"]
    assert number == 2, "numbers are not used again"
