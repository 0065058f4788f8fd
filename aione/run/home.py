"""The home directory of one installation: where its services keep their data, and who owns it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from aione.errors import AlreadyRunning, InvalidInput, ServiceUnavailable

_ADDRESSES = "addresses.json"


def home_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return ``AIONE_HOME``, else ``~/.local/state/aione``; it is made when missing.

    Raises
    ------
    InvalidInput
        The directory cannot be made or written.
    """
    environ = os.environ if environ is None else environ
    home = Path(environ.get("AIONE_HOME") or Path.home() / ".local" / "state" / "aione").expanduser().resolve()
    try:
        (home / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"AIONE_HOME must be a writable directory, was {home}: {error.strerror}") from error
    return home


def data_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return ``AIONE_DATA_DIR``, where closed history is archived; ``data`` in the home without it."""
    environ = os.environ if environ is None else environ
    named = environ.get("AIONE_DATA_DIR")
    return Path(named).expanduser().resolve() if named else home_directory(environ) / "data"


def audit_file(home: Path) -> Path:
    """Return where the audit of a home is kept on disk."""
    return home / "audit" / "audit.jsonl"


@contextmanager
def owned(home: Path) -> Iterator[None]:
    """Own a home while the block runs; the lock goes with the process, however it ends.

    Raises
    ------
    AlreadyRunning
        Another process owns it; the message names the process and the home.
    """
    with (home / "up.lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(
                f"home {home} is in use by process {lock.read().strip() or 'unknown'}; "
                "stop it, or set AIONE_HOME to another directory"
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def write_addresses(home: Path, addresses: Mapping[str, str]) -> None:
    """Leave the environment of the running system's parts where `read_addresses` finds it."""
    (home / _ADDRESSES).write_bytes(orjson.dumps(dict(addresses)))


def read_addresses(home: Path) -> dict[str, str]:
    """Return where the parts of the system that runs in a home are: REDIS_URL, PREFECT_API_URL, ...

    Raises
    ------
    ServiceUnavailable
        No system runs there.
    """
    try:
        with owned(home):
            raise ServiceUnavailable(f"no system runs in {home}; start one with 'aione up', or set REDIS_URL")
    except AlreadyRunning:
        pass  # as hoped
    try:
        addresses: dict[str, str] = orjson.loads((home / _ADDRESSES).read_bytes())
    except FileNotFoundError as error:
        raise ServiceUnavailable(f"the system in {home} is still starting") from error
    return addresses


def running_addresses() -> dict[str, str]:
    """Return where the parts are: as the environment says, else as the system that runs in the home has left it.

    Raises
    ------
    ServiceUnavailable
        The environment has no ``REDIS_URL`` and no system runs in the home.
    """
    named = {name: os.environ[name] for name in ("REDIS_URL", "PREFECT_API_URL") if os.environ.get(name)}
    return named if "REDIS_URL" in named else {**read_addresses(home_directory()), **named}


def forget_addresses(home: Path) -> None:
    """Remove what `write_addresses` left."""
    (home / _ADDRESSES).unlink(missing_ok=True)


__all__ = [
    "audit_file",
    "data_directory",
    "forget_addresses",
    "home_directory",
    "owned",
    "read_addresses",
    "running_addresses",
    "write_addresses",
]
