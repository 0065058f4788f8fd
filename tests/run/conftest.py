"""What the tests of checks share."""

from __future__ import annotations

import time

import numpy as np
import orjson
import pytest
from aiohttp import web

from aione.metrics import Metrics
from aione.panel.bars import BAR_RECORD, Finality
from aione.prefilter import PrefilterResult
from aione.run.checks import Checks
from aione.run.doctor import Health
from aione.sim.clock import ManualClock, RealClock
from aione.sim.options import SimOptions
from aione.sim.server import SimServer
from aione.sim.synthetic import SyntheticMarket
from aione.store import keys
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.stream.fleet import Fleet
from aione.stream.outlet import RedisOutlet
from aione.stream.status import Said, status_fields
from aione.venue.universe import Universe
from config.models import SymbolInfo
from config.settings import load_settings

OK, WARN, FAIL = Health.OK, Health.WARN, Health.FAIL


MINUTE = 60_000


START = 1_779_278_400_000


PREFECT_NOBODY = "http://127.0.0.1:1/api"


def universe(*symbols, **rejected):
    infos = tuple(
        SymbolInfo(symbol=symbol, base_asset=symbol[:-4], quote_asset="USDT", contract_type="PERPETUAL",
                   underlying_type="COIN", status="TRADING", onboard_ms=0, delivery_ms=1, tick_size=0.1, step_size=0.1)
        for symbol in symbols
    )  # fmt: skip
    return Universe(symbols, infos, rejected, START)


def wall_ms():
    return time.time_ns() // 1_000_000


@pytest.fixture
def checks(redis_url, redis):  # noqa: ARG001  # an empty database
    """``checks(...)`` gives the checks of this Redis, whose exchange and Prefect are nowhere unless they are named."""

    def make(
        url=redis_url, *, rest_url="http://127.0.0.1:1", prefect_url=PREFECT_NOBODY, data_dir=None, shows_streams=False
    ):
        settings = load_settings(environ={"AIONE_REST_URL": rest_url})
        return Checks(settings, url, prefect_url, data_dir, shows_streams=shows_streams)

    return make


async def look(made, part):
    """Run one check; each finding is of its part, and has advice exactly where it is not ok."""
    found = list(await made.table()[part]())
    assert {one.part for one in found} == {part}
    assert all(bool(one.advice) is (one.health is not OK) for one in found)
    return found


async def look_once(made, part):
    (one,) = await look(made, part)
    return one


@pytest.fixture
async def exchange():
    """``await exchange(clock, **options)`` gives a running one."""
    running = []

    async def start(clock=None, **options):
        running.append(await SimServer(SyntheticMarket(3), clock=clock or RealClock(), options=SimOptions(**options)))
        return running[-1]

    yield start
    for server in running:
        await server.close()


class Prefect:
    """A Prefect API of three answers, each of which a test can replace: (status, body)."""

    def __init__(self):
        self.answers = {
            "/api/health": (200, True),
            "/api/deployments/filter": (200, [{"name": "screening"}, {"name": "prefilter"}]),
            "/api/work_pools/filter": (200, [{"name": "aione", "status": "READY"}]),
        }

    async def handle(self, request):
        status, body = self.answers[request.path]
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)


@pytest.fixture
async def prefect(checks):
    """A `Prefect` with the checks that look at it."""
    one = Prefect()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    one.checks = checks(prefect_url=one.url)
    yield one
    await runner.cleanup()


@pytest.fixture
def worker(redis):
    """``await worker(shard, ...)`` says what a real one says, ``age_ms`` ago, with some facts changed."""
    settings = load_settings(environ={})

    async def say(shard="1/1", *, age_ms=0, state="running", pending=0, named=None, **changes):
        fleet = Fleet(settings.VENUE, None, lambda _: None, lambda _: None)
        said = Said(state, shard, 1, wall_ms() - age_ms, 0, 9000, symbols=3, store={"pending": pending})
        fields = status_fields(fleet, Metrics(), said)
        changes = {"connections": 2, "last_message_age_ms": 500, **changes}
        fields |= {name: orjson.dumps(value).decode() for name, value in changes.items()}
        name = f"{shard}@host:{await redis.zcard(keys.stream_workers())}"
        await RedisOutlet(redis).save_status(name, fields, named or {})
        return name

    return say


class Market:
    """Screened symbols with complete rings, and an exchange whose minute is the one that has begun at START."""

    def __init__(self, redis, server, checks):
        self.rings = BarRings(redis)
        self.checks = checks(rest_url=server.rest_url)
        self.server = server
        self.bars = load_settings(environ={}).SCREENING_LOOKBACK
        self.states = StateStore(redis)

    async def screen(self, *symbols):
        await self.states.save_prefilter(PrefilterResult(symbols, [], [], {}, 0, 0, 0.0, START))

    async def write(self, symbol, *, without=(), last=Finality.STREAM_CLOSED):
        """Write the minutes from ``-bars`` to ``-1``, without some; the last one is so final."""
        minutes = [minute for minute in range(-self.bars, 0) if minute not in without]
        rows = np.zeros(len(minutes), BAR_RECORD)
        rows["open_time_ms"] = START + MINUTE * np.array(minutes)
        rows["finality"] = Finality.STREAM_CLOSED
        rows["finality"][-1] = last
        await self.rings.write({symbol: rows})


@pytest.fixture
async def bars(redis, checks, exchange):
    return Market(redis, await exchange(ManualClock(START + 16_000)), checks)
