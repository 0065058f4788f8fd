"""Flow runs forked off a warm process: the real process, the real command, a small engine in place of Prefect's."""

from __future__ import annotations

import array
import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

SETTINGS = """
class Settings:
    def to_environment_variables(self, exclude_unset):
        return {"PREFECT_CLI_PROMPT": "False"} if exclude_unset else None
get_current_settings = Settings
"""
PROJECT = Path(__file__).resolve().parents[2]
ENGINE = """
import atexit, os, signal, sys, threading, time
what = os.environ["PREFECT__FLOW_RUN_ID"]
atexit.register(print, "registered for the end")
print(what, os.environ.get("AIONE_TEST"), os.getcwd(), sys.modules["__main__"].__name__, flush=True)
print("to the other file", file=sys.stderr)
if what == "status":
    sys.exit(7)
if what == "error":
    raise RuntimeError("of the run")
if what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "threads":
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
if what == "warm":
    print("warm" if "expensive" in sys.modules else "cold")
if what == "sleep":
    signal.signal(signal.SIGTERM, lambda *_: (print("asked to end"), sys.exit(0)))
    print("pid", os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of the same shape with an engine that ends at once; its warm process is this project's."""
    root = tmp_path_factory.mktemp("p")
    shutil.copytree(PROJECT / "deployments" / "warm", root / "deployments" / "warm")
    for package in ("deployments", "prefect", "flows", "aione", "aione/run", "tasks", "blocks", "config"):
        (root / package).mkdir(exist_ok=True)
        (root / package / "__init__.py").touch()
    shutil.copy(PROJECT / "aione" / "errors.py", root / "aione")
    shutil.copy(PROJECT / "aione" / "run" / "process.py", root / "aione" / "run")
    (root / "aione" / "run" / "warm_up.py").write_text("def compile_kernels():\n    import expensive\n")
    (root / "expensive.py").touch()
    (root / "prefect" / "engine.py").write_text(ENGINE)
    (root / "prefect" / "settings.py").write_text(SETTINGS)
    serve = root / "deployments" / "warm" / "serve.py"
    text = serve.read_text()
    begin, end = text.index("IMPORTED: Final = ("), text.index("SOURCES: Final")
    serve.write_text(f"{text[:begin]}IMPORTED: Final = ()\n{text[end:]}")
    return root


def environ(project, home, **more):
    return {**os.environ, "PYTHONPATH": str(project), "AIONE_HOME": str(home), **more}


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.fixture
def server(project, home):
    with (home / "log").open("wb") as log:
        command = [sys.executable, "-m", "deployments.warm.serve"]
        process = subprocess.Popen(command, cwd=project, env=environ(project, home), stdout=log, stderr=log)
        wait_for(lambda: (home / "flows.sock").exists() or process.poll() is not None)
        yield process
        process.terminate()
        process.wait(10)


def run(project, home, what, **more):
    command = [sys.executable, "-m", "deployments.warm.run"]
    env = environ(project, home, PREFECT__FLOW_RUN_ID=what, **more)
    return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def begin(project, home):
    """Start a run that sleeps; the command's process and the run's number."""
    processes = []
    with contextlib.ExitStack() as started:

        def begun():
            command = [sys.executable, "-m", "deployments.warm.run"]
            env = environ(project, home, PREFECT__FLOW_RUN_ID="sleep")
            process = started.enter_context(
                subprocess.Popen(
                    command, cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            )
            processes.append(process)
            process.stdout.readline()
            return process, int(process.stdout.readline().split()[1])

        try:
            yield begun
        finally:
            for process in processes:
                process.kill()


def wait_for(probe, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def log_of(home):
    return (home / "log").read_text()


@pytest.mark.usefixtures("server")
def test_a_run_is_warm_and_has_its_own_environment_directory_and_files(project, home):
    done = run(project, home, "warm", AIONE_TEST="mine")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"warm mine {home} __main__", "warm", "registered for the end"]
    assert done.stderr == "to the other file\n"


def test_without_a_warm_process_it_runs_cold_and_says_so(project, home):
    done = run(project, home, "warm")
    assert (done.returncode, done.stdout.splitlines()[1]) == (0, "cold")
    assert "starting cold" in done.stderr


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("what", "status"), [("status", 7), ("error", 1), ("killed", -9), ("threads", 0)])
def test_the_command_ends_as_the_run_did(project, home, what, status):
    done = run(project, home, what)
    assert done.returncode == status
    assert ("RuntimeError: of the run" in done.stderr) == (what == "error")
    assert ("thread\n" in done.stdout) == (what == "threads")


@pytest.mark.usefixtures("server")
def test_a_request_to_end_reaches_the_run(begin):
    process, pid = begin()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)
    assert out.startswith("asked to end")
    assert process.returncode == 0
    assert not is_alive(pid)


@pytest.mark.usefixtures("server")
def test_a_command_that_is_killed_takes_its_run_with_it_and_no_other(begin):
    first, first_pid = begin()
    second, second_pid = begin()
    first.kill()
    first.wait()
    wait_for(lambda: not is_alive(first_pid))
    assert is_alive(second_pid)
    second.terminate()
    assert second.wait(10) == 0


def test_when_the_warm_process_dies_its_runs_do_and_the_next_run_is_cold(project, home, server, begin):
    process, pid = begin()
    server.kill()
    server.wait()
    assert process.wait(10) == 1
    wait_for(lambda: not is_alive(pid))
    assert "cold" in run(project, home, "warm").stdout


@pytest.mark.usefixtures("server")
def test_other_settings_of_prefect_start_cold(project, home):
    done = run(project, home, "warm", PREFECT_LOGGING_LEVEL="DEBUG")
    assert done.stdout.splitlines()[1] == "cold"
    assert "other settings: PREFECT_LOGGING_LEVEL" in log_of(home)
    assert run(project, home, "warm", PREFECT_CLI_PROMPT="False").stdout.splitlines()[1] == "warm"
    assert run(project, home, "warm").stdout.splitlines()[1] == "warm"


@pytest.mark.usefixtures("server")
def test_changed_code_starts_cold_once_and_the_warm_process_begins_anew(project, home):
    (project / "tasks" / "new.py").write_text("")
    assert run(project, home, "warm").stdout.splitlines()[1] == "cold"
    wait_for(lambda: log_of(home).count("listening on") == 2)
    assert run(project, home, "warm").stdout.splitlines()[1] == "warm"


def test_asked_to_end_it_takes_no_more_runs_and_waits_for_those_that_go_on(project, home, server, begin):
    process, pid = begin()
    server.terminate()
    wait_for(lambda: not (home / "flows.sock").exists())
    assert "cold" in run(project, home, "warm").stdout
    assert is_alive(pid)
    assert server.poll() is None
    process.terminate()
    assert process.wait(10) == 0
    assert server.wait(10) == 0


def test_asked_twice_it_ends_its_runs(server, begin):
    process, pid = begin()
    server.terminate()
    time.sleep(0.3)
    server.terminate()
    assert server.wait(10) == 0
    assert process.wait(10) == -signal.SIGKILL
    assert not is_alive(pid)


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_run_whose_asker_went_cold_or_away_is_not_begun_once_more(project, home, server, is_killed):
    """The warm process stands still meanwhile; what was asked of it then must not be begun when it goes on."""
    os.kill(server.pid, signal.SIGSTOP)
    command = [sys.executable, "-m", "deployments.warm.run"]
    env = environ(project, home, PREFECT__FLOW_RUN_ID="warm")
    with subprocess.Popen(
        command, cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asker:
        time.sleep(1.0)
        if is_killed:
            asker.kill()
        asker.wait(20)
        os.kill(server.pid, signal.SIGCONT)  # it holds the asker's files, as a part of the request, until then
        out, _ = asker.communicate(timeout=20)
    assert out.count("registered for the end") == (0 if is_killed else 1)
    assert run(project, home, "warm").stdout.splitlines()[1] == "warm"
    assert forks_of(server) == []


def test_runs_and_askers_that_end_at_once_leave_the_others_alone(project, home, server, begin):
    started = [begin() for _ in range(4)]
    os.kill(server.pid, signal.SIGSTOP)
    for process, pid in started[:3]:
        os.kill(pid, signal.SIGKILL)
        process.kill()
    os.kill(server.pid, signal.SIGCONT)
    last, pid = started[3]
    assert run(project, home, "warm").stdout.splitlines()[1] == "warm"
    assert is_alive(pid)
    last.terminate()
    assert last.wait(10) == 0


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"environ": [], "directory": "/"}', b'{"environ": {"a": 1}, "directory": ""}']
)
def test_a_request_that_is_none_is_refused_and_hurts_nobody(project, home, body):
    with asked(home, struct.pack("!I", len(body)) + body) as connection:
        assert connection.recv(4) == b""
    assert run(project, home, "warm").stdout.splitlines()[1] == "warm"
    assert "a request was not taken" in log_of(home)


@pytest.mark.usefixtures("server")
def test_a_request_that_comes_slowly_or_is_too_large_is_dropped(project, home):
    with asked(home, struct.pack("!I", 1 << 30)) as connection:
        assert connection.recv(4) == b""
    with asked(home, struct.pack("!I", 1000)) as connection:
        assert connection.recv(4) == b""
    assert run(project, home, "warm").stdout.splitlines()[1] == "warm"


@pytest.mark.usefixtures("server")
def test_a_second_warm_process_of_a_home_ends_and_leaves_the_first_alone(project, home):
    command = [sys.executable, "-m", "deployments.warm.serve"]
    second = subprocess.run(
        command, cwd=project, env=environ(project, home), capture_output=True, text=True, timeout=30, check=False
    )
    assert second.returncode == 2
    assert f"another process already listens on {home / 'flows.sock'}" in second.stderr
    assert run(project, home, "warm").stdout.splitlines()[1] == "warm"


@pytest.mark.usefixtures("server")
def test_a_directory_that_is_not_there_starts_cold(project, home, tmp_path_factory):
    directory = tmp_path_factory.mktemp("gone")
    command = f"rmdir {directory}; exec {sys.executable} -m deployments.warm.run"
    env = environ(project, home, PREFECT__FLOW_RUN_ID="warm")
    done = subprocess.run(["sh", "-c", command], cwd=directory, env=env, capture_output=True, text=True, check=False)
    assert "warm\n" not in done.stdout.partition("\n")[2]


@contextlib.contextmanager
def asked(home, message):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home / "flows.sock"))
        connection.settimeout(5)
        files = array.array("i", [0, 1, 2]).tobytes()
        connection.sendmsg([message[:4]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        connection.sendall(message[4:])
        yield connection


def forks_of(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in children if is_alive(pid)]


@pytest.mark.usefixtures("server")
def test_twenty_runs_at_once_each_end_as_they_should(project, home):
    command = [sys.executable, "-m", "deployments.warm.run"]
    started = [
        subprocess.Popen(
            command,
            cwd=home,
            env=environ(project, home, PREFECT__FLOW_RUN_ID=what),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for what in ["warm", "status"] * 10
    ]
    for process in started:
        process.communicate(timeout=30)
    assert [process.returncode for process in started] == [0, 7] * 10
