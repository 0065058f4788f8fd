"""``python -m deployments.warm.serve``: the process that flow runs are forked off.

1. Import Prefect's engine, the flows and all they need; load every compiled kernel; start no Python thread.
2. Wait for requests (`deployments.warm.wire`). For each: fork, and tell the asker the fork's number.
3. The fork takes over environment, directory and standard files, and executes the run as ``python -m prefect.engine``
   does, in a fresh event loop with connections of its own; it shares nothing with the others but memory that none of
   them writes to.
4. When a fork ends, its asker is told how. When an asker goes away, its fork is killed.
5. A request whose Prefect settings are not this process's, whose directory is not here, or that comes after the code
   was changed, is answered with "start it cold"; after a change this process then begins anew.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
import sysconfig
import threading
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

from aione.errors import AlreadyRunning, InvalidInput
from deployments.warm.fork import SIGNALS
from deployments.warm.server import WarmServer
from deployments.warm.wire import Request, socket_path

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
)
SOURCES: Final = ("aione", "blocks", "config", "deployments", "flows", "tasks")

log = logging.getLogger("aione.warm")


def main() -> int:
    """Serve until SIGTERM or SIGINT, and then until the runs have ended; a second signal kills them."""
    stamp = code_stamp()  # before the imports: what changes during them has changed
    warm_up()
    set_up_logging()
    judge = Judge(stamp)
    try:
        server = WarmServer(socket_path(), judge.refusal)
    except (AlreadyRunning, InvalidInput) as error:
        log.error("%s", error)  # noqa: TRY400 - one line for a person
        return 2
    for number in SIGNALS:
        signal.signal(number, lambda *_: server.stop())
    log.info("warm: %d modules, %d threads, listening on %s", len(sys.modules), threading.active_count(), server.path)
    server.serve(lambda: judge.is_stale and server.is_idle and begin_anew())
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


def begin_anew() -> None:
    """Replace this process by a fresh one with the code as it is now."""
    log.info("the code has changed: beginning anew")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "deployments.warm.serve"])  # noqa: S606  # our own interpreter


def code_stamp() -> str:
    """Return what tells the code that is here from any other: the project's files, and whether packages changed."""
    packages = Path(sysconfig.get_paths()["purelib"])
    files = sorted(path for name in SOURCES for path in (PROJECT / name).rglob("*.py"))
    told = [(str(path), (held := path.stat()).st_mtime_ns, held.st_size) for path in files]
    return blake2b(repr((told, packages.stat().st_mtime_ns)).encode(), digest_size=12).hexdigest()


class Judge:
    """Says which requests may be run warm."""

    def __init__(self, stamp: str) -> None:
        self._stamp = stamp
        self._mine = prefect_variables(os.environ)
        self._as_told = settings_as_told()
        self.is_stale = False

    def refusal(self, request: Request) -> str:
        """Return why a request must be run cold; empty when it may be run warm."""
        self.is_stale = self.is_stale or code_stamp() != self._stamp
        if self.is_stale:
            return "the code has changed"
        if not Path(request.directory).is_dir():
            return f"its directory {request.directory} is not here"
        names = other_settings(self._mine, self._as_told, prefect_variables(request.environ))
        return f"other settings: {', '.join(names)}" if names else ""


def prefect_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what Prefect reads when it is imported; ``PREFECT__...`` names the single run and is read in the fork."""
    names = [name for name in environ if name.startswith("PREFECT_") and not name.startswith("PREFECT__")]
    return {name: environ[name] for name in names}


def settings_as_told() -> dict[str, str]:
    """Return this process's settings of Prefect as a worker tells them to its runs."""
    settings = importlib.import_module("prefect.settings").get_current_settings()
    told: dict[str, str] = settings.to_environment_variables(exclude_unset=True)
    return told


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


if __name__ == "__main__":
    sys.exit(main())
