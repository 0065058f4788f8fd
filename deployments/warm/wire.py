"""How a flow run is asked for: one message with its environment, its directory and its three standard files.

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
from pathlib import Path
from typing import Any, Final

FLOW_RUN_ID: Final = "PREFECT__FLOW_RUN_ID"
STANDARD_FILES: Final = (0, 1, 2)
MOST_BYTES: Final = 100
"""A longer path does not fit into a Unix socket's address."""
COLD: Final = -1
"""Told in place of a process's number: the run has to be started cold."""

_LENGTH: Final = struct.Struct("!I")
_STATUS: Final = struct.Struct("!i")


def socket_path() -> Path:
    """Return where the process that forks listens: in ``AIONE_HOME``, or a short name where that is too long."""
    home = Path(os.environ.get("AIONE_HOME") or Path.home() / ".local" / "state" / "aione").expanduser().resolve()
    path = home / "flows.sock"
    if len(os.fsencode(path)) <= MOST_BYTES:
        return path
    name = hashlib.blake2b(os.fsencode(home), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"aione-{os.getuid()}-{name}.sock"


def send_request(connection: socket.socket) -> None:
    """Ask for a run with this process's environment, directory and standard files."""
    request = json.dumps({"environ": dict(os.environ), "directory": str(Path.cwd())}).encode()
    files = array.array("i", STANDARD_FILES)
    connection.sendmsg([_LENGTH.pack(len(request))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files.tobytes())])
    connection.sendall(request)


def read_request(connection: socket.socket) -> tuple[dict[str, str], str, list[int]]:
    """Return environment, directory and the three files of a request.

    Raises
    ------
    EOFError
        The other side went away before all of it had come.
    """
    header, files, _, _ = socket.recv_fds(connection, _LENGTH.size, len(STANDARD_FILES))
    try:
        request = _request(connection, header, len(files))
    except BaseException:
        for file in files:
            os.close(file)
        raise
    return request["environ"], request["directory"], files


def _request(connection: socket.socket, header: bytes, files: int) -> dict[str, Any]:
    if len(header) != _LENGTH.size or files != len(STANDARD_FILES):
        raise EOFError(f"a request begins with {_LENGTH.size} bytes and {len(STANDARD_FILES)} files")
    request: dict[str, Any] = json.loads(read_exactly(connection, _LENGTH.unpack(header)[0]))
    return request


def send_number(connection: socket.socket, number: int) -> None:
    """Send a number: which signal, which process, which exit status."""
    connection.sendall(_STATUS.pack(number))


def read_number(connection: socket.socket) -> int:
    """Return a number that `send_number` sent; `EOFError` where the other side is gone."""
    return int(_STATUS.unpack(read_exactly(connection, _STATUS.size))[0])


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes; `EOFError` where fewer come."""
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise EOFError(f"expected {count} bytes, {len(parts)} came")
        parts += part
    return bytes(parts)


__all__ = [
    "COLD",
    "FLOW_RUN_ID",
    "STANDARD_FILES",
    "read_number",
    "read_request",
    "send_number",
    "send_request",
    "socket_path",
]
