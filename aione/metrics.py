"""What Prometheus sees of the system: one table of metrics, filled here and by the flows, served by the stream worker.

1. `METRICS` names every metric with its kind, labels and meaning; a sample of any other is refused.
2. A long process keeps a `Metrics` and fills it as it works.
3. A flow is a short process: it hands its `Sample` list to Redis (`push`), where counters and buckets add up.
4. `Metrics.refresh` copies that hash from time to time; a scrape reads the copy and never waits for Redis.
5. `Endpoint` serves both as one exposition.

A field of the hash is JSON, ``["name", ["label value", ...], "part"]``; its value a number. The part is ``""`` for
counters and gauges, ``"le:<bound>"`` or ``"sum"`` for histograms, whose buckets are stored apart and summed on reading.
"""

from __future__ import annotations

import errno
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

import orjson
import redis.asyncio as aioredis
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from aione.errors import AlreadyRunning, InvalidInput
from aione.store import keys
from aione.store.connect import redis_errors

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MINUTES: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, kind, meaning, labels, and the upper bounds of its buckets."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = SECONDS


METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("stage1_cycle_seconds", "histogram", "Time of Stage1 over all symbols, one screening cycle."),
        Metric("stage2_cycle_seconds", "histogram", "Time of Stage2 over all symbols, one screening cycle."),
        Metric("prefilter_elapsed_seconds", "histogram", "Time of one run of the prefilter.", bounds=MINUTES),
        Metric("ws_messages_total", "counter", "WebSocket events received, by kind of stream.", ("kind",)),
        Metric("symbols_filtered_total", "counter", "Symbols dropped by the prefilter, by filter.", ("reason",)),
        Metric("aione_cycle_seconds", "histogram", "From a cycle's scheduled time to its published snapshot."),
        Metric(
            "aione_cycle_late_seconds", "histogram", "From the end of a scheduled minute to its published snapshot."
        ),
        Metric("aione_cycle_drift_seconds", "histogram", "From a cycle's scheduled time to its begin."),
        Metric("aione_minutes_missed_total", "counter", "Minutes that no cycle was published for."),
        Metric("aione_cycles_total", "counter", "Screening cycles, by outcome.", ("outcome",)),
        Metric("aione_published_total", "counter", "Messages published to consumers, by type.", ("type",)),
        Metric("aione_snapshot_seq", "gauge", "Sequence number of the last published message."),
        Metric("aione_symbols", "gauge", "Symbols at each stage: universe, screened, alerted.", ("stage",)),
        Metric("aione_alerts", "gauge", "Symbols in ALERT."),
        Metric("aione_recommendations", "gauge", "Symbols with each recommendation.", ("recommendation",)),
        Metric("aione_open_trades", "gauge", "Open paper trades."),
        Metric("aione_rest_weight_used", "gauge", "Request weight used in the current UTC minute."),
        Metric("aione_bars_written_total", "counter", "Closed bars written to the rings, by finality.", ("finality",)),
        Metric("aione_gaps_healed_total", "counter", "Missing or unconfirmed bars filled by REST.", ("cause",)),
        Metric("aione_ws_reconnects_total", "counter", "WebSocket connections that ended and were opened again."),
        Metric("aione_ws_connections", "gauge", "WebSocket connections that are open."),
        Metric("aione_streams", "gauge", "Streams in each state; only proven ones deliver.", ("state",)),
        Metric("aione_data_age_seconds", "gauge", "Age of the newest event, by kind of stream.", ("kind",)),
        Metric("aione_dropped_total", "counter", "Bars dropped because Redis was away too long."),
        Metric("aione_bars_corrected_total", "counter", "Final bars that the exchange later told differently."),
        Metric("aione_bars_verified_total", "counter", "Streamed bars that were compared with REST."),
        Metric("aione_ws_resubscribed_total", "counter", "Silent streams that were asked for again."),
        Metric("aione_incidents", "gauge", "Open incidents, by kind.", ("kind",)),
        Metric("aione_incidents_total", "counter", "Incidents that began, by kind.", ("kind",)),
        Metric("aione_store_reads_total", "counter", "Symbols asked of a tier.", ("tier", "outcome")),
        Metric("aione_store_pending_bars", "gauge", "Bars that wait for Redis to be back."),
        Metric("aione_store_replayed_total", "counter", "Bars that were written to Redis after it was back."),
        Metric("aione_store_age_seconds", "gauge", "Age of the newest bar, by tier.", ("tier",)),
        Metric("aione_archive_bars_total", "counter", "Bars written to the archive on disk."),
        Metric("aione_context_age_seconds", "gauge", "Median age of the context, by kind.", ("kind",)),
        Metric("aione_ledger_alone", "gauge", "1 while the request budget is this process's own."),
        Metric("aione_events_total", "counter", "Events sent to Prefect, by name.", ("event",)),
        Metric("aione_events_dropped_total", "counter", "Events that Prefect never got, by reason.", ("reason",)),
        Metric("aione_events_waiting", "gauge", "Events that wait for Prefect."),
        Metric("aione_disk_bytes", "gauge", "Bytes that each part takes on disk or in memory.", ("part",)),
        Metric("aione_disk_bound_bytes", "gauge", "Bytes that each part may take.", ("part",)),
        Metric("aione_housekeeping_total", "counter", "Things that the housekeeping has removed or ended.", ("what",)),
        Metric("aione_quarantined", "gauge", "Symbols whose data is not to be trusted."),
        Metric(
            "aione_quarantine_total",
            "counter",
            "Symbols that came into quarantine or left it.",
            ("event", "rule", "by"),
        ),
        Metric("aione_quality_failed_total", "counter", "Rows that the quality suites refused.", ("dataset", "rule")),
        Metric("aione_errors_total", "counter", "Errors survived, by kind.", ("kind",)),
    )
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing measured: counters add ``value``, gauges take it, histograms observe it."""

    name: str
    value: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)


Field: TypeAlias = tuple[str, tuple[str, ...], str]
"""Name, label values in the metric's order, part."""


def _fields(sample: Sample) -> tuple[Metric, list[tuple[Field, float]]]:
    """Return what a sample changes, and by how much.

    Raises
    ------
    InvalidInput
        A name or labels that `METRICS` does not have.
    """
    metric = METRICS.get(sample.name)
    if metric is None:
        raise InvalidInput(f"metric must be one of {sorted(METRICS)}, was {sample.name!r}")
    if set(sample.labels) != set(metric.labels):
        raise InvalidInput(f"{metric.name} has labels {list(metric.labels)}, was given {sorted(sample.labels)}")
    values = tuple(str(sample.labels[label]) for label in metric.labels)
    if metric.kind != "histogram":
        return metric, [((metric.name, values, ""), sample.value)]
    at = bisect_left(metric.bounds, sample.value)
    bound = str(metric.bounds[at]) if at < len(metric.bounds) else "+Inf"
    return metric, [((metric.name, values, f"le:{bound}"), 1.0), ((metric.name, values, "sum"), sample.value)]


# ── Flows: to Redis ──


async def push(redis: aioredis.Redis, samples: Iterable[Sample]) -> None:
    """Add a short process's samples to the hash that the stream worker serves, in one round trip.

    Raises
    ------
    InvalidInput
        A name or labels that `METRICS` does not have; nothing is written.
    ServiceUnavailable
        Redis does not answer.
    """
    changes = [_fields(sample) for sample in samples]
    if not changes:
        return
    with redis_errors("adding metrics"):
        async with redis.pipeline(transaction=True) as pipe:
            for metric, fields in changes:
                for name, value in fields:
                    if metric.kind == "gauge":
                        pipe.hset(keys.flow_metrics(), orjson.dumps(name), repr(float(value)))
                    else:
                        pipe.hincrbyfloat(keys.flow_metrics(), orjson.dumps(name), value)
            await pipe.execute()


def _parsed(raw: Mapping[Any, Any]) -> Iterator[tuple[Field, float]]:
    """Yield the hash's sound fields; one that is not of a known metric is another version's, and skipped."""
    for key, value in raw.items():
        try:
            name, labels, part = orjson.loads(key)
            metric = METRICS[name]
            number = float(value)
        except (ValueError, TypeError, KeyError):
            continue
        if len(labels) == len(metric.labels):
            yield (name, tuple(labels), part), number


# ── The worker: in memory ──


class Metrics:
    """The metrics of this process, and a copy of what flows have pushed.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.add("aione_errors_total", kind="malformed_message")
    >>> metrics.value("aione_errors_total", kind="malformed_message")
    1.0
    """

    def __init__(self) -> None:
        self._own: dict[Field, float] = {}
        self._flows: dict[Field, float] = {}
        self.registry = CollectorRegistry()
        self.registry.register(_TableCollector(self))
        ProcessCollector(registry=self.registry)

    def add(self, name: str, value: float = 1.0, **labels: str) -> None:
        """Take one sample of this process."""
        metric, fields = _fields(Sample(name, value, labels))
        for at, number in fields:
            self._own[at] = number if metric.kind == "gauge" else self._own.get(at, 0.0) + number

    def set_total(self, name: str, total: float, **labels: str) -> None:
        """Set a counter that is counted elsewhere to its present total."""
        _, ((at, _),) = _fields(Sample(name, total, labels))
        self._own[at] = total

    def value(self, name: str, **labels: str) -> float:
        """Return a counter's or gauge's present value, flows' included; 0 when it was never touched."""
        _, ((at, _),) = _fields(Sample(name, 0.0, labels))
        return self.snapshot().get(at, 0.0)

    def rows(self, name: str) -> dict[tuple[str, ...], float]:
        """Return a counter's or gauge's present values by its label values."""
        return {labels: number for (at, labels, _), number in self.snapshot().items() if at == name}

    def total(self, name: str) -> float:
        """Return the sum of a counter or gauge over its labels."""
        return sum(self.rows(name).values())

    async def refresh(self, redis: aioredis.Redis) -> None:
        """Copy what the flows have pushed.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer; the old copy stays.
        """
        with redis_errors("reading metrics"):
            raw = await redis.hgetall(keys.flow_metrics())
        self._flows = dict(_parsed(raw))

    def snapshot(self) -> dict[Field, float]:
        """Return every field: counters and buckets of both sources added, own gauges before the flows'."""
        total = dict(self._flows)
        for at, number in dict(self._own).items():
            total[at] = number if METRICS[at[0]].kind == "gauge" else total.get(at, 0.0) + number
        return total


Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class _TableCollector(Collector):
    """Shows a `Metrics` to prometheus_client; runs on the scrape's thread and reads copies alone."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Family]:
        """Yield every metric of the table; one without samples and labels shows as 0."""
        by_name: dict[str, dict[tuple[str, ...], dict[str, float]]] = {name: {} for name in METRICS}
        for (name, labels, part), number in self._metrics.snapshot().items():
            by_name[name].setdefault(labels, {})[part] = number
        for metric in METRICS.values():
            rows = by_name[metric.name]
            if not rows and not metric.labels and metric.kind != "gauge":
                rows = {(): {}}
            yield _family(metric, rows)


def _family(metric: Metric, rows: Mapping[tuple[str, ...], Mapping[str, float]]) -> Family:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, parts in sorted(rows.items()):
            histogram.add_metric(labels, _cumulative(metric, parts), parts.get("sum", 0.0))
        return histogram
    family: Family
    if metric.kind == "counter":
        family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, parts in sorted(rows.items()):
        family.add_metric(labels, parts.get("", 0.0))
    return family


def _cumulative(metric: Metric, parts: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return (bound, observations at or below it), the last for ``+Inf``."""
    total = 0.0
    buckets = []
    for bound in (*map(str, metric.bounds), "+Inf"):
        total += parts.get(f"le:{bound}", 0.0)
        buckets.append((bound, total))
    return buckets


# ── The endpoint ──


class Endpoint:
    """``http://<host>:<port>/metrics`` for as long as the block lasts.

    Parameters
    ----------
    metrics : Metrics
    port : int
        0 takes a free one; `port` is then the one taken.
    host : str

    Raises
    ------
    AlreadyRunning
        The port is taken (when the block is entered).
    """

    def __init__(self, metrics: Metrics, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self._host = host
        self._metrics = metrics
        self._running: tuple[Any, threading.Thread] | None = None

    def __enter__(self) -> Self:
        try:
            self._running = start_http_server(self.port, self._host, self._metrics.registry)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise AlreadyRunning(
                f"metrics port {self.port} on {self._host} is taken: another stream worker runs, or set METRICS_PORT"
            ) from error
        self.port = int(self._running[0].server_port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            server, thread = self._running
            server.shutdown()
            server.server_close()
            thread.join()


__all__ = ["METRICS", "Endpoint", "Metric", "Metrics", "Sample", "push"]
