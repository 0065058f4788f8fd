"""A child's output is kept, its end is noticed, and it does not outlive its parent."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aione.errors import ServiceUnavailable
from aione.run.process import Child, free_port


def child(tmp_path, code):
    return Child("part", [sys.executable, "-c", code], os.environ, tmp_path / "part.log", tmp_path)


async def never():
    return False


async def test_output_goes_to_the_log(tmp_path):
    part = child(tmp_path, "print('first'); print('last words')")
    await part.start()
    assert await part.finished() == 0
    assert part.last_words() == "last words"


async def test_a_part_that_ends_before_it_is_ready_is_reported_with_its_last_words(tmp_path):
    part = child(tmp_path, "raise SystemExit('the port is taken')")
    await part.start()
    with pytest.raises(ServiceUnavailable, match=r"part ended with status 1: the port is taken"):
        await part.ready(never, 30.0)


async def test_a_part_that_is_never_ready_is_given_up(tmp_path):
    part = child(tmp_path, "import time; print('thinking', flush=True); time.sleep(60)")
    await part.start()
    with pytest.raises(ServiceUnavailable, match="was not ready after 0 s"):
        await part.ready(never, 0.3)
    await part.stop()
    assert not part.is_alive


async def test_a_part_that_ignores_the_request_is_ended_by_force(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    part = child(tmp_path, code)
    await part.start()
    while part.last_words() != "deaf":  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await part.stop(grace_s=0.3)
    assert part.returncode == -signal.SIGKILL


PARENT = """
import asyncio, os, sys
from pathlib import Path
from aione.run.process import Child
async def main():
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    part = Child("part", command, os.environ, Path(sys.argv[1]), Path.cwd())
    await part.start()
    print(part._process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)


def _runs(pid):
    """A zombie that nobody has waited for yet has ended all the same."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_free_ports_can_be_bound():
    assert 1024 < free_port() < 65536
