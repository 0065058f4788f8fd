"""The protocol of a connection as a pure machine, then what really arrives over a socket."""

from __future__ import annotations

import orjson
import pytest

from aione.sim.options import SimOptions
from aione.sim.streams import Route, Session, StreamSpec, parse_stream, text_frame


def session(**options) -> Session:
    return Session(SimOptions(**options), is_combined=False)


def say(target: Session, method: str, params: object = None, number: object = 1, at_s: float = 0.0):
    return target.receive(orjson.dumps({"method": method, "params": params, "id": number}), at_s)


# ── Names and routes ──


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT@kline_1m",
        "btcusdt@kline_7m",
        "btcusdt@kline_1M",
        "btcusdt@kline_1m@1s",
        "btcusdt@aggtrade",
        "btcusdt@depth7",
        "btcusdt@depth@7ms",
        "btcusdt@markPrice@2s",
        "btcusdt@bookTicker@100ms",
        "@kline_1m",
        "btcusdt",
        "btcusdt@",
        "!ticker",
        "!miniticker@arr",
        "nonsense",
        "",
    ],
)
def test_these_names_mean_nothing(name: str):
    assert parse_stream(name) is None


@pytest.mark.parametrize(
    ("name", "spec", "is_market"),
    [
        ("btcusdt@kline_15m", StreamSpec("kline", "BTCUSDT", "15m"), True),
        ("btcusdt@aggTrade", StreamSpec("aggTrade", "BTCUSDT"), True),
        ("btcusdt@markPrice", StreamSpec("markPrice", "BTCUSDT", period_ms=3000), True),
        ("btcusdt@markPrice@1s", StreamSpec("markPrice", "BTCUSDT", period_ms=1000), True),
        ("btcusdt@forceOrder", StreamSpec("forceOrder", "BTCUSDT"), True),
        ("!miniTicker@arr", StreamSpec("!miniTicker", ""), True),
        ("!markPrice@arr@1s", StreamSpec("!markPrice", "", period_ms=1000), True),
        ("!contractInfo", StreamSpec("!contractInfo", ""), True),
        ("btcusdt@bookTicker", StreamSpec("bookTicker", "BTCUSDT"), False),
        ("btcusdt@depth", StreamSpec("depth", "BTCUSDT", "", 250), False),
        ("btcusdt@depth@100ms", StreamSpec("depth", "BTCUSDT", "", 100), False),
        ("btcusdt_261225@depth10@500ms", StreamSpec("depth", "BTCUSDT_261225", "10", 500), False),
        ("币安usdt@trade", StreamSpec("trade", "币安USDT"), False),
    ],
)
def test_names_and_their_routes(name: str, spec: StreamSpec, is_market: bool):
    assert parse_stream(name) == spec
    assert Route.MARKET.delivers(spec) is is_market
    assert Route.PUBLIC.delivers(spec) is not is_market
    assert Route.UNROUTED.delivers(spec) is not is_market


# ── The session ──


def test_everything_is_acknowledged_and_echoed():
    mine = session()
    step = say(mine, "SUBSCRIBE", ["btcusdt@kline_1m", "NONSENSE", "BTCUSDT@kline_1m"], 5)
    assert step.reply == b'{"result":null,"id":5}'
    assert step.added == ["btcusdt@kline_1m", "NONSENSE", "BTCUSDT@kline_1m"]
    listed = say(mine, "LIST_SUBSCRIPTIONS", None, "a")
    assert orjson.loads(listed.reply) == {"result": step.added, "id": "a"}


def test_unsubscribing_names_only_what_was_subscribed():
    mine = session()
    say(mine, "SUBSCRIBE", ["a", "b", "b"])
    step = say(mine, "UNSUBSCRIBE", ["b", "c"])
    assert step.removed == ["b"]
    assert step.reply == b'{"result":null,"id":1}'
    assert list(mine.names) == ["a"]
    assert say(mine, "SUBSCRIBE", ["a"]).added == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"method":"DANCE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"btcusdt@kline_1m","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":1.5}', 2),
        ('{"method":"SET_PROPERTY","params":["colour","red"],"id":1}', 0),
    ],
)
def test_a_malformed_message_is_answered_with_an_error(text: str, code: int):
    step = session().receive(text, 0.0)
    assert orjson.loads(step.reply)["error"]["code"] == code
    assert step.close is None


def test_the_combined_form_can_be_turned_on():
    mine = session()
    assert orjson.loads(say(mine, "GET_PROPERTY", ["combined"]).reply)["result"] is False
    say(mine, "SET_PROPERTY", ["combined", True])
    assert mine.is_combined
    assert orjson.loads(say(mine, "GET_PROPERTY", ["combined"]).reply)["result"] is True


def test_the_stream_beyond_the_limit_closes_with_1008():
    mine = session()
    assert say(mine, "SUBSCRIBE", [f"s{i}" for i in range(1024)]).close is None
    assert say(mine, "SUBSCRIBE", ["s5"]).close is None
    assert say(mine, "SUBSCRIBE", ["one more"]).close == (1008, "Too many streams")
    assert session().open(f"s{i}" for i in range(1025)).close[0] == 1008


def test_ten_messages_a_second_are_allowed_and_the_eleventh_is_not():
    mine = session()
    assert not any(say(mine, "LIST_SUBSCRIPTIONS", at_s=k / 100).close for k in range(10))
    assert say(mine, "LIST_SUBSCRIPTIONS", at_s=1.0).close is None  # the first is a second old
    assert say(mine, "LIST_SUBSCRIPTIONS", at_s=1.001).close == (1008, "Too many requests")


def test_pings_count_as_control_messages():
    mine = session(control_per_s=2)
    assert [mine.control(0.0).close for _ in range(3)][-1] is not None


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_carries_its_length_in_the_form_of_the_standard(size: int):
    frame = text_frame(b"x" * size)
    assert frame[0] == 0x81
    head = 2 if size < 126 else 4 if size < 65_536 else 10
    assert len(frame) == head + size
    if head > 2:
        assert frame[1] == (126 if head == 4 else 127)
        assert int.from_bytes(frame[2:head], "big") == size
