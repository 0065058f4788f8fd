"""What the tests of reporting share."""

from __future__ import annotations

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aione.metrics import Metrics
from aione.panel.bars import BAR_RECORD
from aione.store.incident_log import IncidentLog
from aione.store.rings import BarRings, MemoryRings
from aione.store.state import StateStore
from aione.store.tiers import TieredRings
from aione.stream.bars import BarFeed
from aione.stream.book import BookBoard
from aione.stream.incidents import GRACE_S
from aione.stream.outlet import RedisOutlet
from aione.stream.reporting import Reporter
from aione.stream.shard import Shard
from aione.stream.status import read_status
from aione.venue.ledger import LocalLedger
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
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
def _hasty(monkeypatch):
    """What lasts is an incident at once, and over as soon as it is gone."""
    monkeypatch.setattr("aione.stream.incidents.OVER_AFTER_S", 0.0)
    monkeypatch.setattr("aione.stream.incidents.GRACE_S", dict.fromkeys(GRACE_S, 0.0))


async def alone(one):
    client = aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    one.rest._ledger = RedisLedger(client, VenueParams())
    await one.rest.ledger.reserve(1)
    await client.aclose()
