"""``aione audit``: what was decided, when, of which symbol and why."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import redis
from rich.table import Table
from rich.text import Text

from aione.audit.jsonl import files_of
from aione.audit.query import Answer, Query, look
from aione.audit.record import AuditEvent, flat
from aione.errors import InvalidInput, ServiceUnavailable
from aione.run.home import audit_file, home_directory, running_addresses
from aione.run.market import parse_moment

_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHOWN: Final = 160


def parse_since(text: str, now_ms: int) -> int:
    """Return UTC epoch milliseconds of a moment, or of a stretch before now such as ``90s``, ``15m``, ``2h``, ``3d``.

    Raises
    ------
    InvalidInput
        The text is neither.

    Examples
    --------
    >>> parse_since("2h", 10_000_000), parse_since("2025-05-20T12:00:00Z", 0)
    (2800000, 1747742400000)
    """
    ago = _AGO.fullmatch(text)
    if ago:
        return now_ms - round(float(ago[1]) * _UNIT_MS[ago[2]])
    try:
        return parse_moment(text)
    except InvalidInput as error:
        raise InvalidInput(
            f"expected a moment such as 2025-05-20T12:00:00Z or a stretch such as 15m, 2h, 3d, was {text!r}"
        ) from error


def places(jsonl: Path | None) -> tuple[str | None, Path | None]:
    """Return the Redis and the file to look into: a named file alone, else the running system's and its home's.

    Raises
    ------
    ServiceUnavailable
        No system runs, and its home holds no file.
    """
    if jsonl is not None:
        return None, jsonl
    kept = audit_file(home_directory())
    path = kept if files_of(kept) else None
    try:
        return running_addresses()["REDIS_URL"], path
    except ServiceUnavailable:
        if path is None:
            raise
        return None, path


def ask(query: Query, redis_url: str | None, path: Path | None) -> Answer:
    """Return what Redis and the files hold of what is asked.

    Raises
    ------
    InvalidInput
        There is no such file.
    ServiceUnavailable
        Redis does not answer.
    """
    if path is not None and not path.exists():
        raise InvalidInput(f"there is no audit file {path}")
    if redis_url is None:
        return look(query, path=path)
    with _connected(redis_url) as client:
        return look(query, client=client, path=path)


@contextmanager
def _connected(url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(url, socket_timeout=5.0, socket_connect_timeout=5.0)
    try:
        yield client
    except redis.RedisError as error:
        raise ServiceUnavailable(f"reading the audit: Redis does not answer: {error}") from error
    finally:
        client.close()


# ── Forms ──


def as_json(answer: Answer) -> str:
    """Return the events and what could not be read as one JSON object."""
    events = [event._asdict() for event in answer.events]
    facts = {"events": events, "matched": answer.matched, "unreadable": answer.unreadable}
    return orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode()


def as_csv(answer: Answer) -> str:
    """Return the events as CSV: payload keys are columns that begin with ``p_``."""
    rows = [event.row() for event in answer.events]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or [*AuditEvent._fields[1:-1]]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_table(answer: Answer) -> Table:
    """Return the events as a table for a person, newest last."""
    shown, unreadable = len(answer.events), answer.unreadable
    caption = f"{shown} of {answer.matched} events"
    if unreadable:
        caption += f"; {unreadable} entries could not be read"
    table = Table(caption=caption, box=None, pad_edge=False, header_style="bold")
    for name in ("time (UTC)", "stage", "kind", "symbol", "what"):
        table.add_column(name, overflow="fold", no_wrap=name != "what")
    for event in answer.events:
        cells = (_moment(event.ts), event.stage, event.kind, event.symbol, _what(event))
        table.add_row(*map(Text, cells))  # as they are: a text in brackets is no markup
    return table


def _moment(ts: int) -> str:
    try:
        return datetime.fromtimestamp(ts / 1000, UTC).strftime("%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(ts)  # another unit than milliseconds


def _what(event: AuditEvent) -> str:
    text = "  ".join(f"{key}={_short(value)}" for key, value in flat(event.payload) if value is not None)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ",".join(map(_short, value))
    return str(value)


__all__ = ["as_csv", "as_json", "as_table", "ask", "parse_since", "places"]
