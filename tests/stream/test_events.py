"""What a stream worker makes of its findings, and how they wait."""

from __future__ import annotations

import pytest
from prefect.server.events.schemas.events import Event as PrefectEvent

from aione.metrics import Metrics
from aione.stream.event_desk import EventDesk
from aione.stream.events import ALIVE, Event, EventBuffer
from aione.stream.healing import Gap
from aione.stream.incidents import GRACE_S, Incident
from aione.stream.shard import Shard
from config.notify_models import NotifyParams

NOW = 1_779_278_400_000
MINUTE = 60_000


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def buffer(metrics):
    return EventBuffer(metrics, 4)


@pytest.fixture
def desk(buffer):
    return EventDesk(buffer, Shard(2, 3), NotifyParams())


def names(buffer):
    return [event.name for event in buffer.first(100)]


def test_an_event_has_the_form_that_prefects_server_validates():
    event = Event("aione.alert", "aione.symbol.BTCUSDT", {"aione.signal": "ALERT_BUY"}, {"tp": [1.0]}, NOW)
    taken = PrefectEvent.model_validate(event.to_dict())
    assert (taken.event, taken.resource.id, taken.payload) == ("aione.alert", "aione.symbol.BTCUSDT", {"tp": [1.0]})
    assert taken.resource["aione.signal"] == "ALERT_BUY"
    assert taken.occurred.timestamp() * 1000 == NOW
    assert taken.id == event.event_id


def test_the_oldest_are_dropped_beyond_the_bound_and_counted(buffer, metrics):
    for name in "abcdef":
        buffer.add(Event(name, "r"))
    assert names(buffer) == ["c", "d", "e", "f"]
    assert metrics.value("aione_events_dropped_total", reason="full") == 2
    assert metrics.value("aione_events_waiting") == 4


def test_of_signs_of_life_only_the_last_waits(buffer, metrics):
    for name in ("a", ALIVE, "b", ALIVE):
        buffer.add(Event(name, "r"))
    assert names(buffer) == ["a", "b", ALIVE]
    assert metrics.total("aione_events_dropped_total") == 0


def test_the_word_that_the_worker_ends_takes_the_place_of_a_sign_of_life(buffer, desk):
    desk.alive(7)
    buffer.sent(alive := buffer.first(1))
    desk.alive(8)
    desk.stopped()
    assert names(buffer) == ["aione.stream.stopped"]
    assert buffer.first(1)[0].follows == alive[0].event_id


def test_the_end_of_an_incident_follows_its_beginning_unless_that_is_long_ago(buffer, desk, monkeypatch):
    incident = Incident("redis_away", NOW, {"x": None})
    over = Incident("redis_away", NOW, {"x": None}, NOW + 1)
    desk.incident(incident)
    desk.incident(over)
    began, ended = buffer.first(2)
    assert (began.follows, ended.follows) == (None, began.event_id)
    desk.incident(incident)
    late_ms = buffer.first(9)[-1].occurred_ms + 300_000
    monkeypatch.setattr("aione.stream.event_desk.wall_ms", lambda: late_ms)
    desk.incident(over)
    assert buffer.first(9)[-1].follows is None


def test_events_stay_until_they_are_sent_or_refused(buffer, metrics):
    for name in "abc":
        buffer.add(Event(name, "r"))
    first, second, third = buffer.first(3)
    buffer.sent([first])
    buffer.refused([second])
    assert buffer.first(3) == [third]
    assert metrics.value("aione_events_total", event="a") == 1
    assert metrics.value("aione_events_dropped_total", reason="refused") == 1
    assert (len(buffer), metrics.value("aione_events_waiting")) == (1, 1)


def test_what_was_dropped_meanwhile_may_have_been_sent(buffer):
    buffer.add(Event("a", "r"))
    batch = buffer.first(1)
    for name in "bcde":
        buffer.add(Event(name, "r"))
    buffer.sent(batch)
    assert names(buffer) == ["b", "c", "d", "e"]


def test_a_worker_goes_by_its_share_and_gives_no_sign_of_life_after_it_was_told_to_end(buffer, desk):
    desk.stopped()
    desk.alive(7)
    (event,) = buffer.first(10)
    assert (event.name, event.resource) == ("aione.stream.stopped", "aione.stream-worker.2of3")


def test_a_streams_incident_names_its_symbols_and_asks_for_a_rescan_when_bars_come_again(buffer, desk):
    incident = Incident("stream_stale", NOW, dict.fromkeys(["btcusdt@kline_1m", "ethusdt@bookTicker"]))
    desk.incident(incident)
    incident.ended_ms = NOW + 90_400
    desk.incident(incident)
    began, ended = buffer.first(2)
    assert began.name == ended.name == "aione.stream.stale"
    assert (began.labels["aione.state"], ended.labels["aione.state"]) == ("began", "ended")
    assert ended.payload["symbols"] == ["BTCUSDT"]
    assert (began.payload["seconds"], ended.payload["seconds"]) == (0, 90)
    assert "aione.rescan" not in began.labels
    assert ended.labels["aione.rescan"] == "wanted"


def test_the_end_of_an_incident_without_bar_streams_asks_for_no_rescan(buffer, desk):
    desk.incident(Incident("stream_stale", NOW, {"ethusdt@bookTicker": None}, NOW + 1))
    desk.incident(Incident("connection_down", NOW, {"kline 1": None}, NOW + 1))
    assert not any("aione.rescan" in event.labels for event in buffer.first(2))


def test_every_kind_of_incident_is_told_under_one_of_two_names(desk, buffer):
    told = {}
    for kind in GRACE_S:
        desk.incident(Incident(kind, NOW, {"x": None}))
        (event,) = buffer.first(9)
        told[kind] = event.name
        buffer.sent([event])
    assert {kind for kind, name in told.items() if name == "aione.stream.stale"} == {
        "stream_unproven", "stream_stale", "connection_down", "connection_failed",
    }  # fmt: skip
    assert set(told.values()) == {"aione.stream.stale", "aione.incident"}


def test_what_a_check_healed_is_one_event_and_one_late_bar_is_no_gap(buffer, desk):
    desk.healed({"LATE": Gap(1, NOW, NOW)})
    assert len(buffer) == 0
    desk.healed({"A": Gap(3, NOW, NOW + 2 * MINUTE), "LATE": Gap(1, NOW, NOW), "B": Gap(2, NOW - MINUTE, NOW)})
    (event,) = buffer.first(9)
    assert event.name == "aione.bar.gap"
    assert event.labels["aione.rescan"] == "wanted"
    assert event.payload == {
        "symbols": ["A", "B"], "bars": 5, "first_ms": NOW - MINUTE, "last_ms": NOW + 2 * MINUTE,
        "span": "2026-05-20 11:59 to 2026-05-20 12:02 UTC",
    }  # fmt: skip
