"""What a killed system left is found by its mark, and nothing else is touched."""

import os
import subprocess
import sys

from aione.run.leftovers import MARK, end_leftovers

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def started(home):
    process = subprocess.Popen(
        SLEEP, env={**os.environ, MARK: str(home)}, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout.readline() == b"up\n"
    return process


def test_parts_of_this_home_end_and_those_of_another_go_on(tmp_path):
    mine, other = started(tmp_path / "mine"), started(tmp_path / "mine2")
    try:
        assert end_leftovers(tmp_path / "mine") == [mine.pid]
        assert mine.wait(5) == -9
        assert other.poll() is None
    finally:
        for process in (mine, other):
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_home_without_leftovers_has_none(tmp_path):
    assert end_leftovers(tmp_path) == []
