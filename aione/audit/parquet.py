"""Events as Parquet by day, which DuckDB, Polars and pandas read as they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
import pyarrow as pa
from pyarrow import parquet

from aione.audit.record import AuditEvent

SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("ts", pa.timestamp("ms", "UTC")),
        ("stage", pa.string()),
        ("kind", pa.string()),
        ("symbol", pa.string()),
        ("timeframe", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("payload", pa.string()),
    ]
)


def write_days(folder: Path, events: Sequence[AuditEvent], name: str) -> list[Path]:
    """Write a file ``day=YYYY-MM-DD/<name>.parquet`` for each UTC day of the events; return their paths."""
    days: dict[str, list[AuditEvent]] = {}
    for event in events:
        days.setdefault(_day(event.ts), []).append(event)
    paths = []
    for day, held in sorted(days.items()):
        path = folder / f"day={day}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        parquet.write_table(_table(held), part)
        part.replace(path)
        paths.append(path)
    return paths


def _day(ts: int) -> str:
    """Return the UTC day; a moment that no calendar has (a wrong unit) is of its first or its last day."""
    try:
        return datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return "0001-01-01" if ts < 0 else "9999-12-31"


def _table(events: Sequence[AuditEvent]) -> pa.Table:
    rows = [{**event._asdict(), "payload": _payload(event)} for event in events]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _payload(event: AuditEvent) -> str:
    return orjson.dumps(orjson.loads(event.to_json())["payload"]).decode()


__all__ = ["SCHEMA", "write_days"]
