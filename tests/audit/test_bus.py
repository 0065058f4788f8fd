"""The bus: the API as its users know it, and what becomes of events."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import duckdb
import numpy as np
import orjson
import pytest

from aione.audit import AuditBus, AuditEvent
from aione.audit.jsonl import JsonlFile
from aione.errors import InvalidInput


def log(bus, number, **more):
    bus.log_metrics("stage1", "BTCUSDT", "1m", kind="metrics", burst=number, **more)


def test_the_known_example_works_as_it_stands(tmp_path):
    script = """
from aione.audit import audit_bus
audit_bus.configure(max_size=5000, jsonl_path="audit/audit.jsonl", jsonl_rotate_mb=5)
audit_bus.log_metrics("stage1", "BTCUSDT", "1m", kind="metrics", density=3.2, mean_rank=0.41, burst=2)
audit_bus.export_jsonl("out.jsonl", append=True)
df = audit_bus.to_frame()
print(list(df.columns), df.iloc[0]["p_density"])
print([str(path) for path in audit_bus.auto_export("audit/")])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    columns, paths = done.stdout.splitlines()
    assert columns == (
        "['ts', 'stage', 'kind', 'symbol', 'timeframe', 'tags', 'p_density', 'p_mean_rank', 'p_burst'] 3.2"
    )
    assert paths == "['audit/stage1_metrics.csv']"
    assert (tmp_path / "audit/stage1_metrics.csv").read_text().splitlines()[0].endswith("p_density,p_mean_rank,p_burst")
    kept = list(JsonlFile(tmp_path / "audit/audit.jsonl"))
    assert [event.payload["burst"] for event in kept] == [2], "nothing is lost at the end of a short process"
    assert list(JsonlFile(tmp_path / "out.jsonl")) == kept


def test_the_oldest_are_trimmed_and_counted(bus):
    bus.configure(max_size=3)
    for number in range(10):
        log(bus, number)
    assert [event.payload["burst"] for event in bus.events] == [7, 8, 9]
    stats = bus.stats()
    assert (stats.appended, stats.held, stats.trimmed, stats.dropped) == (10, 3, 7, 0)
    bus.configure(max_size=2)
    assert [event.payload["burst"] for event in bus.events] == [8, 9], "a new size keeps the newest"


def test_events_have_names_of_their_own_and_the_time_that_they_are_given(bus):
    before = time.time_ns() // 1_000_000
    log(bus, 1)
    log(bus, 2, ts_ms=60_000)
    bus.append(AuditEvent("", 5, "x", "y", "", "", (), {}))
    first, second, third = bus.events
    assert len({first.id, second.id, third.id}) == 3
    assert before <= first.ts <= time.time_ns() // 1_000_000
    assert (second.ts, third.ts) == (60_000, 5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_size": 0}, "max_size must be at least 1, was 0"),
        ({"jsonl_rotate_mb": 5}, "jsonl_rotate_mb needs a jsonl_path"),
        ({"jsonl_path": "x", "jsonl_rotate_mb": 0}, "jsonl_rotate_mb must be above 0, was 0"),
        ({"jsonl_path": "x", "jsonl_keep": 0}, "jsonl_keep must be at least 1, was 0"),
    ],
)
def test_a_set_up_that_makes_no_sense_is_refused(bus, options, told):
    with pytest.raises(InvalidInput, match=told):
        bus.configure(**options)


def test_whatever_a_payload_holds_becomes_json(bus, tmp_path):
    bus.configure(jsonl_path=tmp_path / "a.jsonl")
    log(
        bus, np.int64(3), gone=float("nan"), far=np.inf, row=np.arange(3), cell=np.float64(0.5), when=datetime.now(UTC),
        odd=object(), names={"b", "a"}, at={1: "one"}, symbol_name="币安人生USDT",
    )  # fmt: skip
    assert bus.flush(5.0)
    payload = orjson.loads((tmp_path / "a.jsonl").read_bytes())["payload"]
    assert payload["burst"] == 3
    assert (payload["gone"], payload["far"]) == (None, None)
    assert (payload["row"], payload["cell"], payload["names"]) == ([0, 1, 2], 0.5, ["a", "b"])
    assert payload["odd"].startswith("<object object")
    assert payload["at"] == {"1": "one"}
    assert payload["symbol_name"] == "币安人生USDT"


def test_what_cannot_be_written_is_dropped_and_counted_and_the_writer_never_waits(bus, tmp_path):
    fifo = tmp_path / "stuck"
    os.mkfifo(fifo)  # a write waits once its buffer is full, for nobody reads
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        bus.configure(queue_size=50, sinks=[Stuck(fifo)])
        for number in range(500):
            log(bus, number)
        assert not bus.flush(0.3), "it says that not all is written"
        stats = bus.stats()
        assert stats.appended == 500
        (sink,) = stats.sinks
        assert sink.dropped + sink.waiting + sink.written == 500
        assert stats.dropped == sink.dropped >= 400
    finally:
        os.close(reader)
        bus.close(0.5)


class Stuck:
    """A sink whose other end does not read."""

    name = "stuck"

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY)

    def write(self, events):
        del events
        os.write(self.file, b"x" * (1 << 17))

    def sync(self):
        pass

    def close(self):
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


def test_a_sink_that_fails_is_tried_again_and_says_why(bus, tmp_path, caplog):
    (tmp_path / "here").write_text("a file where a directory should be")
    bus.configure(jsonl_path=tmp_path / "here" / "a.jsonl")
    log(bus, 1)
    assert not bus.flush(0.5)
    (sink,) = bus.stats().sinks
    assert (sink.written, sink.waiting) == (0, 1)
    assert "NotADirectoryError" in sink.error or "FileExistsError" in sink.error
    assert "the audit sink jsonl does not take events" in caplog.text
    (tmp_path / "here").unlink()
    assert bus.flush(5.0)
    assert bus.stats().sinks[0].error == ""
    assert len(list(JsonlFile(tmp_path / "here" / "a.jsonl"))) == 1


def test_many_threads_lose_nothing(bus, tmp_path):
    bus.configure(max_size=20_000, jsonl_path=tmp_path / "a.jsonl")
    threads = [threading.Thread(target=lambda: [log(bus, n) for n in range(1000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bus.flush(10.0)
    kept = list(JsonlFile(tmp_path / "a.jsonl"))
    assert len({event.id for event in kept}) == len(kept) == 8000


async def test_a_loop_can_wait_for_the_sinks(bus, tmp_path):
    bus.configure(jsonl_path=tmp_path / "a.jsonl")
    log(bus, 1)
    assert await bus.aflush()
    assert len(list(JsonlFile(tmp_path / "a.jsonl"))) == 1


def test_a_process_that_ends_by_itself_loses_nothing(tmp_path):
    script = """
import sys
from aione.audit import audit_bus
audit_bus.configure(jsonl_path=sys.argv[1])
for number in range(3000):
    audit_bus.log_metrics("stage1", "X", "1m", burst=number)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.jsonl")], check=True)
    assert [event.payload["burst"] for event in JsonlFile(tmp_path / "a.jsonl")] == list(range(3000))


def test_a_forked_child_writes_its_own_events_under_its_own_name(tmp_path):
    script = """
import os, sys
from aione.audit import audit_bus
audit_bus.configure(jsonl_path=sys.argv[1])
audit_bus.log_metrics("s", "PARENT", "1m")
audit_bus.flush()
child = os.fork()
audit_bus.log_metrics("s", "CHILD" if child == 0 else "PARENT", "1m")
assert audit_bus.flush()
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.jsonl")], check=True)
    kept = list(JsonlFile(tmp_path / "a.jsonl"))
    assert sorted(event.symbol for event in kept) == ["CHILD", "PARENT", "PARENT"]
    assert len({event.id for event in kept}) == 3


def test_frames_and_exports_hold_what_is_held(bus, tmp_path):
    log(bus, 1, by={"up": 0.5, "none": {}})
    bus.log_metrics("qde", "ETHUSDT", "1m", kind="decision", tags=("new", "long"), rr=1.7)
    frame = bus.to_frame()
    assert list(frame.columns) == [
        "ts", "stage", "kind", "symbol", "timeframe", "tags", "p_burst", "p_by.up", "p_by.none", "p_rr",
    ]  # fmt: skip
    assert frame["tags"].tolist() == ["", "new,long"]
    assert [path.name for path in bus.auto_export(tmp_path / "csv")] == ["qde_decision.csv", "stage1_metrics.csv"]
    (path,) = bus.export_parquet(tmp_path / "parquet")
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    assert path.parent.name == f"day={day}"
    rows = duckdb.sql(
        f"select stage, symbol, payload from '{tmp_path}/parquet/*/*.parquet' order by ts, stage"
    ).fetchall()
    assert sorted(row[:2] for row in rows) == [("qde", "ETHUSDT"), ("stage1", "BTCUSDT")]
    assert AuditBus().to_frame().columns.tolist() == ["ts", "stage", "kind", "symbol", "timeframe", "tags"]


def test_an_export_replaces_or_goes_on(bus, tmp_path):
    log(bus, 1)
    for _ in range(2):
        bus.export_jsonl(tmp_path / "x.jsonl", append=True)
    assert len(list(JsonlFile(tmp_path / "x.jsonl"))) == 2
    bus.export_jsonl(tmp_path / "x.jsonl")
    assert len(list(JsonlFile(tmp_path / "x.jsonl"))) == 1
