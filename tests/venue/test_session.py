"""The session as a pure machine: what it commands after what, and at which moment."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from aione.venue.session_parts import Close, Connect, End, Phase, Send
from aione.venue.stream_control import STREAMS_A_MESSAGE
from aione.venue.stream_track import StreamState
from config.models import VenueParams

from .sessions import only, opened, push, sent


def quote(stream, symbol=None):
    symbol = symbol or stream.partition("@")[0].upper()
    return json.dumps({"stream": stream, "data": {"e": "bookTicker", "E": 1, "s": symbol, "b": "1", "a": "2"}}).encode()


def marks(stream, symbol="BTCUSDT"):
    row = {"e": "markPriceUpdate", "E": 1, "s": symbol, "p": "1", "r": "0"}
    return json.dumps({"stream": stream, "data": [row]}).encode()


# ── Subscribing ──


def test_it_connects_at_once_and_subscribes_what_is_wanted():
    (message,) = sent(opened(["a@kline_1m", "b@kline_1m"]))
    assert message == {"method": "SUBSCRIBE", "params": ["a@kline_1m", "b@kline_1m"], "id": 1}


def test_many_streams_go_out_in_chunks_under_the_control_limit():
    names = [f"s{i}@kline_1m" for i in range(3 * STREAMS_A_MESSAGE - 1)]
    session = opened(names)
    at, messages = {0.0: len(sent(session))}, []
    now_s = 0.0
    while session.wake_at_s < 0.9:
        now_s = session.wake_at_s
        session.tick(now_s - 0.01)
        assert sent(session) == []
        session.tick(now_s)
        messages += sent(session)
        at[round(now_s, 3)] = 1
    assert list(at) == [0.0, 0.2, 0.4]
    assert [len(message["params"]) for message in messages] == [STREAMS_A_MESSAGE, STREAMS_A_MESSAGE - 1]


def test_what_is_wanted_later_is_added_and_what_is_not_wanted_taken_off():
    session = opened(["a@kline_1m", "b@kline_1m"])
    sent(session)
    session.want(["b@kline_1m", "c@kline_1m"], 1.0)
    session.tick(1.0)
    session.tick(1.2)
    assert [(m["method"], m["params"]) for m in sent(session)] == [
        ("UNSUBSCRIBE", ["a@kline_1m"]),
        ("SUBSCRIBE", ["c@kline_1m"]),
    ]
    assert set(session.streams) == {"b@kline_1m", "c@kline_1m"}


def test_what_was_never_asked_for_is_not_taken_off():
    session = opened([f"s{i}@kline_1m" for i in range(STREAMS_A_MESSAGE + 1)])
    sent(session)
    session.want([f"s{i}@kline_1m" for i in range(STREAMS_A_MESSAGE)], 1.0)
    session.tick(2.0)
    assert sent(session) == []


def test_a_stream_that_still_flows_when_it_is_wanted_again_stays_proven():
    session = opened()
    session.received(push(), 0.5)
    session.want([], 0.55)
    session.want(["btcusdt@kline_1m"], 0.6)
    session.received(push(), 0.65)
    session.tick(0.8)
    session.tick(1.0)
    assert only(session) is StreamState.PROVEN


# ── Proof ──


def test_an_acknowledgement_is_not_a_proof_and_data_is():
    session = opened()
    assert only(session) is StreamState.REQUESTED
    assert session.received(b'{"result":null,"id":1}', 0.1) is None
    assert only(session) is StreamState.ACKNOWLEDGED
    assert not session.is_proven
    assert session.received(push(), 0.2).bar.symbol == "BTCUSDT"
    assert session.is_proven


def test_data_before_the_acknowledgement_proves_as_well():
    session = opened()
    session.received(push(), 0.1)
    session.received(b'{"result":null,"id":1}', 0.2)
    assert only(session) is StreamState.PROVEN


def test_a_stream_acknowledged_and_never_delivered_is_reported_while_others_deliver():
    session = opened(["btcusdt@kline_1m", "deadusdt@kline_1m"])
    session.received(b'{"result":null,"id":1}', 0.1)
    for second in range(1, 72):
        session.received(push(), float(second))
        session.tick(float(second))
    assert session.phase is Phase.OPEN
    assert session.in_state(StreamState.UNPROVEN) == ["deadusdt@kline_1m"]
    session.received(push("deadusdt@kline_1m"), 72.0)
    assert session.states() == {"proven": 2}


def test_a_stream_that_falls_silent_is_stale_until_it_delivers_again():
    session = opened(["a@kline_1m", "b@kline_1m"])
    session.received(push("b@kline_1m"), 0.5)
    for second in range(1, 133):
        session.received(push("a@kline_1m"), float(second))
        session.tick(float(second))
    assert session.in_state(StreamState.STALE) == ["b@kline_1m"]
    session.received(push("b@kline_1m"), 133.0)
    assert session.in_state(StreamState.STALE) == []


def test_a_refused_control_message_is_counted_and_proves_nothing():
    session = opened()
    session.received(b'{"error":{"code":2,"msg":"Invalid request"},"id":1}', 0.1)
    assert session.counts.errors["control_refused"] == 1
    assert only(session) is StreamState.REQUESTED


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"garbage", "malformed_message"),
        (b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade"}}', "unknown_event"),
        (push("otherusdt@kline_1m"), "unasked_stream"),
    ],
)
def test_a_strange_message_is_counted_and_never_raises(payload, kind):
    session = opened()
    assert session.received(payload, 0.1) is None
    assert session.counts.errors == {kind: 1}
    assert session.counts.messages == 0


def test_a_reply_to_nobody_is_ignored():
    session = opened()
    session.received(b'{"result":null,"id":99}', 0.1)
    assert only(session) is StreamState.REQUESTED


# ── Watchdog ──


def test_a_connection_that_delivers_nothing_is_dropped_and_its_streams_are_unproven():
    session = opened(["btcusdt@kline_1m", "ethusdt@kline_1m"])
    sent(session)
    session.received(b'{"result":null,"id":1}', 0.1)
    session.tick(15.0)
    assert session.commands() == []
    session.tick(16.0)
    (close,) = session.commands()
    assert isinstance(close, Close)
    assert close.abort
    assert session.states() == {"unproven": 2}
    assert session.counts.errors["connection_stale"] == 1


def test_control_replies_do_not_keep_a_silent_connection():
    session = opened(["btcusdt@kline_1m", "ethusdt@kline_1m"])
    sent(session)
    for second in range(1, 17):
        session.received(b'{"result":null,"id":1}', float(second))
        session.tick(float(second))
    assert session.phase is Phase.CLOSING


def test_a_connection_without_streams_is_not_expected_to_speak():
    session = opened([])
    for second in range(100):
        session.tick(float(second))
    assert session.phase is Phase.OPEN
    session.want(["a@kline_1m"], 100.0)
    session.tick(110.0)
    assert session.phase is Phase.OPEN


def played(session, until_s, talk, step_s=1.0):
    """Let a session live for so long; ``talk(stream, now_s)`` says whether a stream delivers in this second."""
    asked, now_s = 0, 0.0
    while now_s < until_s:
        now_s += step_s
        for command in session.commands():
            asked += isinstance(command, Send)
            if isinstance(command, Close):
                session.closed(End(command.reason), now_s)
            elif isinstance(command, Connect):
                session.connected(now_s)
        for stream in session.streams:
            if session.phase is Phase.OPEN and talk(stream, now_s):
                session.received(push(stream) if "kline" in stream else quote(stream), now_s)
        session.tick(now_s)
    return asked


QUIET = VenueParams(stale_after_s=15.0).model_dump()


@pytest.mark.parametrize("every_s", [30, 60, 170])
def test_a_quiet_symbol_alone_on_its_connection_is_left_in_peace(every_s):
    session = opened(["quiet@bookTicker"], **QUIET)
    played(session, 3600, lambda _, now_s: now_s % every_s == 0)
    assert session.counts.connections == 1
    assert session.counts.errors == {}
    assert only(session) is StreamState.PROVEN


def test_two_quiet_symbols_are_found_out_to_be_quiet():
    session = opened(["one@bookTicker", "two@bookTicker"], **QUIET)
    played(session, 3600, lambda stream, now_s: now_s % 90 == (0 if stream == "one@bookTicker" else 37))
    assert session.counts.connections <= 4, "before anything is known of them, two are taken for busy"
    assert session.counts.errors["connection_stale"] <= 3


def test_a_symbol_alone_that_never_delivers_costs_few_connections_and_is_unproven():
    session = opened(["dead@kline_1m"], **QUIET)
    played(session, 3600, lambda _stream, _now_s: False)
    assert 2 <= session.counts.connections <= 10
    assert only(session) is StreamState.UNPROVEN


def test_a_busy_connection_of_one_stream_is_dropped_as_soon_as_one_of_many():
    for stream in ("busy@kline_1m", "!markPrice@arr@1s"):
        session = opened([stream], **QUIET)
        for second in range(1, 61):
            session.received(push(stream) if stream[0] != "!" else marks(stream), float(second))
            session.tick(float(second))
        session.tick(75.0)
        assert session.phase is Phase.OPEN
        session.tick(76.5)
        assert session.phase is Phase.CLOSING


def test_silence_of_connection_after_connection_is_met_with_more_and_more_patience():
    session = opened(["one@kline_1m", "two@kline_1m"], **QUIET)
    moments = []
    for second in range(1, 1000):
        session.tick(float(second))
        for command in session.commands():
            if isinstance(command, Close):
                moments.append(second)
                session.closed(End(command.reason), float(second))
                session.tick(session.wake_at_s)
                session.connected(float(second))
    waits = [after - before for before, after in pairwise([0, *moments])]
    assert waits[:4] == [pytest.approx(wait, abs=2) for wait in (16, 31, 61, 121)]
    assert set(waits[4:]) <= {120, 121, 122}, "never longer than eight times"
    session.received(push("one@kline_1m"), 1000.0)
    assert session._rhythm.drops == 0


def test_what_another_set_of_streams_was_used_to_is_forgotten():
    session = opened(["busy@bookTicker", "quiet@bookTicker"], **QUIET)
    for second in range(1, 61):
        session.received(quote("busy@bookTicker"), float(second))
        session.tick(float(second))
    session.want(["quiet@bookTicker"], 60.0)
    session.tick(90.0)
    assert session.phase is Phase.OPEN


def test_a_quiet_book_beside_a_busy_one_is_not_stale_and_hardly_asked_for_again():
    session = opened(["busy@bookTicker", "quiet@bookTicker"], **QUIET)
    states = set()

    def talk(stream, now_s):
        states.add(session.tracks["quiet@bookTicker"].state)
        return stream == "busy@bookTicker" or now_s % 300 == 150

    asked = played(session, 7200, talk)
    assert StreamState.STALE not in states
    assert session.counts.resubscribed <= 3, "only before its first push"
    assert asked <= 7


# ── Whose events ──


@pytest.mark.parametrize(
    ("stream", "payload"),
    [
        ("btcusdt@kline_1m", push("btcusdt@kline_1m", "ETHUSDT")),
        ("btcusdt@kline_1m", push("btcusdt@kline_1m", "btcusdt")),
        ("btcusdt@bookTicker", quote("btcusdt@bookTicker", "ETHUSDT")),
        ("btcusdt@kline_1m", marks("btcusdt@kline_1m")),
        ("!markPrice@arr@1s", push("!markPrice@arr@1s", "BTCUSDT")),
    ],
)
def test_an_event_of_another_symbol_than_the_streams_is_refused_and_proves_nothing(stream, payload):
    session = opened([stream])
    assert session.received(payload, 1.0) is None
    assert session.counts.errors == {"wrong_symbol": 1}
    assert (session.counts.messages, session.last_data_s) == (0, None)
    assert only(session) is StreamState.REQUESTED


def test_a_stream_of_the_whole_market_carries_every_symbol():
    session = opened(["!markPrice@arr@1s"])
    assert [mark.symbol for mark in session.received(marks("!markPrice@arr@1s", "ETHUSDT"), 1.0)] == ["ETHUSDT"]
    assert session.is_proven
