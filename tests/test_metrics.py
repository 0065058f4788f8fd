"""Metrics: the exposition is what Prometheus expects, flows' samples add up in Redis, the endpoint serves both."""

from __future__ import annotations

import asyncio
import socket
import urllib.request

import pytest
import redis.asyncio as aioredis
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aione.errors import AlreadyRunning, InvalidInput, ServiceUnavailable
from aione.metrics import METRICS, SECONDS, Endpoint, Metrics, Sample, push
from aione.store import keys

FIXED = {
    "stage1_cycle_seconds",
    "stage2_cycle_seconds",
    "ws_messages_total",
    "symbols_filtered_total",
    "prefilter_elapsed_seconds",
}


def exposed(metrics):
    """Return {(sample name, sorted labels): value} as a scrape would read it."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_five_fixed_names_are_there_and_all_others_carry_the_prefix():
    assert {name for name in METRICS if not name.startswith("aione_")} == FIXED
    assert all(metric.name.endswith("_total") == (metric.kind == "counter") for metric in METRICS.values())


def test_a_histogram_is_exposed_as_prometheus_own_would_be():
    values = [0.001, 0.005, 0.0051, 0.3, 7.0, 61.0, 1000.0]
    metrics, registry = Metrics(), CollectorRegistry()
    own = Histogram("stage1_cycle_seconds", "x", buckets=SECONDS, registry=registry)
    for value in values:
        metrics.add("stage1_cycle_seconds", value)
        own.observe(value)
    expected = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    shown = exposed(metrics)
    assert {key: shown[key] for key in expected} == pytest.approx(expected)


def test_a_counter_is_exposed_as_prometheus_own_would_be():
    metrics, registry = Metrics(), CollectorRegistry()
    own = Counter("ws_messages_total", "WebSocket events received, by kind of stream.", ["kind"], registry=registry)
    for kind, times in (("kline", 3), ("bookTicker", 2)):
        metrics.add("ws_messages_total", times, kind=kind)
        own.labels(kind=kind).inc(times)
    lines = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
    text = generate_latest(metrics.registry).decode()
    assert set(lines) <= set(text.splitlines())


def test_what_was_never_sampled_and_has_no_labels_shows_as_zero():
    shown = exposed(Metrics())
    assert shown["stage1_cycle_seconds_count", ()] == 0
    assert shown["aione_ws_reconnects_total", ()] == 0
    assert not any(name == "aione_open_trades" for name, _ in shown)


def test_gauges_take_counters_add_and_totals_are_set():
    metrics = Metrics()
    for value in (5.0, 2.0):
        metrics.add("aione_open_trades", value)
        metrics.add("aione_errors_total", value, kind="x")
        metrics.set_total("aione_ws_reconnects_total", value)
    assert metrics.value("aione_open_trades") == 2.0
    assert metrics.value("aione_errors_total", kind="x") == 7.0
    assert metrics.value("aione_ws_reconnects_total") == 2.0
    assert metrics.value("aione_errors_total", kind="never") == 0.0


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (Sample("stage9_cycle_seconds"), "stage9_cycle_seconds"),
        (Sample("ws_messages_total"), "kind"),
        (Sample("aione_open_trades", 1.0, {"kind": "x"}), "kind"),
    ],
)
async def test_a_sample_that_is_not_in_the_table_is_refused_and_nothing_is_written(redis, sample, says):
    with pytest.raises(InvalidInput, match=says):
        await push(redis, [Sample("aione_open_trades", 1.0), sample])
    assert await redis.exists(keys.flow_metrics()) == 0
    with pytest.raises(InvalidInput, match=says):
        Metrics().add(sample.name, sample.value, **sample.labels)


async def test_samples_of_many_flows_add_up(redis):
    for seconds in (0.2, 0.3, 40.0):
        await push(
            redis,
            [
                Sample("stage1_cycle_seconds", seconds),
                Sample("symbols_filtered_total", 4, {"reason": "volume"}),
                Sample("aione_open_trades", seconds),
            ],
        )
    await push(redis, [])
    metrics = Metrics()
    await metrics.refresh(redis)
    shown = exposed(metrics)
    assert shown["stage1_cycle_seconds_count", ()] == 3
    assert shown["stage1_cycle_seconds_sum", ()] == pytest.approx(40.5)
    assert shown["stage1_cycle_seconds_bucket", (("le", "0.25"),)] == 1
    assert shown["stage1_cycle_seconds_bucket", (("le", "+Inf"),)] == 3
    assert shown["symbols_filtered_total", (("reason", "volume"),)] == 12
    assert shown["aione_open_trades", ()] == 40.0


async def test_own_samples_and_flows_are_one_metric(redis):
    metrics = Metrics()
    metrics.add("aione_errors_total", 2, kind="x")
    metrics.add("aione_open_trades", 1)
    await push(redis, [Sample("aione_errors_total", 3, {"kind": "x"}), Sample("aione_open_trades", 9)])
    await metrics.refresh(redis)
    assert metrics.value("aione_errors_total", kind="x") == 5
    assert metrics.value("aione_open_trades") == 1


async def test_fields_of_another_version_are_passed_over(redis):
    await push(redis, [Sample("aione_open_trades", 3)])
    strange = {b"junk": b"1", b'["gone_total",[],""]': b"1", b'["ws_messages_total",[],""]': b"1",
               b'["aione_alerts",[],""]': b"many", b"[1]": b"1"}  # fmt: skip
    await redis.hset(keys.flow_metrics(), mapping=strange)
    metrics = Metrics()
    await metrics.refresh(redis)
    assert metrics.snapshot() == {("aione_open_trades", (), ""): 3.0}


async def test_while_redis_is_away_the_old_copy_stays(redis):
    metrics = Metrics()
    await push(redis, [Sample("aione_open_trades", 3)])
    await metrics.refresh(redis)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = aioredis.Redis(host="127.0.0.1", port=taken.getsockname()[1], retry=Retry(NoBackoff(), 0))
        with pytest.raises(ServiceUnavailable):
            await metrics.refresh(away)
        with pytest.raises(ServiceUnavailable):
            await push(away, [Sample("aione_open_trades", 3)])
        await away.aclose()
    assert metrics.value("aione_open_trades") == 3


async def test_the_endpoint_serves_what_stands_at_that_moment():
    metrics = Metrics()
    with Endpoint(metrics, 0) as endpoint:
        assert endpoint.port > 0
        address = f"http://127.0.0.1:{endpoint.port}/metrics"

        def scrape():
            with urllib.request.urlopen(address, timeout=5) as reply:
                assert reply.headers["Content-Type"].startswith("text/plain")
                return reply.read().decode()

        metrics.add("ws_messages_total", 7, kind="kline")
        assert 'ws_messages_total{kind="kline"} 7.0' in await asyncio.to_thread(scrape)
        metrics.add("ws_messages_total", 1, kind="kline")
        text = await asyncio.to_thread(scrape)
        assert 'ws_messages_total{kind="kline"} 8.0' in text
        assert "process_cpu_seconds_total" in text
        for name in FIXED:
            assert f"# TYPE {name} " in text
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(scrape)


def test_an_occupied_port_is_one_clear_line():
    with (
        Endpoint(Metrics(), 0) as first,
        pytest.raises(AlreadyRunning, match=f"port {first.port} .* is taken"),
        Endpoint(Metrics(), first.port),
    ):
        pass
