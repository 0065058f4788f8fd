"""Logging, set up in one place: one line a record, to standard error, at ``LOG_LEVEL``."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from aione.errors import InvalidInput


def set_up_logging(environ: Mapping[str, str] | None = None) -> None:
    """Send records of level ``LOG_LEVEL`` (INFO by default) and above to standard error; once a process.

    Raises
    ------
    InvalidInput
        ``LOG_LEVEL`` names no level.
    """
    environ = os.environ if environ is None else environ
    name = environ.get("LOG_LEVEL", "INFO").upper()
    level = logging.getLevelNamesMapping().get(name)
    if level is None:
        raise InvalidInput(f"LOG_LEVEL must be one of {sorted(logging.getLevelNamesMapping())}, was {name!r}")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True)
    for chatty in ("httpx", "picows"):  # a line for every request and every connection
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


__all__ = ["set_up_logging"]
