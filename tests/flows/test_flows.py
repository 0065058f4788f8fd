"""The flows on a real Prefect server, a real Redis and the simulated exchange, in the order of a first start."""

from __future__ import annotations

import lz4.frame
import orjson
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from aione.store import keys
from flows import minute
from flows.prefilter import prefilter
from flows.preload import preload
from flows.rescan import rescan
from flows.screening import screening

pytestmark = [
    pytest.mark.usefixtures("system"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def snapshot(redis):
    return orjson.loads(lz4.frame.decompress(redis.get("asset_state_snapshot")))


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
    assert facts["screened"] >= 5
    (funnel,) = await artifacts("prefilter-funnel")
    steps = orjson.loads(funnel.data)
    assert [step["filter"] for step in steps][:3] == ["contract", "age", "volume"]
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
    await rescan(force=True)
    bar_time_ms = int(flow_redis.xrevrange(keys.cycles(), count=1)[0][1][b"bar_time_ms"])
    monkeypatch.setattr("flows.screening.bar_before", lambda _: bar_time_ms)
    before = flow_redis.get("asset_state_snapshot")
    state = await screening(return_state=True)
    assert state.name == "Skipped"
    assert "published already" in state.message
    assert flow_redis.get("asset_state_snapshot") == before


async def test_a_run_whose_minute_is_over_skips_itself(monkeypatch):
    late = minute.scheduled_ms() - 120_000
    monkeypatch.setattr("flows.screening.scheduled_ms", lambda: late)
    state = await screening(return_state=True)
    assert state.name == "Skipped"
    assert "120 s ago" in state.message


async def test_rescan_reports_what_it_found_for_the_symbols():
    facts = await rescan(symbols=["BTCUSDT"], force=True)
    assert [row["symbol"] for row in facts["found"]] == ["BTCUSDT"]


async def test_rescan_of_a_dropped_symbol_is_refused_with_the_reason_and_forced_on_request(flow_redis):
    universe = orjson.loads(flow_redis.get(keys.prefilter_result()))
    known = {asset["symbol"] for asset in snapshot(flow_redis)["assets"]}
    dropped = [row for row in universe["metrics"] if not row["passed"] and row["symbol"] in known]
    assert dropped, "the synthetic market has dead symbols, which the prefilter drops"
    symbol = dropped[0]["symbol"]
    refused = await rescan(symbols=[symbol], return_state=True)
    assert refused.type.value == "FAILED"
    assert dropped[0]["reason"] in refused.message
    facts = await rescan(symbols=[symbol], force=True)
    assert facts["found"][0]["state"] != "no_trade"


async def test_rescan_of_a_symbol_that_nobody_knows_is_refused():
    state = await rescan(symbols=["NOPEUSDT"], return_state=True)
    assert state.type.value == "FAILED"
    assert "NOPEUSDT is not in the universe" in state.message


async def test_trouble_with_the_data_reaches_the_notification_target_once(flow_redis, system, monkeypatch):
    text = "streams were acknowledged and have not delivered; their bars come by REST: btcusdt@kline_1m"
    told = {"kind": "stream_unproven", "names": [], "began_ms": 1, "ended_ms": None, "text": text, "worker": "w"}
    flow_redis.xadd(keys.incidents(), {"incident": orjson.dumps(told)})
    for _ in range(2):
        monkeypatch.setattr("flows.screening.skip_reason", no_reason)
        await screening()
    lines = [orjson.loads(line) for line in (system / "notifications.jsonl").read_bytes().splitlines()]
    assert [line["body"] for line in lines if line["subject"] == "DATA stream_unproven"] == [f"{text}\nworker w"]


async def no_reason(*_):
    return None
