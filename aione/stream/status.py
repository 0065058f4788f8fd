"""What the worker says of itself, once a second: a hash for `aione doctor`, and the metrics."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import orjson

from aione.metrics import Metrics
from aione.stream.fleet import Fleet
from aione.stream.shard import Shard
from aione.venue.stream_track import StreamState

DEAD_AFTER_MS: Final = 10_000
NAMES_SHOWN: Final = 20
TEXT_FIELDS: Final = frozenset({"state", "shard", "version"})


@cache
def product_version() -> str:
    """Return the installed version, ``source tree`` where nothing is installed."""
    try:
        return version("aione")
    except PackageNotFoundError:
        return "source tree"


@dataclass(frozen=True, slots=True)
class Said:
    """What a worker knows of itself besides its connections and counts.

    ``started_ms`` and ``now_ms`` are this machine's time, the latter tells whether the worker lives (`is_alive`).
    ``clock_offset_ms`` is how far the exchange's clock is ahead of it. ``behind`` are the symbols that miss bars.
    """

    state: str
    shard: str
    started_ms: int
    now_ms: int
    clock_offset_ms: int
    metrics_port: int
    symbols: int = 0
    behind: Sequence[str] = ()
    incidents: Sequence[str] = ()
    store: Mapping[str, Any] = field(default_factory=dict)


def worker_id(shard: Shard) -> str:
    """Return the name of this process as a worker: its share, host and process."""
    return f"{shard.index}of{shard.of}@{socket.gethostname()}:{os.getpid()}"


def status_fields(fleet: Fleet, metrics: Metrics, said: Said) -> dict[str, str]:
    """Return the fields of the status hash: `TEXT_FIELDS` as they are, everything else as JSON (`read_status`).

    ``silent`` names streams that were acknowledged or once delivered, and do not deliver. ``last_message_age_ms`` is
    None before the first message.
    """
    totals = fleet.totals()
    ages = fleet.data_age_s()
    silent = sorted([*fleet.in_state(StreamState.UNPROVEN), *fleet.in_state(StreamState.STALE)])
    fields = {
        "state": said.state,
        "shard": said.shard,
        "version": product_version(),
        "pid": os.getpid(),
        "started_ms": said.started_ms,
        "updated_ms": said.now_ms,
        "clock_offset_ms": said.clock_offset_ms,
        "metrics_port": said.metrics_port,
        "symbols": said.symbols,
        "connections": fleet.open_connections(),
        "messages": totals.messages.total(),
        "last_message_age_ms": round(min(ages.values()) * 1000) if ages else None,
        "bars_written": int(metrics.total("aione_bars_written_total")),
        "bars_corrected": int(metrics.total("aione_bars_corrected_total")),
        "bars_verified": int(metrics.total("aione_bars_verified_total")),
        "gaps_healed": int(metrics.total("aione_gaps_healed_total")),
        "reconnects": totals.reconnects,
        "resubscribed": totals.resubscribed,
        "rotations": totals.rotations,
        "dropped": int(metrics.total("aione_dropped_total")),
        "behind": len(said.behind),
        "behind_symbols": list(said.behind)[:NAMES_SHOWN],
        "incidents": list(said.incidents),
        "store": dict(said.store),
        "streams": dict(fleet.states()),
        "silent": silent[:NAMES_SHOWN],
        "failures": fleet.failures(),
        "errors": {labels[0]: int(number) for labels, number in metrics.rows("aione_errors_total").items() if number},
    }
    return {name: str(value) if name in TEXT_FIELDS else orjson.dumps(value).decode() for name, value in fields.items()}


def read_status(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a status hash as values.

    Examples
    --------
    >>> read_status({"state": "running", "messages": "12", "streams": '{"proven":3}', "last_message_age_ms": "null"})
    {'state': 'running', 'messages': 12, 'streams': {'proven': 3}, 'last_message_age_ms': None}
    """
    return {name: value if name in TEXT_FIELDS else orjson.loads(value) for name, value in fields.items()}


def is_alive(status: Mapping[str, Any], now_ms: int) -> bool:
    """Return whether a status (`read_status`) is of a worker that runs.

    Examples
    --------
    >>> is_alive({"state": "running", "updated_ms": 1000}, 5_000)
    True
    >>> is_alive({"state": "running", "updated_ms": 1000}, 60_000), is_alive({}, 60_000)
    (False, False)
    """
    return status.get("state") == "running" and now_ms - int(status["updated_ms"]) < DEAD_AFTER_MS


def record_fleet(fleet: Fleet, metrics: Metrics) -> None:
    """Bring the metrics that the connections count up to date."""
    totals = fleet.totals()
    for kind, number in totals.messages.items():
        metrics.set_total("ws_messages_total", number, kind=kind)
    for kind, number in totals.errors.items():
        metrics.set_total("aione_errors_total", number, kind=kind)
    metrics.set_total("aione_ws_reconnects_total", totals.reconnects)
    metrics.set_total("aione_ws_resubscribed_total", totals.resubscribed)
    metrics.add("aione_ws_connections", fleet.open_connections())
    states = fleet.states()
    for state in StreamState:
        metrics.add("aione_streams", states[state.value], state=state.value)
    for kind, age_s in fleet.data_age_s().items():
        metrics.add("aione_data_age_seconds", age_s, kind=kind)


__all__ = [
    "DEAD_AFTER_MS",
    "Said",
    "is_alive",
    "product_version",
    "read_status",
    "record_fleet",
    "status_fields",
    "worker_id",
]
