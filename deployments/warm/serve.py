"""``python -m deployments.warm.serve``: the process that flow runs are forked off.

1. Import Prefect's engine, the flows and all they need; load every compiled kernel; start no thread.
2. Wait for requests (`deployments.warm.wire`). For each: fork, and tell the asker the fork's number.
3. The fork takes over environment, directory and standard files, and executes the run as ``python -m prefect.engine``
   does, in a fresh event loop with connections of its own; it shares nothing with the others but memory that none of
   them writes to.
4. When a fork ends, its asker is told how. When an asker goes away, its fork is killed.
5. A request whose Prefect settings are not this process's, or that comes after a source file was changed, is answered
   with "start it cold"; after a change this process then begins anew.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import logging
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from aione.run.process import die_with_parent
from deployments.warm.wire import COLD, FLOW_RUN_ID, STANDARD_FILES, read_number, read_request, send_number, socket_path

PROJECT: Final = Path(__file__).resolve().parents[2]
IMPORTED: Final = (
    "prefect.main",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.client.orchestration",
    "prefect.client.subscriptions",
    "prefect.deployments.steps.core",
    "prefect.deployments.steps.pull",
    "prefect.events.clients",
    "prefect.events.worker",
    "prefect.logging.handlers",
    "prefect._internal.metrics",
)
SOURCES: Final = ("aione", "blocks", "config", "deployments", "flows", "tasks")
READ_WITHIN_S: Final = 2.0

log = logging.getLogger("aione.warm")


def main() -> int:
    """Serve until SIGTERM or SIGINT; the forks that still run then are killed."""
    warm_up()
    set_up_logging()
    server = WarmServer(socket_path())
    log.info("warm: %d modules, %d threads, listening on %s", len(sys.modules), threading.active_count(), server.path)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    server.serve()
    return 0


def set_up_logging() -> None:
    """Log to standard error, this process's own lines alone: the logging of Prefect, set up by now, is the forks'."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s | %(levelname)s | %(name)s - %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def warm_up() -> None:
    """Do step 1 of the module."""
    for name in (*IMPORTED, *(f"flows.{path.stem}" for path in (PROJECT / "flows").glob("*.py"))):
        importlib.import_module(name)
    importlib.import_module("aione.run.warm_up").compile_kernels()
    gc.collect()
    gc.freeze()  # the forks' collectors leave these objects, and so the memory that they share, alone


def settings_as_told() -> dict[str, str]:
    """Return this process's settings of Prefect as a worker tells them to its runs."""
    settings = importlib.import_module("prefect.settings").get_current_settings()
    told: dict[str, str] = settings.to_environment_variables(exclude_unset=True)
    return told


def newest_change() -> int:
    """Return when a source file of the project was last changed, in nanoseconds."""
    return max(path.stat().st_mtime_ns for name in SOURCES for path in (PROJECT / name).rglob("*.py"))


def prefect_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what Prefect reads when it is imported; ``PREFECT__...`` names the single run and is read in the fork."""
    names = [name for name in environ if name.startswith("PREFECT_") and not name.startswith("PREFECT__")]
    return {name: environ[name] for name in names}


def other_settings(mine: Mapping[str, str], as_told: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return the names of the variables in which a run's settings of Prefect differ from this process's.

    ``as_told`` are this process's as a worker tells them to its runs: more than in the environment, spelt otherwise.

    Examples
    --------
    >>> mine = {"PREFECT_CLI_COLORS": "false"}
    >>> as_told = {"PREFECT_CLI_COLORS": "False", "PREFECT_SERVER_EPHEMERAL_ENABLED": "True"}
    >>> other_settings(mine, as_told, mine), other_settings(mine, as_told, as_told)
    ([], [])
    >>> other_settings(mine, as_told, {"PREFECT_LOGGING_LEVEL": "DEBUG"})
    ['PREFECT_CLI_COLORS', 'PREFECT_LOGGING_LEVEL']
    """
    lacking = mine.keys() - theirs.keys()
    differing = {name for name, value in theirs.items() if value not in {mine.get(name), as_told.get(name)}}
    return sorted(lacking | differing)


@dataclass(frozen=True, slots=True)
class _Run:
    """A fork: who asked for it, and the file that tells of its end."""

    connection: socket.socket
    pid: int
    ended: int
    run_id: str


class WarmServer:
    """Forks a process for each request.

    Parameters
    ----------
    path : Path
        Where it listens. A socket that another process has left there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed = newest_change()
        self._settings = prefect_variables(os.environ)
        self._as_told = settings_as_told()
        self._selector = selectors.DefaultSelector()
        self._runs: dict[int, _Run] = {}
        self._is_stopping = self._is_stale = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        old = os.umask(0o077)
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(old)
        self._listener.listen(64)
        self._wake, waking = socket.socketpair()
        self._wake.setblocking(False)
        waking.setblocking(False)
        signal.set_wakeup_fd(waking.fileno())
        self._waking = waking

    def stop(self) -> None:
        """End `serve`; safe in a signal handler."""
        self._is_stopping = True

    def serve(self) -> None:
        """Answer requests until `stop`; returns when every fork has been ended."""
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
        while not self._is_stopping:
            for key, _ in self._selector.select():
                key.data(key.fileobj)
            if self._is_stale and not self._runs:
                self._begin_anew()
        self.path.unlink(missing_ok=True)
        for run in [*self._runs.values()]:
            self._kill(run)
            self._reap(run.ended)

    # ── Requests ──

    def _woken(self, wake: socket.socket) -> None:
        wake.recv(4096)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(READ_WITHIN_S)
        try:
            environ, directory, files = read_request(connection)
        except (OSError, EOFError, ValueError) as error:
            log.warning("a request was not understood: %s", error)
            connection.close()
            return
        try:
            refusal = self._refusal(environ)
            if refusal:
                log.info("flow run %s starts cold: %s", environ.get(FLOW_RUN_ID), refusal)
                send_number(connection, COLD)
                connection.close()
            else:
                self._fork(connection, environ, directory, files)
        except OSError as error:
            log.warning("flow run %s could not be started: %s", environ.get(FLOW_RUN_ID), error)
            connection.close()
        finally:
            for file in files:
                os.close(file)

    def _refusal(self, environ: dict[str, str]) -> str:
        self._is_stale = self._is_stale or newest_change() != self._changed
        if self._is_stale:
            return "the code has changed"
        names = other_settings(self._settings, self._as_told, prefect_variables(environ))
        return f"other settings: {', '.join(names)}" if names else ""

    def _fork(self, connection: socket.socket, environ: dict[str, str], directory: str, files: list[int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            connection.close()
            self._become(environ, directory, files)
        connection.settimeout(None)
        run = _Run(connection, pid, os.pidfd_open(pid), environ.get(FLOW_RUN_ID, ""))
        self._runs[run.ended] = run
        self._selector.register(run.ended, selectors.EVENT_READ, self._reap)
        self._selector.register(connection, selectors.EVENT_READ, lambda _: self._listen(run))
        with contextlib.suppress(OSError):  # the asker is gone: the next look at its connection kills the fork
            send_number(connection, pid)

    # ── Runs ──

    def _listen(self, run: _Run) -> None:
        """Pass on a signal; an asker that is gone takes its fork with it."""
        try:
            number = read_number(run.connection)
        except (OSError, EOFError):
            self._selector.unregister(run.connection)
            self._kill(run)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pid, number)

    def _kill(self, run: _Run) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)

    def _reap(self, ended: int) -> None:
        run = self._runs.pop(ended)
        _, waited = os.waitpid(run.pid, 0)
        self._selector.unregister(ended)
        os.close(ended)
        with contextlib.suppress(KeyError):
            self._selector.unregister(run.connection)
        with contextlib.suppress(OSError):
            send_number(run.connection, os.waitstatus_to_exitcode(waited))
        run.connection.close()

    def _begin_anew(self) -> NoReturn:
        log.info("the code has changed: beginning anew")
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "deployments.warm.serve"])  # noqa: S606  # our own interpreter

    # ── In the fork ──

    def _become(self, environ: dict[str, str], directory: str, files: list[int]) -> NoReturn:
        """Be the flow run's process from here on, to its end."""
        status: Any = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
            os.setpgid(0, 0)
            die_with_parent()
            for target, file in zip(STANDARD_FILES, files, strict=True):
                os.dup2(file, target)
                os.close(file)
            self._let_go()
            os.environ.clear()
            os.environ.update(environ)
            os.chdir(directory)
            sys.argv = ["prefect.engine"]
            runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as ending:
            status = ending.code
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
            traceback.print_exc()
        finally:
            _leave(status)

    def _let_go(self) -> None:
        """Close what is the server's alone."""
        for run in self._runs.values():
            run.connection.close()
            os.close(run.ended)
        for part in (self._listener, self._wake, self._waking, self._selector):
            part.close()


def _leave(status: Any) -> NoReturn:
    """End as the interpreter does: wait for threads, run what was registered for the end, say the status."""
    try:
        threading._shutdown()  # noqa: SLF001 - what the interpreter calls; a fork must not run the rest of its end
        atexit._run_exitfuncs()  # noqa: SLF001 - likewise
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


if __name__ == "__main__":
    sys.exit(main())
