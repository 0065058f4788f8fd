"""`WarmServer`: takes requests for flow runs, forks a process for each, and watches over it."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from aione.errors import AlreadyRunning, InvalidInput
from deployments.warm.fork import SIGNALS, become_run
from deployments.warm.wire import COLD, GO, READY, Request, is_own_peer, read_number, read_request, send_number

READ_WITHIN_S: Final = 1.0
"""A request comes whole within this, or not at all; everybody else waits meanwhile."""
DRAIN_S: Final = 95.0
"""So long may the runs go on after `WarmServer.stop`; a screening may take 90 s."""

log = logging.getLogger("aione.warm")


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
        Where it listens. A socket that a dead process has left there is replaced.
    refusal : callable
        Returns why a request must not be run warm, empty when it may.

    Raises
    ------
    AlreadyRunning
        Another process listens there.
    InvalidInput
        The directory is open to others, or this system has no process files (Linux has).
    """

    def __init__(self, path: Path, refusal: Callable[[Request], str]) -> None:
        _check_system()
        self.path = path
        self._refusal = refusal
        self._lock = _locked(path)
        self._selector = selectors.DefaultSelector()
        self._runs: dict[int, _Run] = {}
        self._waiting: dict[socket.socket, Request] = {}
        self._asked_to_stop = 0
        self._listener = _listening(path)
        self._wake, self._waking = socket.socketpair()
        self._wake.setblocking(False)
        self._waking.setblocking(False)
        signal.set_wakeup_fd(self._waking.fileno())

    @property
    def is_idle(self) -> bool:
        """Return whether there is neither a run nor somebody who may ask for one in a moment."""
        return not self._runs and not self._waiting

    def stop(self) -> None:
        """Take no more requests, and end `serve` with the last run or after `DRAIN_S`; the second time at once.

        Safe in a signal handler.
        """
        self._asked_to_stop += 1

    def serve(self, after_each: Callable[[], None]) -> None:
        """Answer requests until `stop`; ``after_each`` is called whenever something has happened."""
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake, selectors.EVENT_READ, lambda: self._wake.recv(4096))
        while not self._asked_to_stop:
            self._step(None)
            after_each()
        self._drain()

    def _step(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            try:
                key.data()
            except Exception:
                log.exception("a request could not be dealt with")

    def _drain(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for connection in [*self._waiting]:
            self._forget(connection)
        deadline = time.monotonic() + DRAIN_S
        while self._runs and self._asked_to_stop < 2 and time.monotonic() < deadline:
            self._step(1.0)
        for run in [*self._runs.values()]:
            _kill(run.pid)
            self._reap(run)

    # ── Requests ──

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # such as too many open files: it does not get better by asking at once
            log.warning("a request could not be accepted: %s", error)
            time.sleep(0.1)
            return
        try:
            if not is_own_peer(connection):
                raise PermissionError("the asker is another user")
            request = read_request(connection, READ_WITHIN_S)
        except (OSError, EOFError, ValueError) as error:
            log.warning("a request was not taken: %s", error)
            connection.close()
            return
        refusal = self._refusal(request)
        if refusal:
            log.info("flow run %s starts cold: %s", request.run_id, refusal)
        self._waiting[connection] = request
        try:
            send_number(connection, COLD if refusal else READY)
        except OSError:
            refusal = "gone"
        if refusal:
            self._forget(connection, is_registered=False)
        else:
            self._selector.register(connection, selectors.EVENT_READ, partial(self._go, connection))

    def _forget(self, connection: socket.socket, *, is_registered: bool = True) -> None:
        if is_registered:
            self._selector.unregister(connection)
        self._waiting.pop(connection).close()
        connection.close()

    def _go(self, connection: socket.socket) -> None:
        """Begin a run whose asker is still there, and has promised not to begin it itself."""
        if connection not in self._waiting:
            return
        try:
            is_wanted = read_number(connection) == GO
        except (OSError, EOFError):
            is_wanted = False
        if not is_wanted:
            self._forget(connection)
            return
        self._selector.unregister(connection)
        request = self._waiting.pop(connection)
        try:
            run = self._fork(connection, request)
        except OSError as error:
            log.warning("flow run %s could not be forked: %s", request.run_id, error)
            with contextlib.suppress(OSError):
                send_number(connection, COLD)
            connection.close()
        else:
            connection.settimeout(None)
            self._runs[run.ended] = run
            self._selector.register(run.ended, selectors.EVENT_READ, partial(self._reap, run))
            self._selector.register(connection, selectors.EVENT_READ, partial(self._listen, run))
            with contextlib.suppress(OSError):  # the asker is gone: the next look at its connection ends the fork
                send_number(connection, run.pid)
        finally:
            request.close()

    def _fork(self, connection: socket.socket, request: Request) -> _Run:
        """Fork; after an error no fork is left."""
        sys.stdout.flush()
        sys.stderr.flush()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                become_run(request, partial(self._let_go, connection))
            with contextlib.suppress(OSError):  # it has done so itself
                os.setpgid(pid, pid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            ended = os.pidfd_open(pid)
        except OSError:
            _kill(pid)
            os.waitpid(pid, 0)
            raise
        return _Run(connection, pid, ended, request.run_id)

    def _let_go(self, connection: socket.socket) -> None:
        """Close in the fork what is the server's alone."""
        for run in self._runs.values():
            run.connection.close()
            os.close(run.ended)
        for other, request in self._waiting.items():
            other.close()
            request.close()
        for part in (connection, self._listener, self._wake, self._waking, self._selector, self._lock):
            part.close()

    # ── Runs ──

    def _listen(self, run: _Run) -> None:
        """Pass on a signal; an asker that is gone takes its fork with it."""
        if run.ended not in self._runs:
            return
        try:
            number = read_number(run.connection)
        except (OSError, EOFError):
            self._selector.unregister(run.connection)
            _kill(run.pid)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pid, number)

    def _reap(self, run: _Run) -> None:
        if self._runs.pop(run.ended, None) is None:
            return
        _, waited = os.waitpid(run.pid, 0)
        self._selector.unregister(run.ended)
        os.close(run.ended)
        with contextlib.suppress(KeyError):
            self._selector.unregister(run.connection)
        with contextlib.suppress(OSError):
            send_number(run.connection, os.waitstatus_to_exitcode(waited))
        run.connection.close()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _check_system() -> None:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        raise InvalidInput(f"this system has no process files, so runs start cold: {error}") from error


def _locked(path: Path) -> socket.socket:
    """Own the place as long as this process lives: a name in the kernel, which goes with it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = path.parent.stat()
    if owner.st_uid != os.getuid():
        raise InvalidInput(f"{path.parent} must be this user's, is of user {owner.st_uid}")
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0aione-warm-{path.parent.stat().st_dev}-{path.parent.stat().st_ino}-{path.name}")
    except OSError as error:
        lock.close()
        raise AlreadyRunning(f"another process already listens on {path}") from error
    return lock


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o077)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


__all__ = ["DRAIN_S", "WarmServer"]
