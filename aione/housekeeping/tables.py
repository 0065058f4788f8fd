"""The three kinds of entries that are archived by day, and the columns that each becomes.

``entry`` is the entry's id in its Redis stream: unique, ascending, and its first number is when it was recorded (UTC
epoch milliseconds, Redis' clock). The day of an entry is the day of that moment, so a day that is over gets no more.
An entry that cannot be read is kept as it is, in its last column, under the kind ``unreadable``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import orjson
import pyarrow as pa
import redis.asyncio as aioredis

from aione.audit.parquet import SCHEMA
from aione.audit.record import AuditEvent
from aione.errors import InvalidInput
from aione.stage3.trade import TradeEvent
from aione.store import keys

Entry: TypeAlias = tuple[bytes, Mapping[bytes, bytes]]
Row: TypeAlias = dict[str, Any]

MOMENT: Final = pa.timestamp("ms", "UTC")
HEAD: Final = [pa.field("entry", pa.string()), pa.field("recorded", MOMENT)]
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its folder, its stream, its columns, and what an entry says in them."""

    name: str
    stream: str
    schema: pa.Schema
    row: Callable[[Mapping[bytes, bytes]], Row]

    def table(self, entries: Sequence[Entry]) -> pa.Table:
        """Return entries as rows, in their order."""
        rows = [{"entry": place.decode(), "recorded": entry_ms(place), **self.row(fields)} for place, fields in entries]
        return pa.Table.from_pylist(rows, schema=self.schema)


def entry_ms(place: bytes | str) -> int:
    """Return when an entry was recorded.

    Examples
    --------
    >>> entry_ms(b"1767225600000-3")
    1767225600000
    """
    text = place.decode() if isinstance(place, bytes) else place
    return int(text.partition("-")[0])


def place_of(text: str) -> tuple[int, int]:
    """Return an entry's id as numbers that compare.

    Examples
    --------
    >>> place_of("12-3") < place_of("12-10") < place_of("100-0")
    True
    """
    ms, _, number = text.partition("-")
    return int(ms), int(number or 0)


def day_of(ms: int) -> str:
    """Return the UTC day of a moment.

    Examples
    --------
    >>> day_of(1767225599999), day_of(1767225600000)
    ('2025-12-31', '2026-01-01')
    """
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def by_day(page: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return entries by the UTC day on which they were recorded, in their order."""
    found: dict[str, list[Entry]] = {}
    for entry in page:
        found.setdefault(day_of(entry_ms(entry[0])), []).append(entry)
    return found


async def stream_info(redis: aioredis.Redis, stream: str) -> dict[str, Any]:
    """Return what Redis says of a stream; nothing where there is none."""
    if not await redis.exists(stream):
        return {}
    info: Any = await redis.xinfo_stream(stream)
    return dict(info)


def _trade(fields: Mapping[bytes, bytes]) -> Row:
    try:
        event = TradeEvent.from_dict(orjson.loads(fields[b"event"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return {"kind": UNREADABLE, "payload": _raw(fields)}
    payload = orjson.dumps(event.payload).decode()
    return {**event.to_dict(), "ts": event.ts_ms, "payload": payload}


def _audit(fields: Mapping[bytes, bytes]) -> Row:
    try:
        event = AuditEvent.from_json(fields[b"e"])
    except (KeyError, InvalidInput):
        return {"kind": UNREADABLE, "payload": _raw(fields)}
    return {**event._asdict(), "payload": orjson.dumps(event.payload).decode()}


def _cycle(fields: Mapping[bytes, bytes]) -> Row:
    try:
        return {"bar_time": int(fields[b"bar_time_ms"]), "cycle": fields[b"cycle"].decode()}
    except (KeyError, ValueError):
        return {"cycle": _raw(fields)}


def _raw(fields: Mapping[bytes, bytes]) -> str:
    return repr(dict(fields))


TRADES: Final = Kind(
    "trades",
    keys.trade_events(),
    pa.schema(
        [
            *HEAD,
            ("ts", MOMENT),
            ("trade_id", pa.string()),
            ("number", pa.int32()),
            ("kind", pa.string()),
            ("payload", pa.string()),
        ]
    ),
    _trade,
)
AUDIT: Final = Kind(
    "audit",
    keys.audit_events(),
    pa.schema([*HEAD, *SCHEMA]),
    _audit,
)
CYCLES: Final = Kind("cycles", keys.cycles(), pa.schema([*HEAD, ("bar_time", MOMENT), ("cycle", pa.string())]), _cycle)
KINDS: Final = (TRADES, AUDIT, CYCLES)

__all__ = [
    "AUDIT",
    "CYCLES",
    "KINDS",
    "TRADES",
    "UNREADABLE",
    "Entry",
    "Kind",
    "by_day",
    "day_of",
    "entry_ms",
    "place_of",
    "stream_info",
]
