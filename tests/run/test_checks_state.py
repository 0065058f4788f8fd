"""What the doctor says of universe, archive, cycles and incidents, and all of it as a person asks."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace

import numpy as np
import orjson
import pytest

from aione.panel.bars import BAR_RECORD, Finality
from aione.quality import Quarantined
from aione.sim.clock import ManualClock
from aione.store import keys
from aione.store.archive import BarArchive
from aione.store.cycles import CycleLog
from aione.store.state import StateStore
from aione.stream.incidents import Incident
from aione.stream.outlet import RedisOutlet

from .conftest import FAIL, MINUTE, OK, START, WARN, Market, look, look_once, universe, wall_ms

# ── Universe ──


async def test_without_a_universe_the_preload_is_to_be_run(checks):
    one = await look_once(checks(), "universe")
    assert (one.health, one.advice) == (FAIL, "run the preload flow")


async def test_a_universe_is_ok_until_a_refresh_fails(checks, redis):
    states = StateStore(redis)
    fresh = replace(universe("AUSDT", XUSDT=("status", "SETTLING")), refreshed_ms=wall_ms() - 120_000)
    await states.save_universe(fresh)
    one = await look_once(checks(), "universe")
    assert (one.health, one.text) == (OK, "1 tradable perpetuals, 1 contracts refused, refreshed 2 min ago")
    assert one.facts == {"symbols": 1, "refreshed_ms": fresh.refreshed_ms, "age_s": 120}
    await states.mark_universe_stale("status 502", START + 1)
    one = await look_once(checks(), "universe")
    assert (one.health, one.advice) == (WARN, "the next prefilter refreshes it")
    assert one.text.endswith(", stale: status 502")


async def test_a_universe_that_nobody_refreshes_is_a_warning_by_the_exchanges_own_time(checks, redis, worker):
    await StateStore(redis).save_universe(replace(universe("AUSDT"), refreshed_ms=wall_ms() - 3 * 86_400_000))
    one = await look_once(checks(), "universe")
    assert (one.health, one.advice) == (WARN, "look at the prefilter flow in Prefect")
    assert one.text.endswith("refreshed 4320 min ago")
    await worker(clock_offset_ms=-3 * 86_400_000)  # a replay of three days ago
    assert (await look_once(checks(), "universe")).health is OK


# ── Quarantine ──


async def test_who_is_in_quarantine_is_told_with_the_reason(checks, redis):
    one = await look_once(checks(), "quarantine")
    assert (one.health, one.text) == (OK, "no symbol is in it")
    entry = Quarantined("AUSDT", "price_jump", 9.0, 0.1, START, START + MINUTE, "guard")
    await StateStore(redis).change_quarantine([entry], [])
    one = await look_once(checks(), "quarantine")
    told = "1 symbols are not scored: AUSDT price_jump, the open is too far from the close before it: 9, bound 0.1"
    assert (one.health, one.text) == (WARN, told)
    assert one.facts == {"symbols": {"AUSDT": entry.to_dict()}}


# ── Archive ──


async def test_a_newest_day_that_cannot_be_read_is_a_warning(checks, tmp_path):
    rows = np.zeros(1, BAR_RECORD)
    rows["open_time_ms"], rows["finality"] = START, Finality.REST_CONFIRMED
    for name in ("open", "high", "low", "close"):
        rows[name] = 1.0
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": rows})
    (file,) = archive.files("1m")
    file.write_bytes(file.read_bytes()[:-9])
    one = await look_once(checks(data_dir=tmp_path), "archive")
    assert one.health is WARN
    assert "the newest cannot be read" in one.text


async def test_an_archive_that_is_not_set_or_has_no_day_yet_is_a_warning(checks, tmp_path):
    unset = await look_once(checks(), "archive")
    empty = await look_once(checks(data_dir=tmp_path / "none"), "archive")
    assert (unset.health, unset.advice) == (WARN, "set AIONE_DATA_DIR")
    assert (empty.health, empty.text) == (WARN, f"{tmp_path / 'none'} holds no day yet")
    assert empty.advice.startswith("it is written every 600 s")


async def test_an_archive_is_ok_while_its_newest_day_is_written(checks, tmp_path):
    rows = np.zeros(2, BAR_RECORD)
    rows["open_time_ms"], rows["finality"] = [START, START + 86_400_000], Finality.REST_CONFIRMED
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": rows})
    older, newest = archive.files("1m")
    os.utime(older, (0, 0))
    one = await look_once(checks(data_dir=tmp_path), "archive")
    assert one.health is OK
    assert one.text == f"2 days to 2026-05-21, {one.facts['size_mb']:.1f} MB, written 0 min ago"
    assert one.facts["days"] == 2
    for age_s, health in ((1790, OK), (1810, WARN)):
        os.utime(newest, (time.time() - age_s,) * 2)
        one = await look_once(checks(data_dir=tmp_path), "archive")
        assert one.health is health, "three of its intervals"
        assert one.text.endswith("written 30 min ago")
        assert one.facts["age_s"] == pytest.approx(age_s, abs=5)


# ── Cycle ──


def summary(ended_s_ago=5.0, warnings=()):
    scheduled_ms = wall_ms() - int(1000 * ended_s_ago) - 2000
    return {"bar_time": "12:34", "scheduled_ms": scheduled_ms, "seconds": 2.0, "warnings": list(warnings)}


async def test_before_the_first_cycle_there_is_a_warning(checks):
    one = await look_once(checks(), "cycle")
    assert (one.health, one.text) == (WARN, "no cycle was completed yet")


@pytest.mark.parametrize(("ended_s_ago", "health"), [(5, OK), (175, OK), (185, FAIL)])
async def test_a_cycle_is_late_after_three_minutes(checks, redis, ended_s_ago, health):
    log = CycleLog(redis)
    await log.append(START, summary(1000))
    await log.append(START + MINUTE, summary(ended_s_ago))
    one = await look_once(checks(), "cycle")
    assert one.health is health, "the newest one counts"
    assert one.text.startswith("bar 12:34 UTC, published 2.0 s after its schedule, ")
    assert one.facts["age_s"] == pytest.approx(ended_s_ago, abs=2)


async def test_the_first_warning_of_a_cycle_is_told_and_a_late_one_fails_all_the_same(checks, redis):
    log = CycleLog(redis)
    await log.append(START, summary(warnings=["3 symbols lack bars", "more"]))
    one = await look_once(checks(), "cycle")
    assert (one.health, one.advice) == (WARN, "see bars and stream")
    assert one.text.endswith("ago; 3 symbols lack bars")
    assert one.facts["warnings"] == ["3 symbols lack bars", "more"]
    await log.append(START, summary(500, warnings=["x"]))
    assert (await look_once(checks(), "cycle")).health is FAIL


# ── Incidents ──


async def test_no_incident_is_ok(checks):
    one = await look_once(checks(), "incidents")
    assert (one.health, one.text) == (OK, "none open; in the last day: none")


async def test_incidents_of_the_last_day_are_counted_once_each_by_kind(checks, redis):
    day_ms = 86_400_000
    outlet, now_ms = RedisOutlet(redis), wall_ms()
    for kind, age_ms in (
        ("stream_stale", 5),
        ("stream_stale", day_ms - 9000),
        ("clock_skew", 7),
        ("redis_away", day_ms),
    ):
        incident = Incident(kind, now_ms - age_ms)
        await outlet.tell("w", [incident])
        incident.ended_ms = now_ms
        await outlet.tell("w", [incident])
    one = await look_once(checks(), "incidents")
    assert (one.health, one.text) == (OK, "none open; in the last day: 2 x stream_stale, 1 x clock_skew")
    assert one.facts["last_day"] == {"stream_stale": 2, "clock_skew": 1}


async def test_what_is_open_is_a_warning_each_while_its_worker_is_known(checks, redis, worker):
    outlet, alive = RedisOutlet(redis), await worker()
    await outlet.tell("gone@host:1", [Incident("redis_away", START)])
    assert (await look_once(checks(), "incidents")).health is OK
    first, second = Incident("stream_stale", START, {"a": None}), Incident("bars_behind", START + 1, {"B": None})
    await outlet.tell(alive, [second, first])
    found = await look(checks(), "incidents")
    assert [(one.health, one.text, one.facts) for one in found] == [
        (WARN, first.text, {"began_ms": START}), (WARN, second.text, {"began_ms": START + 1}),
    ]  # fmt: skip


# ── All of it, as a person asks ──


async def doctor(tmp_path, redis_url, *arguments, **environ):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aione", "doctor", *arguments,
        env={**os.environ, "AIONE_HOME": str(tmp_path), "REDIS_URL": redis_url, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60.0)
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode()


async def test_where_all_is_well_the_command_says_so_and_ends_with_0_until_something_fails(
    checks, redis, redis_url, exchange, prefect, worker, tmp_path
):
    server = await exchange(ManualClock(START + 16_000))
    market = Market(redis, server, checks)
    await market.screen("AUSDT")
    await market.write("AUSDT")
    await market.states.save_universe(replace(universe("AUSDT"), refreshed_ms=wall_ms()))
    rows = np.zeros(1, BAR_RECORD)
    rows["open_time_ms"], rows["finality"] = START, Finality.REST_CONFIRMED
    BarArchive(tmp_path / "data").write("1m", {"AUSDT": rows})
    await CycleLog(redis).append(START, summary())
    await worker(named={"a@kline_1m": "proven"})
    environ = {"PREFECT_API_URL": prefect.url, "AIONE_REST_URL": server.rest_url}
    status, out = await doctor(tmp_path, redis_url, "--json", "--streams", **environ)
    facts = orjson.loads(out)
    assert [(row["part"], row["health"]) for row in facts["findings"]] == [(part, "ok") for part in checks().table()]
    assert (status, facts["health"]) == (0, "ok")
    assert facts["findings"][4]["stream_states"] == {"a@kline_1m": "proven"}
    prefect.answers["/api/work_pools/filter"] = (200, [])
    await redis.delete(keys.universe())
    status, out = await doctor(tmp_path, redis_url, **environ)
    assert status == 1
    lines = out.splitlines()
    assert sum(line.startswith("ok") for line in lines) == 9
    assert "fail  universe    there is none yet" in lines
    assert lines[lines.index("fail  universe    there is none yet") + 1].strip() == "→ run the preload flow"
    await market.states.save_universe(universe("AUSDT"))
    status, out = await doctor(tmp_path, redis_url, "--json", **environ)
    assert (status, orjson.loads(out)["health"]) == (0, "warn"), "a warning is no failure"
