"""What a bus, its file and its readers are in for: values that no one expects, forks, rotations amid a read."""

from __future__ import annotations

import fcntl
import gc
import io
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import weakref
from functools import reduce

import numpy as np
import pytest
from rich.console import Console

from aione.audit import AuditBus, AuditEvent
from aione.audit.jsonl import JsonlFile, _locked
from aione.audit.query import Answer, Query, look
from aione.audit.record import taken
from aione.run.audit import as_table, parse_since

CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


class Mute:
    def __repr__(self):
        raise ValueError("nothing to say")


def log(bus, number, **more):
    bus.log_metrics("stage1", "BTCUSDT", "1m", number=number, **more)


def numbers(path):
    return [event.payload["number"] for event in JsonlFile(path)]


# ── Values ──


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (2**70, str(2**70)),
        (10**5000, "<int without a text>"),
        ("\ud800", "\\ud800"),
        ({(1, 2): {"a": float("nan")}}, {"(1, 2)": {"a": None}}),
        (np.longdouble(1), "1.0"),
        (CIRCLE, ["<class 'list'>"]),
        (Mute(), "<Mute without a text>"),
        ([np.float32(0.5), 2**70, {"b", "a"}], [0.5, str(2**70), ["a", "b"]]),
    ],
    ids=["big", "huge", "surrogate", "tuple_key", "longdouble", "circle", "mute", "mixed"],
)
def test_no_value_holds_up_the_events_behind_it(bus, tmp_path, value, kept):
    bus.configure(jsonl_path=tmp_path / "a.jsonl")
    log(bus, 1, value=value)
    log(bus, 2)
    assert bus.flush(5.0)
    assert numbers(tmp_path / "a.jsonl") == [1, 2]
    found = next(iter(JsonlFile(tmp_path / "a.jsonl"))).payload["value"]
    assert kept in found if isinstance(value, np.longdouble) else found == kept


def test_nested_without_end_is_cut_and_kept(bus, tmp_path):
    bus.configure(jsonl_path=tmp_path / "a.jsonl")
    log(bus, 1, value=reduce(lambda inner, _: [inner], range(400), 1))
    assert bus.flush(5.0)
    assert numbers(tmp_path / "a.jsonl") == [1]


@pytest.mark.parametrize(
    ("tags", "kept"), [(None, ()), ("new", ("new",)), (["a", 1], ("a", "1")), (7, ("7",)), (("a",), ("a",))]
)
def test_whatever_stands_for_tags_is_tags_to_a_reader(bus, tmp_path, tags, kept):
    bus.configure(jsonl_path=tmp_path / "a.jsonl")
    log(bus, 1, tags=tags)
    assert bus.flush(5.0)
    assert next(iter(JsonlFile(tmp_path / "a.jsonl"))).tags == kept == bus.events[0].tags


@pytest.mark.parametrize(("ts", "kept"), [(np.int64(5), 5), (5.9, 5), (float("nan"), 0), ("soon", 0), (2**80, 0)])
def test_a_time_that_is_none_is_the_epoch(bus, ts, kept):
    log(bus, 1, ts_ms=ts)
    assert bus.events[0].ts == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [("ts", '"soon"'), ("ts", "true"), ("tags", "null"), ("tags", "[1]"), ("symbol", "null"), ("payload", "[]")],
)
def test_a_line_whose_fields_are_of_other_types_is_counted_as_unreadable(tmp_path, field, value):
    fields = {"id": '"a"', "ts": "1", "stage": '"s"', "kind": '"k"', "symbol": '"X"', "timeframe": '"1m"'}
    fields |= {"tags": "[]", "payload": "{}", field: value}
    path = tmp_path / "a.jsonl"
    path.write_text("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}\n")
    file = JsonlFile(path)
    assert (list(file), file.unreadable) == ([], 1)


def test_mappings_are_appended_and_nothing_that_is_appended_raises(bus):
    bus.append(
        {"ts": 5, "stage": "s", "kind": "k", "symbol": "X", "timeframe": "1m", "tags": ["t"], "payload": {"a": 1}}
    )
    bus.append({"stage": "s", "payload": 3, "extra": 4})
    bus.append(3)
    whole, part, odd = bus.events
    assert whole[1:] == (5, "s", "k", "X", "1m", ("t",), {"a": 1})
    assert part.payload == {"value": 3, "extra": 4}
    assert (odd.stage, odd.kind, odd.payload) == ("audit", "malformed", {"text": "3"})
    assert len({whole.id, part.id, odd.id}) == 3
    assert taken(whole) is whole


def test_a_payload_may_hold_any_key_that_is_no_field(bus):
    bus.log_metrics("s", "X", "1m", self=1, id=2, ts=3, payload=4)
    assert bus.events[0].payload == {"self": 1, "id": 2, "ts": 3, "payload": 4}


# ── Threads ──


def test_events_are_read_while_others_are_appended(bus):
    ended = threading.Event()

    def writes():
        while not ended.is_set():
            log(bus, 1)

    writer = threading.Thread(target=writes)
    writer.start()
    try:
        time.sleep(0.05)
        assert all(bus.events for _ in range(20))
    finally:
        ended.set()
        writer.join()


def test_a_new_set_up_loses_no_event_and_leaves_no_thread(bus, tmp_path):
    path = tmp_path / "a.jsonl"
    bus.configure(jsonl_path=path)
    ended, logged = threading.Event(), []

    def writes():
        while not ended.is_set():
            log(bus, len(logged))
            logged.append(1)
            time.sleep(0.00005)

    writer = threading.Thread(target=writes)
    writer.start()
    try:
        for _ in range(25):
            time.sleep(0.01)
            bus.configure(jsonl_path=path)
    finally:
        ended.set()
        writer.join()
    assert bus.flush(5.0)
    deadline = time.monotonic() + 5.0
    while len(numbers(path)) < len(logged) and time.monotonic() < deadline:
        time.sleep(0.05)  # one that was just being put is written by a thread that ends with it
    assert sorted(numbers(path)) == list(range(len(logged)))
    mine = [one for one in threading.enumerate() if one in {worker._thread for worker in bus._workers}]
    assert len(mine) <= 1
    assert bus.stats().dropped == 0


def test_a_small_memory_makes_no_small_queue(bus, tmp_path):
    bus.configure(max_size=10, jsonl_path=tmp_path / "a.jsonl")
    for number in range(2000):
        log(bus, number)
    assert bus.flush(5.0)
    assert numbers(tmp_path / "a.jsonl") == list(range(2000))


def test_what_a_sink_has_lost_is_told_when_it_is_used_no_more(bus, tmp_path):
    (tmp_path / "here").write_text("a file where a directory should be")
    bus.configure(jsonl_path=tmp_path / "here" / "a.jsonl")
    log(bus, 1)
    assert not bus.close(0.3)
    assert (bus.stats().sinks, bus.stats().dropped) == ((), 1)
    bus.configure(jsonl_path=tmp_path / "b.jsonl")
    assert bus.stats().dropped == 1


def test_the_file_stays_where_it_was_set_up(bus, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    bus.configure(jsonl_path="audit/a.jsonl")
    monkeypatch.chdir(tmp_path / "elsewhere")
    log(bus, 1)
    assert bus.flush(5.0)
    assert numbers(tmp_path / "audit/a.jsonl") == [1]


def test_a_bus_that_was_closed_is_let_go(tmp_path):
    bus = AuditBus()
    bus.configure(jsonl_path=tmp_path / "a.jsonl")
    log(bus, 1)
    assert bus.close(5.0)
    seen = weakref.ref(bus)
    del bus
    gc.collect()
    assert seen() is None


# ── Processes ──


def test_a_child_that_was_forked_in_a_write_does_not_keep_the_lock(tmp_path):
    path = tmp_path / "a.jsonl"
    script = """
import os, sys, time
from pathlib import Path
from aione.audit.jsonl import _locked
with _locked(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os.close(1)  # whoever waits for the parent's words is not to wait for us
        time.sleep(30)
        os._exit(0)
print(child, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True, check=True)
    try:
        with path.with_name("a.jsonl.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(int(done.stdout), 9)


def test_a_bus_without_sinks_has_another_name_in_a_child(tmp_path):
    script = """
import os, sys
from aione.audit import audit_bus
child = os.fork()
audit_bus.configure(jsonl_path=sys.argv[1])
audit_bus.log_metrics("s", "X", "1m", number=0)
assert audit_bus.flush()
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.jsonl")], check=True)
    assert len({event.id for event in JsonlFile(tmp_path / "a.jsonl")}) == 2
    assert look(Query(), path=tmp_path / "a.jsonl").matched == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_that_ends_by_itself_loses_nothing(tmp_path, method):
    script = f"""
import multiprocessing, sys
from aione.audit import audit_bus
def work(path):
    audit_bus.configure(jsonl_path=path)
    for number in range(5):
        audit_bus.log_metrics("s", "X", "1m", number=number)
if __name__ == "__main__":
    child = multiprocessing.get_context({method!r}).Process(target=work, args=(sys.argv[1],))
    child.start()
    child.join()
"""
    program = tmp_path / "program.py"
    program.write_text(script)
    assert method in multiprocessing.get_all_start_methods()
    subprocess.run([sys.executable, str(program), str(tmp_path / "a.jsonl")], check=True)
    assert numbers(tmp_path / "a.jsonl") == list(range(5))


def test_a_reader_sees_no_hole_while_files_are_put_aside(bus, tmp_path):
    path = tmp_path / "a.jsonl"
    bus.configure(jsonl_path=path, jsonl_rotate_mb=0.005, jsonl_keep=30)
    ended = threading.Event()

    def writes():
        number = 0
        while not ended.is_set():
            log(bus, number)
            number += 1
            if number % 20 == 0:
                bus.flush(2.0)

    writer = threading.Thread(target=writes)
    writer.start()
    try:
        deadline, reads = time.monotonic() + 1.5, 0
        while time.monotonic() < deadline:
            file = JsonlFile(path)
            seen = [event.payload["number"] for event in file]
            assert seen == list(range(seen[0], seen[0] + len(seen))) if seen else True
            assert file.unreadable == 0, "a line that is just being written is not there yet"
            reads += 1
    finally:
        ended.set()
        writer.join()
    assert reads > 5


def test_a_reader_does_not_wait_for_ever_for_a_writer_that_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("aione.audit.jsonl.READER_WAITS_S", 0.1)
    path = tmp_path / "a.jsonl"
    path.write_bytes(AuditEvent("a", 1, "s", "k", "X", "1m", (), {"number": 1}).to_json() + b"\n")
    with _locked(path):
        assert numbers(path) == [1]


# ── Forms ──


@pytest.mark.parametrize("text", ["x [/b] y", "[nan] left", "[bold]", "line\nline"])
def test_a_table_shows_texts_as_they_are(text):
    event = AuditEvent("a", 1, "s", "k", "币安人生USDT", "1m", (), {"t": text})
    out = io.StringIO()
    Console(file=out, width=150).print(as_table(Answer((event,), 1, 0)))
    assert all(part in out.getvalue() for part in text.split("\n"))


@pytest.mark.parametrize("ts", [1_700_000_000_000_000, -(10**17)])
def test_a_time_of_another_unit_breaks_no_form(bus, tmp_path, ts):
    log(bus, 1, ts_ms=ts)
    out = io.StringIO()
    Console(file=out, width=150).print(as_table(Answer(bus.events, 1, 0)))
    assert str(ts) in out.getvalue()
    assert len(bus.export_parquet(tmp_path)) == 1


def test_stages_whose_file_names_would_be_one_have_two(bus, tmp_path):
    bus.log_metrics("a/b", "X", "1m", one=1)
    bus.log_metrics("a:b", "X", "1m", two="\ud800")
    assert [path.name for path in bus.auto_export(tmp_path)] == ["a-b_metrics.csv", "a-b_metrics-2.csv"]
    assert [path.read_text().count("\n") for path in sorted(tmp_path.iterdir())] == [2, 2]


def test_no_limit_is_no_event(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(AuditEvent("a", 1, "s", "k", "X", "1m", (), {}).to_json() + b"\n")
    assert look(Query(limit=0), path=path).events == ()


def test_a_stretch_beyond_all_numbers_is_refused():
    with pytest.raises(Exception, match="expected a moment such as"):
        parse_since("9" * 400 + "d", 0)
