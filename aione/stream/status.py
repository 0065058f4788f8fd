"""What the worker says of itself, once a second: a hash for `aione doctor`, and the metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import orjson

from aione.metrics import Metrics
from aione.stream.fleet import Fleet
from aione.venue.stream_track import StreamState

DEAD_AFTER_MS: Final = 10_000
NAMES_SHOWN: Final = 20
TEXT_FIELDS: Final = frozenset({"state", "version"})


def product_version() -> str:
    """Return the installed version, ``source tree`` where nothing is installed."""
    try:
        return version("aione")
    except PackageNotFoundError:
        return "source tree"


def status_fields(
    fleet: Fleet, metrics: Metrics, *, state: str, started_ms: int, now_ms: int, clock_offset_ms: int, metrics_port: int
) -> dict[str, str]:
    """Return the fields of the status hash: `TEXT_FIELDS` as they are, everything else as JSON (`read_status`).

    ``started_ms`` and ``updated_ms`` are this machine's time, the latter tells whether the worker lives (`is_alive`);
    ``clock_offset_ms`` is how far the exchange's clock is ahead of it. ``silent`` names streams that were acknowledged
    or once delivered, and do not deliver. ``last_message_age_ms`` is None before the first message.
    """
    totals = fleet.totals()
    ages = fleet.data_age_s()
    silent = sorted([*fleet.in_state(StreamState.UNPROVEN), *fleet.in_state(StreamState.STALE)])
    fields = {
        "state": state,
        "version": product_version(),
        "pid": os.getpid(),
        "started_ms": started_ms,
        "updated_ms": now_ms,
        "clock_offset_ms": clock_offset_ms,
        "metrics_port": metrics_port,
        "connections": fleet.open_connections(),
        "messages": totals.messages.total(),
        "last_message_age_ms": round(min(ages.values()) * 1000) if ages else None,
        "bars_written": int(metrics.total("aione_bars_written_total")),
        "gaps_healed": int(metrics.total("aione_gaps_healed_total")),
        "reconnects": totals.reconnects,
        "rotations": totals.rotations,
        "dropped": int(metrics.total("aione_dropped_total")),
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
    metrics.add("aione_ws_connections", fleet.open_connections())
    states = fleet.states()
    for state in StreamState:
        metrics.add("aione_streams", states[state.value], state=state.value)
    for kind, age_s in fleet.data_age_s().items():
        metrics.add("aione_data_age_seconds", age_s, kind=kind)


__all__ = ["DEAD_AFTER_MS", "is_alive", "product_version", "read_status", "record_fleet", "status_fields"]
