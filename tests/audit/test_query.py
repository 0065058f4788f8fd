"""Looking for events, in Redis and in files."""

from __future__ import annotations

import pytest
import redis as sync_redis

from aione.audit import AuditBus
from aione.audit.jsonl import JsonlSink
from aione.audit.query import Query, look
from aione.audit.record import AuditEvent
from aione.audit.redis_stream import RedisSink, read_stream
from aione.errors import InvalidInput, ServiceUnavailable
from aione.run.audit import as_csv, as_json, as_table, ask, parse_since
from aione.store import keys

MINUTE = 60_000


def event(number, symbol="BTCUSDT", kind="decision", stage="qde"):
    return AuditEvent(
        f"e-{number}", number * MINUTE, stage, kind, symbol, "1m", (), {"number": number, "tp": [1.5, None]}
    )


@pytest.fixture
def client(redis, redis_url):  # noqa: ARG001  # an empty database
    with sync_redis.Redis.from_url(redis_url) as made:
        yield made


def test_events_go_to_redis_and_come_back(client, redis_url):
    sink = RedisSink(redis_url, maxlen=1000)
    sink.write([event(1), event(2, "ETHUSDT")])
    sink.close()
    client.xadd(keys.audit_events(), {"x": "something else"})
    assert read_stream(client) == ([event(1), event(2, "ETHUSDT")], 1)
    assert read_stream(client, page=2) == ([event(1), event(2, "ETHUSDT")], 1)


def test_the_stream_keeps_about_the_newest(client, redis_url):
    sink = RedisSink(redis_url, maxlen=100)
    for first in range(0, 2000, 100):
        sink.write([event(number) for number in range(first, first + 100)])
    sink.close()
    events, _ = read_stream(client)
    assert 100 <= len(events) <= 300
    assert events[-1] == event(1999)


def test_what_redis_does_not_take_waits_and_is_not_called_written():
    bus = AuditBus()
    bus.configure(sinks=[RedisSink("redis://127.0.0.1:1/0", maxlen=10)])
    bus.append(event(1))
    assert not bus.flush(0.5)
    (sink,) = bus.stats().sinks
    assert (sink.waiting, sink.written) == (1, 0)
    assert "ConnectionError" in sink.error
    assert not bus.close(0.1)
    assert bus.stats().held == 1


def test_a_query_takes_each_event_once_from_both(client, redis_url, tmp_path):
    sink = RedisSink(redis_url, maxlen=1000)
    sink.write([event(2), event(3), event(4, kind="metrics", stage="stage1")])
    sink.close()
    JsonlSink(tmp_path / "a.jsonl").write([event(1), event(2), event(3, "ETHUSDT")._replace(id="other")])
    found = look(Query(symbol="BTCUSDT"), client=client, path=tmp_path / "a.jsonl")
    assert [one.id for one in found.events] == ["e-1", "e-2", "e-3", "e-4"]
    assert (found.matched, found.unreadable) == (4, 0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), [1, 2, 3]),
        (Query(kind="metrics"), [3]),
        (Query(stage="qde", symbol="ETHUSDT"), [2]),
        (Query(since_ms=2 * MINUTE), [2, 3]),
        (Query(until_ms=2 * MINUTE), [1, 2]),
        (Query(limit=1), [3]),
        (Query(symbol="NOUSDT"), []),
    ],
)
def test_a_query_asks_for_symbol_stage_kind_and_time(tmp_path, query, expected):
    JsonlSink(tmp_path / "a.jsonl").write([event(3, kind="metrics"), event(1), event(2, "ETHUSDT")])
    assert [one.payload["number"] for one in look(query, path=tmp_path / "a.jsonl").events] == expected


def test_the_answer_says_how_much_could_not_be_read(tmp_path):
    JsonlSink(tmp_path / "a.jsonl").write([event(1)])
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b"torn")
    answer = ask(Query(), None, tmp_path / "a.jsonl")
    assert "1 of 1 events; 1 entries could not be read" in as_table(answer).caption
    assert '"unreadable": 1' in as_json(answer)
    assert as_csv(answer) == (
        'ts,stage,kind,symbol,timeframe,tags,p_number,p_tp\n60000,qde,decision,BTCUSDT,1m,,1,"[1.5, None]"\n'
    )


def test_moments_and_stretches_are_understood_and_all_else_is_refused():
    assert parse_since("90s", 100_000) == 10_000
    assert parse_since("1.5h", 10_000_000) == 4_600_000
    with pytest.raises(InvalidInput, match="or a stretch such as 15m, 2h, 3d, was 'yesterday'"):
        parse_since("yesterday", 0)


def test_a_file_or_a_redis_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InvalidInput, match="no audit file"):
        ask(Query(), None, tmp_path / "none.jsonl")
    with pytest.raises(ServiceUnavailable, match="reading the audit"):
        ask(Query(), "redis://127.0.0.1:1/0", None)
