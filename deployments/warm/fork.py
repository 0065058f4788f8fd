"""From a fork of the warm process to a flow run's process: the same that ``python -m prefect.engine`` would be."""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

from aione.run.process import die_with_parent
from deployments.warm.wire import STANDARD_FILES, Request

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""Those that the warm process handles itself; they are blocked while it forks."""


def become_run(request: Request, let_go: Callable[[], None]) -> NoReturn:
    """Be the flow run's process from here on, to its end; called in the fork, with `SIGNALS` blocked.

    ``let_go`` closes what is not the run's.
    """
    status: Any = 1
    try:
        let_go()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.setpgid(0, 0)
        die_with_parent()
        for target, file in zip(STANDARD_FILES, request.files, strict=True):
            os.dup2(file, target)
        request.close()
        os.environ.clear()
        os.environ.update(request.environ)
        os.chdir(request.directory)
        sys.argv = ["prefect.engine"]
        sys.modules.pop("prefect.engine", None)  # it is run as the main program, and imported by nobody after that
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ending:
        status = ending.code
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        traceback.print_exc()
    finally:
        _leave(status)


def _leave(status: Any) -> NoReturn:
    """End as the interpreter does: wait for threads, run what was registered for the end, say the status."""
    try:
        threading._shutdown()  # noqa: SLF001 - what the interpreter calls; a fork must not run the rest of its end
        atexit._run_exitfuncs()  # noqa: SLF001 - likewise
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


__all__ = ["SIGNALS", "become_run"]
