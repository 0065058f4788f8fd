"""Logs are put aside while a process writes them, and their lines stay."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time

import pytest

from aione.errors import ServiceUnavailable
from aione.housekeeping.logs import _take_out, copies_of, rotate_logs

MB = 1_000_000


def test_a_small_log_and_a_missing_one_stay_as_they_are(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"line\n")
    assert rotate_logs([log, tmp_path / "none.log"], 1.0, 3) == []
    assert log.read_bytes() == b"line\n"


@pytest.fixture
def cutting(monkeypatch):
    """A file system that cannot take blocks out of a file's beginning."""
    monkeypatch.setattr("aione.housekeeping.logs._take_out", lambda *_: False)


@pytest.mark.usefixtures("cutting")
def test_a_large_log_is_packed_and_its_writer_goes_on_in_the_same_file(tmp_path):
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 1999 + b"\n")
        (done,) = rotate_logs([log], 0.001, 3)
        writer.write(b"next\n")
    assert (done.name, done.size) == ("a.log", 2000)
    assert log.read_bytes() == b"next\n"
    assert gzip.decompress(copies_of(log)[0].read_bytes()) == b"x" * 1999 + b"\n"
    assert done.packed == copies_of(log)[0].stat().st_size < 100


@pytest.mark.usefixtures("cutting")
def test_copies_move_up_and_the_oldest_goes(tmp_path):
    log = tmp_path / "a.log"
    for number in range(5):
        log.write_bytes(b"%d" % number * 2000)
        rotate_logs([log], 0.001, 3)
    assert [gzip.decompress(path.read_bytes())[:1] for path in copies_of(log)] == [b"4", b"3", b"2"]


def test_a_dry_run_says_which_and_changes_nothing(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 2000)
    (said,) = rotate_logs([log], 0.001, 3, is_dry=True)
    assert (said.name, said.size, said.packed) == ("a.log", 2000, 0)
    assert list(tmp_path.iterdir()) == [log]


def can_take_out(directory):
    """Whether the file system can take blocks out of a file's beginning."""
    probe = directory / "probe"
    probe.write_bytes(b"x" * 3 * 65_536)
    with probe.open("r+b") as file:
        return _take_out(file.fileno(), 65_536)


def rotated_while_busy(directory):
    """Rotate the log of a process that writes as fast as it can; return the rotations and the lines that are there."""
    log = directory / "busy.log"
    with log.open("ab") as output:
        writer = subprocess.Popen([sys.executable, "-c", BUSY], stdout=output)
    while log.stat().st_size < 2 * MB:
        time.sleep(0.01)
    rotations = 0
    while writer.poll() is None:
        rotations += len(rotate_logs([log], 1.0, 1000))
        time.sleep(0.02)
    text = b"".join(gzip.decompress(path.read_bytes()) for path in reversed(copies_of(log))) + log.read_bytes()
    return rotations, [int(line) for line in text.split() if len(line) == 40]


def test_a_process_that_writes_as_fast_as_it_can_loses_nothing(tmp_path):
    if not can_take_out(tmp_path):
        pytest.skip("this file system cannot take blocks out of a file; the next test is of those")
    rotations, numbers = rotated_while_busy(tmp_path)
    assert rotations >= 3
    assert numbers == [10 * number for number in range(LINES)]


@pytest.mark.usefixtures("cutting")
def test_where_a_log_can_only_be_cut_such_a_process_loses_the_moment_of_the_cut(tmp_path):
    rotations, numbers = rotated_while_busy(tmp_path)
    assert rotations >= 1
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 0.9 * LINES


LINES = 400_000
BUSY = f"""
import os
for number in range({LINES}):
    os.write(1, b"%039d0\\n" % number)
"""


@pytest.mark.usefixtures("cutting")
def test_a_slow_writer_loses_next_to_nothing(tmp_path):
    """A line that comes between the last look and the cut is gone, and a busy machine may stand still just there."""
    log = tmp_path / "slow.log"
    with log.open("ab") as output:
        writer = subprocess.Popen([sys.executable, "-c", SLOW], stdout=output)
    while writer.poll() is None:
        rotate_logs([log], 0.002, 1000)
        time.sleep(0.01)
    text = b"".join(gzip.decompress(path.read_bytes()) for path in reversed(copies_of(log))) + log.read_bytes()
    numbers = [int(line) for line in text.split()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 0.99 * 2000


SLOW = """
import os, time
for number in range(2000):
    os.write(1, b"%d\\n" % number)
    time.sleep(0.0005)
"""


@pytest.mark.usefixtures("cutting")
def test_a_crash_before_the_cut_loses_nothing(tmp_path, monkeypatch):
    log = tmp_path / "a.log"
    log.write_bytes(b"y" * 2000)

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "ftruncate", crash)
    with pytest.raises(KeyboardInterrupt):
        rotate_logs([log], 0.001, 3)
    assert log.read_bytes() == b"y" * 2000
    assert gzip.decompress(copies_of(log)[0].read_bytes()) == b"y" * 2000


def test_two_at_once_rotate_once(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"z" * 2000)
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True);"
        " time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".rotating")], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    assert rotate_logs([log], 0.001, 3) == []
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert len(rotate_logs([log], 0.001, 3)) == 1


def test_a_log_that_cannot_be_put_aside_is_named(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 2000)
    (tmp_path / "a.log.part").mkdir()
    with pytest.raises(ServiceUnavailable, match=r"a\.log cannot be put aside"):
        rotate_logs([log], 0.001, 3)
    assert log.stat().st_size == 2000
