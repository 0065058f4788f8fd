"""``aione-flow-run``: the command that a process worker starts for a flow run.

1. It asks the warm process (`deployments.warm.serve`) for a fork that executes the run, with its own environment,
   directory and standard files, and becomes its shadow: signals are passed on, the exit status is the run's.
2. Where no warm process of this user answers in time, or it says that it must not (its code or its settings are older),
   the run is executed here, cold, as ``python -m prefect.engine`` would.

A run is begun once: before this process has said GO nobody else begins it, and afterwards this one does not. If this
process is killed, the warm process kills the fork.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from types import FrameType
from typing import Final, NoReturn

from deployments.warm.wire import COLD, GO, READY, is_own_peer, read_number, send_number, send_request, socket_path

PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
WITHIN_S: Final = 5.0
"""So long may the warm process take to say that it is ready."""


def main() -> int:
    """Execute the flow run that ``PREFECT__FLOW_RUN_ID`` names and return its exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # one that comes early waits until there is a run to pass it to
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if _is_ready(connection):
            return _shadow(connection)
    return _cold()


def _is_ready(connection: socket.socket) -> bool:
    try:
        connection.settimeout(WITHIN_S)
        connection.connect(str(socket_path()))
        if not is_own_peer(connection):
            raise PermissionError(f"{socket_path()} is another user's")
        send_request(connection)
        if read_number(connection) != READY:
            raise PermissionError("it does not take this run, and says why in its log")
    except (OSError, EOFError) as error:
        print(f"no warm process: {error}; starting cold", file=sys.stderr)  # noqa: T201  # the run's own log
        return False
    return True


def _cold() -> NoReturn:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    command = [sys.executable, "-m", "prefect.engine"]
    os.execv(command[0], command)  # noqa: S606  # our own interpreter


def _shadow(connection: socket.socket) -> int:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        send_number(connection, number)

    connection.settimeout(None)
    try:
        send_number(connection, GO)
        is_begun = read_number(connection) != COLD
        if is_begun:
            for number in PASSED_ON:
                signal.signal(number, pass_on)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
            return _as_told(read_number(connection))
    except (OSError, EOFError):
        print("the warm process ended during the run", file=sys.stderr)  # noqa: T201  # the run's own log
        return 1
    _cold()


def _as_told(status: int) -> int:
    """Return the run's exit status; a run that a signal ended ends this process by the same."""
    if status < 0:
        if -status in PASSED_ON:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main())
