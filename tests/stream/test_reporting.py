"""What a worker tells each second: every wrong once when it begins and once when it is over, whoever listens then."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest

from aione.errors import ServiceUnavailable
from aione.metrics import Sample, push
from aione.panel.bars import Finality
from aione.store import keys
from aione.store.archive import BarArchive
from aione.store.archiver import Archiver
from aione.store.rings import BarRings
from aione.stream.healing import HealReport
from aione.stream.reporting import wall_ms
from aione.stream.shard import Shard
from aione.stream.status import is_alive
from aione.stream.symbols import Wanted
from aione.venue.clock import ServerClock
from aione.venue.stream_wire import BookTicker, Kline

from .reporting_parts import MINUTE, START, STREAMS, alone, bar

# ── The status ──


async def test_before_the_connections_are_kept_nothing_is_said(desk):
    one = desk()
    one.reporter.fleet = None
    await one.reporter.report()
    await one.reporter.say("stopped")
    assert await one.redis.exists(keys.stream_workers()) == 0
    with pytest.raises(AssertionError, match="the fleet stands before"):
        await one.reporter.observe()


async def test_a_report_is_the_status_of_a_worker_that_lives(desk):
    before_ms = int(1000 * time.time())
    one = desk(Shard(2, 3)).stand()
    one.reporter.wanted, one.reporter.metrics_port = Wanted(("A", "B", "C"), ("A",)), 9123
    one.rest.clock = ServerClock(lambda: time.time() - 5.0, time.monotonic)
    one.rest.clock.measured(1000 * time.time() + 250, sent_s=time.monotonic(), received_s=time.monotonic())
    await one.second()
    status = await one.status()
    assert is_alive(status, int(1000 * time.time()))
    assert before_ms <= status["started_ms"] <= status["updated_ms"] <= int(1000 * time.time())
    assert (status["shard"], status["symbols"], status["metrics_port"]) == ("2/3", 3, 9123)
    assert status["clock_offset_ms"] == pytest.approx(5250, abs=50)
    assert (status["connections"], status["streams"], status["incidents"]) == (2, {"proven": 3}, [])
    (worker,) = await one.state.load_stream_workers()
    assert worker.startswith("2of3@")
    assert await one.state.load_streams(worker) == dict.fromkeys(STREAMS, "proven")
    await one.reporter.say("stopped")
    assert not is_alive(await one.status(), int(1000 * time.time()))


async def test_the_status_tells_what_the_store_has_done(desk):
    one = desk().stand()
    await BarRings(one.redis).write({"A": bar(0)})
    await one.rings.load(["A", "B"], START, 1)
    await one.second()
    assert (await one.status())["store"] == {
        "pending": 0, "replayed": 0, "dropped": 0, "last_outage": {},
        "reads": {"memory miss": 2, "memory hit": 0, "redis hit": 1, "redis miss": 1},
    }  # fmt: skip


def test_the_time_of_the_status_is_this_machines():
    assert wall_ms() == pytest.approx(1000 * time.time(), abs=100)


# ── Counts ──


async def test_what_healing_did_is_counted_by_cause_and_who_is_behind_is_told(desk):
    one = desk().stand()
    one.reporter.healed(HealReport(missing=9, filled=4, unconfirmed=3, confirmed=2, corrected=1, behind=("B", "A")))
    one.reporter.healed(HealReport(missing=9, filled=1, behind=("B",)))
    one.reporter.healed(HealReport(confirmed=-1, behind=("B",)))
    assert one.metrics.rows("aione_gaps_healed_total") == {("missing",): 5, ("unconfirmed",): 2}
    assert one.metrics.value("aione_bars_corrected_total") == 1
    await one.second()
    status = await one.status()
    assert (status["behind"], status["behind_symbols"], status["gaps_healed"]) == (1, ["B"], 7)
    one.reporter.healed(HealReport())
    await one.second()
    assert (await one.status())["behind"] == 0


async def test_what_was_refused_dropped_replayed_and_read_is_counted_once(desk):
    one = desk().stand()
    one.feed.dropped, one.rings.dropped, one.rings.replayed = 2, 3, 4
    crossed = Kline(START, "A", "1m", 1.0, 1.0, 0.5, 2.0, 1.0, 1, True, 1.0, 1.0)  # its high is below its low
    assert not one.feed.take(crossed)
    one.board.follow(["A"])
    one.board.take_quote(BookTicker(START, "A", 2.0, 1.0))
    await one.rings.load(["A"], START, 1)
    for _ in range(3):
        await one.second()
    value = one.metrics.value
    assert value("aione_dropped_total") == 5
    assert value("aione_errors_total", kind="refused_bar") == value("aione_errors_total", kind="refused_quote") == 1
    assert value("aione_store_replayed_total") == 4
    assert value("aione_store_reads_total", tier="redis", outcome="miss") == 1
    assert value("aione_streams", state="proven") == 3, "the connections' counts are recorded too"


async def test_the_first_share_alone_copies_the_flows_metrics(desk):
    for shard, expected in ((Shard(2, 2), 0), (Shard(1, 2), 7)):
        one = desk(shard).stand()
        await push(one.redis, [Sample("aione_alerts", 7)])
        await one.second()
        assert one.metrics.value("aione_alerts") == expected


# ── Bars that are due, context, budget, log ──


@pytest.mark.usefixtures("_hasty")
async def test_symbols_are_behind_though_the_healer_never_succeeds(desk):
    one = desk().stand()
    one.reporter.overdue(("B", "A"))
    await one.second()
    assert (await one.status())["behind_symbols"] == ["B", "A"]
    assert await one.told() == [("bars_behind", False, ["B", "A"])]
    one.reporter.healed(HealReport(behind=("C", "A")))
    await one.second()
    assert (await one.status())["behind_symbols"] == ["C", "A", "B"]
    one.reporter.overdue(())
    one.reporter.healed(HealReport())
    await one.second()
    assert (await one.status())["behind"] == 0


async def test_the_budget_and_the_age_of_the_context_are_measured(desk):
    one = desk().stand()
    await one.ledger.reserve(40)
    one.board.follow(["A", "B"])
    one.board.take_quote(BookTicker(one.rest.clock.now_ms() - 7_000, "A", 1.0, 2.0))
    await one.second()
    assert one.metrics.value("aione_rest_weight_used") == 40
    assert one.metrics.value("aione_ledger_alone") == 0
    assert one.metrics.rows("aione_context_age_seconds") == {("quote",): pytest.approx(7.0, abs=1.0)}
    await alone(one)
    await one.second()
    assert one.metrics.value("aione_ledger_alone") == 1


@pytest.mark.usefixtures("_hasty")
async def test_a_person_reads_in_the_log_when_each_incident_begins_and_ends(desk, caplog):
    caplog.set_level(logging.INFO, logger="aione.stream.reporting")
    one = desk().stand()
    one.reporter.overdue(("A",))
    for _ in range(3):
        await one.second()
    one.reporter.overdue(())
    await one.second()
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["WARNING", "INFO"]
    assert lines[0][1].startswith("bars_behind: symbols miss bars")
    assert lines[0][1].endswith(": A")
    assert lines[1][1].startswith("bars_behind is over after 0 s: ")


@pytest.mark.usefixtures("_hasty")
async def test_an_archive_that_cannot_be_written_is_an_incident_and_the_tiers_have_ages(desk, redis, tmp_path):
    rows = np.concatenate([bar(0), bar(1)])
    for name in ("open", "high", "low"):
        rows[name] = rows["close"]
    rows["finality"] = Finality.REST_CONFIRMED
    file = tmp_path / "occupied"
    file.write_bytes(b"")
    archiver = Archiver(BarRings(redis), BarArchive(file), 600.0)
    one = desk(archivers=(archiver,)).stand()
    await one.rings.write({"A": rows})
    with pytest.raises(ServiceUnavailable):
        await archiver.run_once(["A"], START + 2 * MINUTE)
    await one.second()
    assert [kind for kind, is_over, _ in await one.told() if not is_over] == ["archive_failed"]
    file.unlink()
    await archiver.run_once(["A"], START + 2 * MINUTE)
    await one.second()
    assert [(kind, is_over) for kind, is_over, _ in await one.told()][-1] == ("archive_failed", True)
    assert one.metrics.value("aione_archive_bars_total") == 2
    age_s = (one.rest.clock.now_ms() - START) / 1000 - 120
    ages = one.metrics.rows("aione_store_age_seconds")
    assert ages == {(tier,): pytest.approx(age_s, abs=5.0) for tier in ("memory", "redis", "disk")}
