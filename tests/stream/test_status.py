"""What a worker says of itself: every fact, as it was when it was said, in words that another process reads."""

from __future__ import annotations

import os
import socket
from importlib.metadata import PackageNotFoundError, version

import orjson
import pytest

from aione.metrics import Metrics
from aione.stream import status as module
from aione.stream.shard import Shard
from aione.stream.status import (
    DEAD_AFTER_MS,
    NAMES_SHOWN,
    TEXT_FIELDS,
    Said,
    is_alive,
    product_version,
    read_status,
    record_fleet,
    status_fields,
    worker_id,
)
from aione.venue.stream_track import StreamState

NOW = 1_779_278_400_000
KLINES = ["a@kline_1m", "b@kline_1m", "c@kline_1m"]
QUOTES = ["a@bookTicker"]


def said(**other):
    known = {
        "state": "running", "shard": "1/2", "started_ms": NOW - 9, "now_ms": NOW, "clock_offset_ms": -3,
        "metrics_port": 9000, "symbols": 3,
    }  # fmt: skip
    return Said(**{**known, **other})


def facts(fleet, metrics=None, **other):
    return read_status(status_fields(fleet, metrics or Metrics(), said(**other)))


# ── All of it ──


async def test_before_anything_has_happened_every_fact_is_there(stage):
    fields = status_fields(stage([]).fleet, Metrics(), Said("stopped", "1/1", 1, 2, 3, 0))
    assert read_status(fields) == {
        "state": "stopped", "shard": "1/1", "version": product_version(), "pid": os.getpid(), "started_ms": 1,
        "updated_ms": 2, "clock_offset_ms": 3, "metrics_port": 0, "symbols": 0, "connections": 0, "messages": 0,
        "last_message_age_ms": None, "bars_written": 0, "bars_corrected": 0, "bars_verified": 0, "gaps_healed": 0,
        "reconnects": 0, "resubscribed": 0, "rotations": 0, "dropped": 0, "behind": 0, "behind_symbols": [],
        "incidents": [], "store": {}, "streams": {}, "silent": [], "failures": [], "errors": {},
    }  # fmt: skip


async def test_texts_stand_as_they_are_and_everything_else_is_json(stage):
    fields = status_fields(stage(KLINES).fleet, Metrics(), said(incidents=["«тиша»"], store={"pending": 2}))
    assert all(isinstance(value, str) for value in fields.values())
    assert {name: fields[name] for name in ("state", "shard")} == {"state": "running", "shard": "1/2"}
    others = {name: orjson.loads(value) for name, value in fields.items() if name not in TEXT_FIELDS}
    assert (others["incidents"], others["store"], others["streams"]) == (["«тиша»"], {"pending": 2}, {"wanted": 3})
    assert read_status(fields) == {**others, **{name: fields[name] for name in TEXT_FIELDS}}


@pytest.mark.parametrize("text", ["", "NaN", "{broken", "soon"])
def test_a_status_that_is_not_ours_cannot_be_read(text):
    with pytest.raises(orjson.JSONDecodeError):
        read_status({"state": "running", "messages": text})


async def test_what_the_worker_knows_is_passed_on(stage):
    told = facts(stage([]).fleet, behind=("X", "Y"), incidents=("one", "two"), store={"pending": 4, "last_outage": {}})
    assert (told["started_ms"], told["updated_ms"], told["clock_offset_ms"]) == (NOW - 9, NOW, -3)
    assert (told["metrics_port"], told["symbols"], told["behind"], told["behind_symbols"]) == (9000, 3, 2, ["X", "Y"])
    assert (told["incidents"], told["store"]) == (["one", "two"], {"pending": 4, "last_outage": {}})


# ── Connections ──


async def test_streams_are_counted_by_state_and_the_silent_ones_named(stage):
    """One that was proven falls silent, one never delivers, one does, and the other kind is not connected."""
    scene = stage([*KLINES, *QUOTES])
    scene.stand("kline")
    scene.push("b@kline_1m")
    scene.silence("kline", 8.5)
    assert facts(scene.fleet)["silent"] == ["a@kline_1m", "c@kline_1m"]
    scene.push("b@kline_1m", age_s=131.0)
    scene.push("a@kline_1m")
    scene.silence("kline", 9.6)
    told = facts(scene.fleet)
    assert told["streams"] == {"proven": 1, "stale": 1, "unproven": 1, "wanted": 1}
    assert told["silent"] == ["b@kline_1m", "c@kline_1m"]
    assert (told["connections"], told["messages"]) == (1, 3)


async def test_the_age_is_that_of_the_newest_message_of_any_kind(stage):
    scene = stage([*KLINES, *QUOTES])
    scene.stand()
    assert facts(scene.fleet)["last_message_age_ms"] is None
    scene.push("a@kline_1m", age_s=7.0)
    assert facts(scene.fleet)["last_message_age_ms"] == pytest.approx(7000, abs=200)
    scene.push("a@bookTicker", age_s=2.0)
    assert facts(scene.fleet)["last_message_age_ms"] == pytest.approx(2000, abs=200)


async def test_connections_that_ended_or_were_given_up_or_replaced_are_counted(stage):
    scene = stage([*KLINES, *QUOTES])
    scene.stand()
    scene.end("kline", message="connection lost")
    scene.end("bookTicker", message="upgrade refused", status=404)
    told = facts(scene.fleet)
    assert (told["connections"], told["reconnects"], told["failures"]) == (0, 1, ["bookTicker: upgrade refused"])
    scene.rotate("kline")
    assert facts(scene.fleet)["rotations"] == 1


async def test_streams_asked_for_again_are_counted(stage):
    scene = stage(KLINES)
    scene.stand()
    scene.push("a@kline_1m")
    scene.silence("kline", 9.0)  # too long for two of them: their wait begins
    scene.push("a@kline_1m", age_s=-24.0)
    scene.silence("kline", 26.0)
    assert facts(scene.fleet)["resubscribed"] == 2


# ── Long lists ──


async def test_of_many_names_the_first_twenty_are_shown_and_all_are_counted(stage):
    names = [f"s{number:02}@kline_1m" for number in range(30)]
    scene = stage(names[::-1])
    scene.stand()
    scene.silence("kline", 9.0)
    told = facts(scene.fleet, behind=[f"S{number}" for number in range(30)])
    assert (told["streams"], told["silent"]) == ({"unproven": 30}, names[:20])
    assert (told["behind"], told["behind_symbols"]) == (30, [f"S{number}" for number in range(20)])
    assert NAMES_SHOWN == 20


# ── Counts ──


async def test_counts_are_the_metrics_added_up_over_their_labels(stage):
    metrics = Metrics()
    metrics.add("aione_bars_written_total", 2, finality="stream_closed")
    metrics.add("aione_bars_written_total", 3, finality="successor_seen")
    metrics.add("aione_gaps_healed_total", 4, cause="missing")
    metrics.add("aione_gaps_healed_total", 5, cause="unconfirmed")
    metrics.add("aione_bars_corrected_total", 6)
    metrics.add("aione_bars_verified_total", 7)
    metrics.set_total("aione_dropped_total", 8)
    told = facts(stage([]).fleet, metrics)
    names = ("bars_written", "gaps_healed", "bars_corrected", "bars_verified", "dropped")
    assert [told[name] for name in names] == [5, 9, 6, 7, 8]


async def test_errors_are_named_by_kind_and_those_that_never_happened_left_out(stage):
    metrics = Metrics()
    metrics.set_total("aione_errors_total", 0, kind="refused_bar")
    metrics.add("aione_errors_total", 2, kind="filling_gaps")
    assert facts(stage([]).fleet, metrics)["errors"] == {"filling_gaps": 2}


async def test_the_fleets_counts_become_metrics_however_often_they_are_recorded(stage):
    scene, metrics = stage([*KLINES, *QUOTES]), Metrics()
    scene.stand()
    for _ in range(3):
        scene.push("a@kline_1m")
    scene.push("a@bookTicker", age_s=5.0)
    assert scene.sessions["kline"].received(b"nonsense", 0.0) is None
    scene.end("bookTicker", message="connection lost")
    for _ in range(2):
        record_fleet(scene.fleet, metrics)
    assert metrics.rows("ws_messages_total") == {("kline",): 3, ("bookTicker",): 1}
    assert metrics.rows("aione_errors_total") == {("malformed_message",): 1, ("connection_ended",): 1}
    assert metrics.value("aione_ws_reconnects_total") == 1
    assert metrics.value("aione_ws_connections") == 1
    states = {labels[0]: number for labels, number in metrics.rows("aione_streams").items()}
    assert states == dict.fromkeys((state.value for state in StreamState), 0) | {
        "proven": 1, "requested": 2, "wanted": 1,
    }  # fmt: skip
    ages = metrics.rows("aione_data_age_seconds")
    assert ages == {("kline",): pytest.approx(0, abs=0.2), ("bookTicker",): pytest.approx(5, abs=0.2)}


async def test_a_gauge_of_streams_goes_back_to_zero(stage):
    scene, metrics = stage(["a@kline_1m"]), Metrics()
    record_fleet(scene.fleet, metrics)
    assert metrics.value("aione_streams", state="wanted") == 1
    assert metrics.rows("aione_data_age_seconds") == {}, "no message has an age yet"
    scene.stand()
    scene.push("a@kline_1m")
    record_fleet(scene.fleet, metrics)
    assert (metrics.value("aione_streams", state="wanted"), metrics.value("aione_streams", state="proven")) == (0, 1)


# ── Who, and whether it lives ──


def test_a_worker_is_named_by_its_share_its_host_and_its_process():
    assert worker_id(Shard(2, 3)) == f"2of3@{socket.gethostname()}:{os.getpid()}"
    assert len({worker_id(Shard(index, of)) for of in range(1, 13) for index in range(1, of + 1)}) == 78


def test_a_worker_lives_while_it_runs_and_has_spoken_within_ten_seconds():
    status = {"state": "running", "updated_ms": NOW}
    assert DEAD_AFTER_MS == 10_000
    assert is_alive(status, NOW + 9_999)
    assert not is_alive(status, NOW + 10_000)
    assert is_alive(status, NOW - 5_000), "its clock may be ahead of ours"
    assert not is_alive({**status, "state": "stopped"}, NOW)
    assert not is_alive({}, NOW)


@pytest.fixture
def _forgotten():
    product_version.cache_clear()
    yield
    product_version.cache_clear()


@pytest.mark.usefixtures("_forgotten")
def test_the_version_is_the_installed_one_or_says_that_nothing_is(monkeypatch):
    assert product_version() == version("aione")
    product_version.cache_clear()

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", absent)
    assert product_version() == "source tree"
