"""How a flow run is asked for: a request with environment, directory and the three standard files, then numbers.

```text
asker                              warm process
request, three files  ──────────►
                      ◄──────────  READY, or COLD: it must not be run warm
GO                    ──────────►  from here on the asker never runs it itself
                      ◄──────────  the fork's process number, or COLD: nothing was begun
a signal's number     ──────────►  is passed on
                      ◄──────────  the exit status
```

Standard library alone: the command that a worker starts for each run imports this and nothing heavier.
"""

from __future__ import annotations

import array
import hashlib
import json
import os
import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

FLOW_RUN_ID: Final = "PREFECT__FLOW_RUN_ID"
STANDARD_FILES: Final = (0, 1, 2)
MOST_PATH_BYTES: Final = 100
"""A longer path does not fit into a Unix socket's address."""
MOST_REQUEST_BYTES: Final = 1 << 22
COLD: Final = -1
READY: Final = 0
GO: Final = 1

_LENGTH: Final = struct.Struct("!I")
_NUMBER: Final = struct.Struct("!i")
_PEER: Final = struct.Struct("3i")


class Request(NamedTuple):
    """What a run is to be executed with; ``files`` are open descriptors that the receiver owns."""

    environ: dict[str, str]
    directory: str
    files: list[int]

    @property
    def run_id(self) -> str:
        """Return the flow run's id."""
        return self.environ.get(FLOW_RUN_ID, "of no name")

    def close(self) -> None:
        """Close the files."""
        for file in self.files:
            os.close(file)


def socket_path() -> Path:
    """Return where the warm process listens: in ``AIONE_HOME``, or under a short name where that is too long."""
    home = Path(os.environ.get("AIONE_HOME") or Path.home() / ".local" / "state" / "aione").expanduser().resolve()
    path = home / "flows.sock"
    if len(os.fsencode(path)) <= MOST_PATH_BYTES:
        return path
    name = hashlib.blake2b(os.fsencode(home), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"aione-{os.getuid()}" / f"{name}.sock"


def is_own_peer(connection: socket.socket) -> bool:
    """Return whether the process at the other end is of the same user: nobody else gets an environment or runs one."""
    _, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return bool(uid == os.getuid())


def send_request(connection: socket.socket) -> None:
    """Ask for a run with this process's environment, directory and standard files."""
    request = json.dumps({"environ": dict(os.environ), "directory": str(Path.cwd())}).encode()
    files = array.array("i", STANDARD_FILES)
    connection.sendmsg([_LENGTH.pack(len(request))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files.tobytes())])
    connection.sendall(request)


def read_request(connection: socket.socket, within_s: float) -> Request:
    """Return a request.

    Raises
    ------
    OSError, EOFError, ValueError
        It did not come in time, or whole, or is none; its files are closed.
    """
    deadline = time.monotonic() + within_s
    connection.settimeout(within_s)
    header, files, _, _ = socket.recv_fds(connection, _LENGTH.size, len(STANDARD_FILES))
    try:
        told = _told(connection, header, len(files), deadline)
    except BaseException:
        for file in files:
            os.close(file)
        raise
    return Request(told["environ"], told["directory"], files)


def _told(connection: socket.socket, header: bytes, files: int, deadline: float) -> dict[str, Any]:
    if len(header) != _LENGTH.size or files != len(STANDARD_FILES):
        raise EOFError(f"a request begins with {_LENGTH.size} bytes and {len(STANDARD_FILES)} files")
    (size,) = _LENGTH.unpack(header)
    if size > MOST_REQUEST_BYTES:
        raise ValueError(f"a request has at most {MOST_REQUEST_BYTES} bytes, was to have {size}")
    told = json.loads(read_exactly(connection, size, deadline))
    is_one = isinstance(told, dict) and isinstance(told.get("directory"), str) and isinstance(told.get("environ"), dict)
    if not is_one or not all(isinstance(value, str) for value in told["environ"].values()):
        raise ValueError("a request is an object with environ and directory")
    return dict(told)


def send_number(connection: socket.socket, number: int) -> None:
    """Send a number of the protocol."""
    connection.sendall(_NUMBER.pack(number))


def read_number(connection: socket.socket) -> int:
    """Return a number that `send_number` sent; `EOFError` where the other side is gone."""
    return int(_NUMBER.unpack(read_exactly(connection, _NUMBER.size))[0])


def read_exactly(connection: socket.socket, count: int, deadline: float | None = None) -> bytes:
    """Return so many bytes; `EOFError` where fewer come, `TimeoutError` after ``deadline`` of the monotonic clock."""
    parts = bytearray()
    while len(parts) < count:
        if deadline is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"expected {count} bytes, {len(parts)} came in time")
            connection.settimeout(left_s)
        part = connection.recv(min(count - len(parts), 1 << 16))
        if not part:
            raise EOFError(f"expected {count} bytes, {len(parts)} came")
        parts += part
    return bytes(parts)


__all__ = [
    "COLD",
    "FLOW_RUN_ID",
    "GO",
    "READY",
    "STANDARD_FILES",
    "Request",
    "is_own_peer",
    "read_number",
    "read_request",
    "send_number",
    "send_request",
    "socket_path",
]
