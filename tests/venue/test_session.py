"""The session as a pure machine: what it commands after what, and at which moment."""

from __future__ import annotations

import json
from itertools import pairwise
from math import inf

import pytest

from aione.errors import IllegalTransition
from aione.venue.session import ROTATE_AGAIN_S, Session
from aione.venue.session_parts import HOLD_S, Close, Connect, End, Phase, Rotate, Send, Verdict, verdict
from aione.venue.stream_control import STREAMS_A_MESSAGE
from aione.venue.stream_track import StreamState
from config.models import VenueParams

URL = "ws://exchange/market/stream"
PARAMS = VenueParams(
    stale_after_s=15.0,
    proof_within_s=70.0,
    stream_stale_after_s=130.0,
    connection_life_s=3600.0,
    control_messages_per_s=5,
    backoff_base_s=0.5,
    backoff_cap_s=30.0,
)


def ceiling(_low, high):
    return high


def make(streams=("btcusdt@kline_1m",), uniform=ceiling, **changes):
    session = Session(URL, PARAMS.model_copy(update=changes), uniform=uniform)
    session.want(streams, 0.0)
    return session


def opened(*args, now_s=0.0, **kwargs):
    session = make(*args, **kwargs)
    session.start(now_s)
    assert session.commands() == [Connect(URL)]
    session.connected(now_s)
    return session


def push(stream="btcusdt@kline_1m", symbol=None):
    symbol = symbol or stream.partition("@")[0].upper()
    bar = {"t": 60_000, "s": symbol, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "1", "q": "1", "V": "1",
           "n": 1, "x": False}  # fmt: skip
    return json.dumps({"stream": stream, "data": {"e": "kline", "E": 60_001, "s": symbol, "k": bar}}).encode()


def quote(stream, symbol=None):
    symbol = symbol or stream.partition("@")[0].upper()
    return json.dumps({"stream": stream, "data": {"e": "bookTicker", "E": 1, "s": symbol, "b": "1", "a": "2"}}).encode()


def marks(stream, symbol="BTCUSDT"):
    row = {"e": "markPriceUpdate", "E": 1, "s": symbol, "p": "1", "r": "0"}
    return json.dumps({"stream": stream, "data": [row]}).encode()


def sent(session):
    return [json.loads(command.payload) for command in session.commands() if isinstance(command, Send)]


def only(session):
    (track,) = session._tracks.values()
    return track.state


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


# ── Without a connection ──


def test_a_stream_that_cannot_even_be_asked_for_is_unproven_in_time():
    session = make(proof_within_s=8.0)
    session.start(0.0)
    session.judge(8.0)
    assert only(session) is StreamState.WANTED
    session.judge(8.1)
    assert only(session) is StreamState.UNPROVEN
    session.connected(20.0)
    session.received(push(), 20.5)
    assert session.is_proven


def test_lost_streams_have_their_deadline_from_the_loss_on_however_often_it_connects():
    session = opened(proof_within_s=8.0)
    session.received(push(), 100.0)
    session.closed(End("lost"), 101.0)
    for second in range(102, 110):
        session.judge(float(second))
        assert only(session) in {StreamState.WANTED, StreamState.REQUESTED}
        session.tick(session.wake_at_s)
        session.connected(float(second))
        session.closed(End("lost again"), second + 0.5)
    session.judge(109.6)
    assert only(session) is StreamState.UNPROVEN


def test_a_new_connection_gives_silent_streams_their_whole_wait_again():
    session = opened(["a@kline_1m", "b@kline_1m"], proof_within_s=8.0, stale_after_s=1e9)
    session.received(push("a@kline_1m"), 0.5)
    for second in range(1, 20):
        session.received(push("a@kline_1m"), float(second))
        session.tick(float(second))
    session.closed(End("lost"), 20.0)
    session.tick(session.wake_at_s)
    session.connected(23.0)
    sent(session)
    session.tick(25.0)
    assert session.counts.resubscribed == 0


# ── Reconnecting ──


def drop(session, now_s, end=None):
    session.closed(end or End("connection lost"), now_s)
    return session.wake_at_s - now_s


def test_waits_grow_until_data_comes_and_then_start_again():
    session = opened()
    waits, now_s = [], 0.0
    for _ in range(9):
        waits.append(drop(session, now_s))
        now_s = session.wake_at_s
        session.tick(now_s)
        session.connected(now_s)
        session.received(b'{"result":null,"id":1}', now_s)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    session.received(push(), now_s)
    assert drop(session, now_s) == 0.5


@pytest.mark.parametrize(
    ("end", "least_s"),
    [
        (End("slow down", status=429, retry_after_s=33.0), 33.0),
        (End("banned", status=418, retry_after_s=7200.0), 7200.0),
        (End("slow down", status=429), HOLD_S[429]),
        (End("banned", status=418), 120.0),
        (End("firewall", status=403), 120.0),
        (End("bad gateway", status=502), 0.0),
        (End("away", status=503, retry_after_s=5.0), 5.0),
    ],
)
def test_it_stays_away_as_long_as_the_exchange_wants(end, least_s):
    assert least_s <= drop(opened(), 1.0, end) <= least_s + 0.5


def test_the_wait_is_drawn_from_the_whole_range():
    asked = []
    session = opened(uniform=lambda low, high: asked.append((low, high)) or 0.123 * high)
    asked.clear()
    assert drop(session, 10.0) == pytest.approx(0.123 * 0.5)
    assert asked == [(0.0, 0.5)]


def test_after_a_reconnect_everything_is_subscribed_again():
    session = opened(["a@kline_1m", "b@kline_1m"])
    session.received(push("a@kline_1m"), 0.1)
    sent(session)
    drop(session, 1.0)
    assert session.states() == {"wanted": 2}
    session.tick(1.5)
    assert session.commands() == [Connect(URL)]
    session.connected(1.6)
    assert sent(session)[0]["params"] == ["a@kline_1m", "b@kline_1m"]
    assert session.counts.reconnects == 1


def test_a_fatal_end_is_final():
    session = opened()
    session.closed(End("no such path", status=404), 1.0)
    assert session.phase is Phase.FAILED
    assert session.is_over
    assert session.wake_at_s == inf


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (End("lost"), Verdict.RETRY),
        (End("policy", code=1008), Verdict.RETRY),
        (End("going away", code=1001), Verdict.RETRY),
        *((End("refused", status=status), Verdict.RETRY) for status in (403, 408, 418, 429, 500, 502, 503)),
        *((End("refused", status=status), Verdict.FATAL) for status in (400, 401, 404, 426, 451)),
        (End("certificate", is_hopeless=True), Verdict.FATAL),
    ],
)
def test_one_function_decides_what_is_worth_another_try(end, expected):
    assert verdict(end) is expected


# ── Rotation, end ──


def test_before_its_life_is_over_it_asks_once_to_be_replaced():
    session = opened()
    asked = []
    for second in range(1, 3700):
        session.received(push(), float(second))
        session.tick(float(second))
        asked += [second for command in session.commands() if isinstance(command, Rotate)]
    assert asked == [3420]
    assert session.phase is Phase.OPEN


def test_it_asks_again_to_be_replaced_for_as_long_as_it_is_not():
    session = opened()
    asked = []
    for second in range(1, 5000):
        session.received(push(), float(second))
        session.tick(float(second))
        asked += [second for command in session.commands() if isinstance(command, Rotate)]
    assert asked == [3420, 3420 + ROTATE_AGAIN_S, 3420 + 2 * ROTATE_AGAIN_S]


def test_a_silent_stream_is_asked_for_again_in_the_very_second_of_the_rotation():
    session = opened(["a@kline_1m", "b@kline_1m"], proof_within_s=5.0, resubscribe_base_s=13.0, connection_life_s=20.0)
    for second in range(1, 20):
        assert session.counts.resubscribed == 0
        session.commands()
        session.received(push("a@kline_1m"), float(second))
        session.tick(float(second))
    assert any(isinstance(command, Rotate) for command in session.commands())
    assert session.counts.resubscribed == 1, "unproven at 6 s, 13 s later both are due"


def test_connections_do_not_rotate_all_at_once():
    def rotation(session):
        return session._rotate_at_s

    moments = {rotation(opened(uniform=lambda _low, high, at=at: at * high)) for at in (0.0, 0.5, 1.0)}
    assert moments == {3600.0, 3510.0, 3420.0}


def test_stopping_closes_politely_and_never_connects_again():
    session = opened()
    sent(session)
    session.stop()
    assert session.commands() == [Close("stopped")]
    session.closed(End("stopped"), 1.0)
    assert session.phase is Phase.STOPPED
    session.tick(100.0)
    assert session.commands() == []


def test_stopping_while_it_waits_or_connects_leaves_no_connection():
    waiting = opened()
    drop(waiting, 1.0)
    waiting.stop()
    assert waiting.is_over
    connecting = make()
    connecting.start(0.0)
    connecting.commands()
    connecting.stop()
    connecting.connected(1.0)
    assert isinstance(connecting.commands()[0], Close)


def test_stopped_before_it_has_begun_it_never_begins():
    session = make()
    session.stop()
    session.start(1.0)
    assert session.phase is Phase.STOPPED
    assert session.commands() == []


def test_it_starts_once():
    session = opened()
    with pytest.raises(IllegalTransition, match="starts once"):
        session.start(1.0)


# ── Asking again ──


def test_a_stream_that_stays_silent_is_asked_for_again_after_ever_longer_waits():
    session = opened(proof_within_s=8.0, stale_after_s=1e9, resubscribe_base_s=15.0, resubscribe_cap_s=40.0)
    sent(session)
    asked = []
    for second in range(1, 200):
        session.tick(float(second))
        for message in sent(session):
            asked.append((second, message["method"], message["params"]))
            session.received(json.dumps({"result": None, "id": message["id"]}).encode(), float(second))
    assert only(session) is StreamState.UNPROVEN
    assert [method for _, method, _ in asked] == ["UNSUBSCRIBE", "SUBSCRIBE"] * (len(asked) // 2)
    moments = [second for second, method, _ in asked if method == "UNSUBSCRIBE"]
    assert moments[0] in {23, 24, 25}, "8 s to prove itself, then 15"
    waits = [after - before for before, after in pairwise(moments)]
    assert 29 <= waits[0] <= 32
    assert all(40 <= wait <= 43 for wait in waits[1:]), "never longer than the cap"
    assert session.counts.resubscribed == len(moments)
    session.received(push(), 200.0)
    assert only(session) is StreamState.PROVEN
    for second in range(201, 300):
        session.tick(float(second))
        session.received(push(), float(second))
    assert sent(session) == [], "what delivers is left in peace"


def test_asking_again_keeps_to_the_limit_of_control_messages_and_loses_no_stream():
    streams = [f"s{number}usdt@kline_1m" for number in range(180)]
    session = opened(streams, proof_within_s=8.0, stale_after_s=1e9)
    moments, wanted = [], set()
    for tenth in range(1, 600):
        session.tick(tenth / 10)
        for message in sent(session):
            moments.append(tenth / 10)
            change = set.update if message["method"] == "SUBSCRIBE" else set.difference_update
            change(wanted, message["params"])
    assert wanted == set(streams)
    assert session.counts.resubscribed >= 180
    for start in moments:
        assert sum(start <= moment < start + 1.0 for moment in moments) <= 6
