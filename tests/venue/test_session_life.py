"""The life of a session: without a connection, reconnecting, rotation, asking again."""

from __future__ import annotations

import json
from itertools import pairwise
from math import inf

import pytest

from aione.errors import IllegalTransition
from aione.venue.session import ROTATE_AGAIN_S
from aione.venue.session_parts import HOLD_S, Close, Connect, End, Phase, Rotate, Verdict, verdict
from aione.venue.stream_track import StreamState

from .sessions import URL, make, only, opened, push, sent

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
