"""A file that several processes write and a crash leaves readable."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from aione.audit.jsonl import JsonlFile, JsonlSink, files_of
from aione.audit.record import AuditEvent

WRITER = """
import sys
from aione.audit import audit_bus
name, path = sys.argv[1:]
audit_bus.configure(max_size=100_000, jsonl_path=path, jsonl_rotate_mb=0.05, jsonl_keep=500)
number = 0
while True:
    for _ in range(50):
        audit_bus.log_metrics("s", name, "1m", number=number)
        number += 1
    assert audit_bus.flush(10.0)
    print(number, flush=True)
"""


def event(number, text=""):
    return AuditEvent(f"a-{number}", number, "stage1", "metrics", "BTCUSDT", "1m", (), {"number": number, "text": text})


def numbers(file):
    return [found.payload["number"] for found in file]


def test_a_line_whose_writer_died_in_it_is_one_line_lost(tmp_path):
    path = tmp_path / "a.jsonl"
    JsonlSink(path).write([event(1), event(2)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    JsonlSink(path).write([event(3)])
    file = JsonlFile(path)
    assert numbers(file) == [1, 3]
    assert file.unreadable == 1


@pytest.mark.parametrize("line", [b"{}", b"[1]", b"\xff\xfe", b'{"id":1}', b"nonsense"])
def test_what_is_no_event_is_counted_and_the_rest_is_read(tmp_path, line):
    path = tmp_path / "a.jsonl"
    JsonlSink(path).write([event(1)])
    path.write_bytes(path.read_bytes() + line + b"\n\n")
    JsonlSink(path).write([event(2)])
    file = JsonlFile(path)
    assert numbers(file) == [1, 2]
    assert file.unreadable == 1


def test_files_are_put_aside_by_size_and_the_oldest_go(tmp_path):
    path = tmp_path / "logs" / "a.jsonl"
    sink = JsonlSink(path, rotate_mb=0.001, keep=2)
    for number in range(12):
        sink.write([event(number, "x" * 300)])
    assert [one.name for one in files_of(path)] == ["a.jsonl.2", "a.jsonl.1", "a.jsonl"]
    assert all(one.stat().st_size <= 1000 for one in files_of(path))
    kept = numbers(JsonlFile(path))
    assert kept == list(range(12))[-len(kept) :]
    assert len(kept) == 6


def test_a_batch_larger_than_a_file_is_written_all_the_same(tmp_path):
    sink = JsonlSink(tmp_path / "a.jsonl", rotate_mb=0.001)
    sink.write([event(number, "x" * 100) for number in range(50)])
    assert numbers(JsonlFile(tmp_path / "a.jsonl")) == list(range(50))


def test_writers_that_are_killed_leave_what_was_confirmed(tmp_path):
    """Three processes write and rotate one file and are killed in the middle of it."""
    path = tmp_path / "a.jsonl"
    writers = {
        name: subprocess.Popen([sys.executable, "-c", WRITER, name, str(path)], stdout=subprocess.PIPE, text=True)
        for name in ("A", "B", "C")
    }
    confirmed = {}
    for name, writer in writers.items():
        for _ in range(4):
            confirmed[name] = int(writer.stdout.readline())
    time.sleep(0.1)
    for name, writer in writers.items():
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        confirmed[name] = int(rest[-1]) if rest else confirmed[name]
        writer.wait()
        writer.stdout.close()
    file = JsonlFile(path)
    found: dict[str, list[int]] = {}
    for one in file:
        found.setdefault(one.symbol, []).append(one.payload["number"])
    assert len(files_of(path)) > 1, "it has rotated"
    assert file.unreadable <= 3
    for name, number in confirmed.items():
        assert found[name][:number] == list(range(number)), f"{name}: every confirmed event is there once, in order"
