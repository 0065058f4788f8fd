"""The quality flow on a real Prefect server, a real Redis and the simulated exchange."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from aione.audit.kinds import undocumented
from aione.audit.query import read_stream
from aione.panel import BAR_RECORD, MINUTE_MS
from aione.store import keys
from aione.store.ring_layout import CAPACITIES, RECORD_BYTES
from flows.prefilter import prefilter
from flows.preload import preload
from flows.quality import QualityOptions, quality

pytestmark = [
    pytest.mark.usefixtures("system"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]


@pytest.fixture(autouse=True)
async def _screened(system, flow_redis):
    """A universe with history: made here where no other module has made it, and nobody in quarantine."""
    del system
    if not flow_redis.exists(keys.prefilter_result()):
        await preload()
        await prefilter()
    flow_redis.delete(keys.quarantine())


async def artifact(key):
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return max(found, key=lambda one: one.created)


def spoil(redis, symbol, bars_back, **values):
    """Change the stored record of a bar; return how to undo it."""
    key = keys.bar_ring(symbol, "1m")
    newest = max(np.frombuffer(redis.get(key), BAR_RECORD)["open_time_ms"])
    slot = (int(newest) // MINUTE_MS - bars_back) % CAPACITIES["1m"]
    before = redis.getrange(key, slot * RECORD_BYTES, (slot + 1) * RECORD_BYTES - 1)
    record = np.frombuffer(before, BAR_RECORD).copy()
    for name, value in values.items():
        record[name] = value
    redis.setrange(key, slot * RECORD_BYTES, record.tobytes())
    return lambda: redis.setrange(key, slot * RECORD_BYTES, before)


def screened_symbols(redis):
    rows = orjson.loads(redis.get(keys.prefilter_result()))["metrics"]
    return sorted(row["symbol"] for row in rows if row["passed"])


async def test_sound_data_breaks_no_rule_and_every_suite_is_in_the_artifact():
    state = await quality(return_state=True)
    facts = await state.result()
    assert (state.name, state.message) == ("Completed", "25 rules hold")
    assert facts["quarantined"] == []
    assert all(one["agrees"] for one in facts["datasets"].values())
    page = (await artifact("quality")).data
    for name in ("universe", "history", "hour"):
        assert f"\n| {name} |" in page
    assert orjson.loads((await artifact("quarantine")).data) == [
        {"symbol": "none", "detail": "no symbol is in quarantine"}
    ]


async def test_a_spoiled_bar_is_found_by_suite_and_guards_quarantined_told_and_let_out_when_healed(flow_redis):
    symbol, other = screened_symbols(flow_redis)[:2]
    heal = spoil(flow_redis, symbol, 20, high=1e-9)
    heal_old = spoil(flow_redis, other, 300, volume=-1.0)
    state = await quality(return_state=True)
    facts = await state.result()
    assert state.name == "Defects"
    assert "guards and suites disagree" not in state.message
    assert sorted(facts["added"]) == sorted([symbol, other])
    table = {row["symbol"]: row for row in orjson.loads((await artifact("quarantine")).data)}
    assert table[symbol]["rule"] == "range_inverted"
    assert table[other]["rule"] == "unsound_bars"
    assert "range_inverted" in (await artifact("quality")).data
    heal()
    heal_old()
    state = await quality(return_state=True)
    facts = await state.result()
    assert state.name == "Completed"
    assert sorted(facts["released"]) == sorted([symbol, other])
    assert flow_redis.hgetall(keys.quarantine()) == {}
    events, unreadable = read_stream(flow_redis)
    assert unreadable == 0
    told = [event for event in events if event.stage == "quality"]
    assert undocumented(told) == []
    assert [
        (one.symbol, one.payload["state"]) for one in told if one.kind == "quarantine" and one.symbol == symbol
    ] == [
        (symbol, "added"),
        (symbol, "released"),
    ]


async def test_without_quarantine_a_run_only_reports(flow_redis):
    symbol = screened_symbols(flow_redis)[0]
    heal = spoil(flow_redis, symbol, 5, close=-1.0)
    try:
        state = await quality(QualityOptions(datasets=["hour"], quarantine=False), return_state=True)
        facts = await state.result()
    finally:
        heal()
    assert state.name == "Defects"
    assert facts["datasets"]["hour"]["symbols"] == [symbol]
    assert list(facts["datasets"]) == ["hour"]
    assert flow_redis.hgetall(keys.quarantine()) == {}


@pytest.mark.parametrize(
    "options",
    [{"datasets": []}, {"datasets": ["moon"]}, {"hours_back": 0}, {"hours_back": 25}, {"symbols": ["A"] * 51}],
)
async def test_options_out_of_bounds_are_refused_before_anything_runs(options):
    state = await quality.with_options(validate_parameters=True)(options, return_state=True)
    assert state.type.value == "FAILED"
    assert "Validation of flow parameters failed" in state.message
