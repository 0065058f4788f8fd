"""A PostgreSQL cluster and a Redis server of our own: real ones, on loopback, thrown away afterwards."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from pathlib import Path

import asyncpg

from aione.run.process import Child

NEEDED = "sh scripts/setup-scale.sh installs it, as root"


def program(name: str) -> str:
    """Return where a program is; Debian keeps PostgreSQL's server, and for some HAProxy, out of PATH."""
    for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))[::-1]:
        if (directory / name).exists():
            return str(directory / name)
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found is not None, f"{name} is missing: {NEEDED}"
    return found


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root: become its user, and still end with the tests."""
    if os.getuid() != 0:
        return []
    return [program("setpriv"), "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL", "--"]


async def make_cluster(directory: Path, password: str) -> None:
    """Run initdb: the user ``prefect``, who must give the password."""
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    secret = directory / "password"
    secret.write_text(password)
    secret.chmod(0o644)
    process = await asyncio.create_subprocess_exec(
        *_as_postgres(),
        program("initdb"),
        *("--pgdata", str(directory / "data"), "--username", "prefect", "--auth", "scram-sha-256"),
        *("--pwfile", str(secret), "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
    )
    said, _ = await process.communicate()
    secret.unlink()
    assert process.returncode == 0, said.decode()


def postgres(directory: Path, port: int, options: list[str], log: Path) -> Child:
    """Return the server of a cluster, with the compose file's options."""
    command = [*_as_postgres(), program("postgres"), "-D", str(directory / "data"), *options]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "unix_socket_directories="]
    return Child("postgres", command, {"PATH": os.environ["PATH"]}, log, directory)


def redis(directory: Path, port: int, options: list[str], log: Path) -> Child:
    """Return a Redis server with the compose file's options."""
    command = [program("redis-server"), *options, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    return Child("redis", command, {"PATH": os.environ["PATH"]}, log, directory)


async def answers(port: int, password: str, database: str = "postgres") -> bool:
    """Return whether PostgreSQL takes a connection."""
    try:
        connection = await connect(port, password, database)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def connect(port: int, password: str, database: str = "prefect") -> asyncpg.Connection:
    """Return a connection to a database of the cluster."""
    return await asyncpg.connect(host="127.0.0.1", port=port, user="prefect", password=password, database=database)
