"""The flows on a real Prefect server, a real Redis and the simulated exchange, in the order of a first start."""

from __future__ import annotations

import asyncio

import lz4.frame
import orjson
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
)
from prefect.client.schemas.sorting import FlowRunSort

from aione.store import keys
from flows import minute
from flows.prefilter import prefilter
from flows.preload import preload
from flows.rescan import RescanRequest, rescan
from flows.screening import ScreeningOptions, screening

pytestmark = [
    pytest.mark.usefixtures("system"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


STAGES = ("load", "stage1", "stage2", "stage3", "publish")


def snapshot(redis):
    return orjson.loads(lz4.frame.decompress(redis.get("asset_state_snapshot")))


def dump(redis, key):
    """Everything under a key, whatever its type."""
    return redis.dump(key)


def forget_results(redis):
    for name in redis.scan_iter(match=keys.task_result("*")):
        redis.delete(name)


async def states_of_last_run(*expected):
    """Task name -> name of its state, of the newest screening run, once these tasks have ended: states arrive late."""
    wanted = FlowFilter(name=FlowFilterName(any_=["screening"]))
    async with get_client() as client:
        for _ in range(150):
            (run,) = await client.read_flow_runs(flow_filter=wanted, sort=FlowRunSort.START_TIME_DESC, limit=1)
            tasks = await client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [run.id]}))
            states = {task.name.rsplit("-", 1)[0]: task.state for task in tasks}
            if states.keys() >= set(expected) and all(state and state.is_final() for state in states.values()):
                return {name: state.name for name, state in states.items()}
            await asyncio.sleep(0.1)
    raise AssertionError(f"the task runs of the newest run did not end: {states}")


async def artifacts(key):
    async with get_client() as client:
        return await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))


async def test_screening_without_a_universe_skips_itself_and_says_why(flow_redis):
    state = await screening(return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Skipped")
    assert "no screened universe" in state.message
    assert flow_redis.get("asset_state_snapshot") is None


async def test_preload_fills_the_rings_and_a_second_one_fetches_only_what_closed_meanwhile():
    first = await preload()
    assert first["1m"]["failed"] == {}
    assert first["1m"]["bars_written"] > 5 * 1400
    assert first["1d"]["bars_written"] > 5 * 25
    again = await preload()
    assert again["1m"]["bars_written"] <= 5 * 20
    assert again["1d"]["bars_written"] == 0


async def test_prefilter_leaves_a_funnel_and_a_reason_for_every_drop(flow_redis):
    facts = await prefilter()
    assert facts["screened"] >= 5, facts
    (funnel,) = await artifacts("prefilter-funnel")
    steps = orjson.loads(funnel.data)
    assert [step["filter"] for step in steps][:3] == ["contract", "age", "volume"]
    (page,) = await artifacts("prefilter")
    assert f"# {facts['screened']} of {steps[0]['in']} symbols are screened" in page.data
    assert "data:image/svg+xml" in page.data
    (link,) = await artifacts("metrics")
    assert "/metrics" in link.data
    assert all(step["out"] <= step["in"] for step in steps)
    dropped = orjson.loads((await artifacts("prefilter-dropped"))[0].data)
    assert dropped
    assert all(row["reason"] for row in dropped)
    assert flow_redis.exists(keys.prefilter_result())


async def test_screening_publishes_the_state_of_every_asset(flow_redis):
    facts = await screening()
    state = snapshot(flow_redis)
    assert facts["missing_bars"] == 0
    assert state["meta"]["seq"] == facts["seq"]
    assert state["counters"]["screened"] == facts["symbols"] >= 5
    analysed = [asset for asset in state["assets"] if asset["state"] in {"normal", "alert"}]
    assert len(analysed) == facts["symbols"]
    assert all(asset["stats"]["rsi"] is not None and asset["price_str"] for asset in analysed)
    (table,) = await artifacts("alerts")
    assert "screened symbols" in table.description


async def test_a_minute_that_is_published_is_not_published_again(flow_redis, monkeypatch):
    await rescan(RescanRequest(force=True))
    bar_time_ms = int(flow_redis.xrevrange(keys.cycles(), count=1)[0][1][b"bar_time_ms"])
    monkeypatch.setattr("flows.screening.bar_of_run", lambda *_: bar_time_ms)
    before = flow_redis.get("asset_state_snapshot")
    state = await screening(return_state=True)
    assert state.name == "Skipped"
    assert "published already" in state.message
    assert flow_redis.get("asset_state_snapshot") == before


async def test_the_same_minute_once_more_computes_nothing_and_changes_no_byte(flow_redis, monkeypatch):
    """A forced run of a published minute finds every stage's result; a run that could not trade again is one too."""
    monkeypatch.setattr("flows.screening.skip_reason", no_reason)
    first = await screening()
    bar_time_ms = int(flow_redis.xrevrange(keys.cycles(), count=1)[0][1][b"bar_time_ms"])
    monkeypatch.setattr("flows.screening.bar_of_run", lambda *_: bar_time_ms)
    kept = (keys.trade_events(), keys.monitor_states(), keys.audit_events(), keys.cycles())
    before = [flow_redis.get("asset_state_snapshot"), *(dump(flow_redis, key) for key in kept)]
    again = await screening(ScreeningOptions(force=True))
    assert [flow_redis.get("asset_state_snapshot"), *(dump(flow_redis, key) for key in kept)] == before
    assert again == first
    assert await states_of_last_run(*STAGES) == {"load": "Completed"} | dict.fromkeys(
        ("stage1", "stage2", "stage3", "publish"), "Cached"
    )


async def test_what_a_failed_stage_left_undone_is_all_that_is_done_again(flow_redis, monkeypatch):
    monkeypatch.setattr("flows.screening.skip_reason", no_reason)
    bar_time_ms = minute.bar_before(minute.scheduled_ms())
    monkeypatch.setattr("flows.screening.bar_of_run", lambda *_: bar_time_ms)
    forget_results(flow_redis)
    with monkeypatch.context() as broken:
        broken.setattr("aione.screening.analyse.score", lambda *_: 1 / 0)
        state = await screening(return_state=True)
    assert state.type.value == "FAILED"
    assert await states_of_last_run("stage2") == {"load": "Completed", "stage1": "Completed", "stage2": "Failed"}
    facts = await screening()
    assert facts["symbols"] >= 5
    states = await states_of_last_run(*STAGES)
    assert (states["stage1"], states["stage2"], states["publish"]) == ("Cached", "Completed", "Completed")


async def test_another_configuration_is_other_work(flow_redis, monkeypatch):
    monkeypatch.setattr("flows.screening.skip_reason", no_reason)
    bar_time_ms = int(flow_redis.xrevrange(keys.cycles(), count=1)[0][1][b"bar_time_ms"])
    monkeypatch.setattr("flows.screening.bar_of_run", lambda *_: bar_time_ms)
    monkeypatch.setenv("AIONE_STAGE1_MONITOR_PARAMS__cooldown_s", "901")
    await screening()
    assert (await states_of_last_run(*STAGES))["stage1"] == "Completed"


async def test_kept_results_are_json_and_are_forgotten(flow_redis):
    names = list(flow_redis.scan_iter(match=keys.task_result("*")))
    assert names
    for name in names:
        record = orjson.loads(lz4.frame.decompress(flow_redis.get(name)))
        assert record["metadata"]["serializer"]["type"] == "aione-json"
        assert 0 < flow_redis.ttl(name) <= 900


async def test_a_run_whose_minute_is_over_skips_itself(monkeypatch):
    now = minute.scheduled_ms() // 60_000 * 60_000 + 50_000
    monkeypatch.setattr("flows.screening.scheduled_ms", lambda: now - 120_000)
    monkeypatch.setattr("flows.screening.local_ms", lambda: now)
    state = await screening(return_state=True)
    assert state.name == "Skipped"
    assert "120 s ago" in state.message


async def test_the_first_of_many_late_runs_catches_up_with_the_minute_that_is_now(flow_redis, monkeypatch):
    now = minute.scheduled_ms() // 60_000 * 60_000 + 10_000
    monkeypatch.setattr("flows.screening.scheduled_ms", lambda: now - 3_600_000)
    monkeypatch.setattr("flows.screening.local_ms", lambda: now)
    monkeypatch.setattr("aione.store.cycles.CycleLog.last_bar_ms", a_while_ago(now - 3_600_000))
    forget_results(flow_redis)
    facts = await screening()
    newest = int(flow_redis.xrevrange(keys.cycles(), count=1)[0][1][b"bar_time_ms"])
    assert newest == now - 10_000 - 60_000
    assert facts["missed"] in {58, 59}
    monkeypatch.undo()
    monkeypatch.setattr("flows.screening.scheduled_ms", lambda: now - 3_540_000)
    monkeypatch.setattr("flows.screening.local_ms", lambda: now)
    second = await screening(return_state=True)
    assert (second.name, "published already" in second.message) == ("Skipped", True)


async def test_rescan_reports_what_it_found_for_the_symbols():
    facts = await rescan(RescanRequest(symbols=["BTCUSDT"], force=True))
    assert [row["symbol"] for row in facts["found"]] == ["BTCUSDT"]


async def test_rescan_of_a_dropped_symbol_is_refused_with_the_reason_and_forced_on_request(flow_redis):
    universe = orjson.loads(flow_redis.get(keys.prefilter_result()))
    known = {asset["symbol"] for asset in snapshot(flow_redis)["assets"]}
    dropped = [row for row in universe["metrics"] if not row["passed"] and row["symbol"] in known]
    assert dropped, "the synthetic market has dead symbols, which the prefilter drops"
    symbol = dropped[0]["symbol"]
    refused = await rescan(RescanRequest(symbols=[symbol]), return_state=True)
    assert refused.type.value == "FAILED"
    assert dropped[0]["reason"] in refused.message
    facts = await rescan(RescanRequest(symbols=[symbol], force=True))
    assert facts["found"][0]["state"] != "no_trade"


async def test_rescan_of_a_symbol_that_nobody_knows_is_refused():
    state = await rescan(RescanRequest(symbols=["NOPEUSDT"]), return_state=True)
    assert state.type.value == "FAILED"
    assert "NOPEUSDT is not in the universe" in state.message


def a_while_ago(moment_ms):
    async def last_bar_ms(_):
        return moment_ms // 60_000 * 60_000

    return last_bar_ms


async def no_reason(*_, **__):
    return None
