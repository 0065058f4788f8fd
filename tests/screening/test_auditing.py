"""A cycle with rules and audit, on real services: what is changed, remembered and logged."""

from __future__ import annotations

import redis as sync_redis
import yaml

from aione.audit.kinds import undocumented
from aione.audit.redis_stream import read_stream
from aione.publish.codec import decode
from aione.screening.analyse import find_triggers, score
from aione.screening.cycle import publish_cycle, trade
from aione.screening.load import load_cycle
from aione.store import keys

BAR_MS = 1_795_348_740_000


async def run(services):
    loaded = await load_cycle(services, BAR_MS)
    found = find_triggers(loaded, services.settings)
    scored = score(loaded, found, services.settings)
    await trade(services, loaded, found, scored)
    return await publish_cycle(services, loaded, found, scored, scheduled_ms=0)


def with_rules(services, folder):
    settings = services.settings
    dynamic = settings.STAGE2_CONFIG.dynamic.model_copy(update={"rules_dir": str(folder)})
    stage2 = settings.STAGE2_CONFIG.model_copy(update={"dynamic": dynamic})
    object.__setattr__(services, "settings", settings.model_copy(update={"STAGE2_CONFIG": stage2}))


def write(folder, text):
    (folder / "threshold_rules.yaml").write_text(yaml.safe_dump(text))


RULE = {
    "id": "always",
    "when": {"metric": "rsi", "op": ">=", "value": 0},
    "actions": {"stage1.volume_z": 2.2, "stage2.scenario_floor": 0.9, "stage2.move_pct_up_factor": 1.5},
}


async def test_rules_reach_the_published_state_and_the_audit_says_what_they_changed(screened, redis_url, tmp_path):
    write(tmp_path, {"rules": [RULE]})
    with_rules(screened, tmp_path)
    await run(screened)
    state = decode(await screened.redis.get(screened.settings.REDIS_SNAPSHOT_KEY))
    scored = [asset for asset in state["assets"] if asset["explain"] and asset["explain"]["stage2"]]
    assert scored
    for asset in scored:
        assert asset["thresholds"]["volume_z"] == 2.2
        spike = next(one for one in asset["explain"]["stage1"]["triggers"] if one["name"] == "volume_spike")
        assert (spike["threshold"], spike["layer"]) == (2.2, "rules:always")
        assert asset["explain"]["stage2"]["scenario"]["floor"] == 0.9
        assert asset["thresholds"]["move_pct_up"] == 0.012
    assert await screened.audit.aflush()
    with sync_redis.Redis.from_url(redis_url) as client:
        events, unreadable = read_stream(client)
    assert unreadable == 0
    assert undocumented(events) == []
    before = [event for event in events if event.kind == "dyn_thresholds_pre"]
    assert {event.symbol for event in before} == {asset["symbol"] for asset in scored}
    assert {(event.payload["key"], event.payload["new"], event.payload["rule"]) for event in before} == {
        ("stage1.volume_z", 2.2, "always")
    }
    after = {event.payload["key"] for event in events if event.kind == "dyn_thresholds"}
    assert after == {"stage2.scenario_floor", "stage2.move_pct_up_factor"}
    (stats,) = [event for event in events if event.kind == "dyn_stats"]
    assert stats.payload["applied"] == len(scored)


async def test_the_same_minute_again_logs_nothing_and_counts_nothing(screened, redis_url, tmp_path):
    write(tmp_path, {"rules": [RULE]})
    with_rules(screened, tmp_path)
    await run(screened)
    await screened.audit.aflush()
    state = await screened.redis.get(keys.rule_state())
    with sync_redis.Redis.from_url(redis_url) as client:
        logged = client.xlen(keys.audit_events())
        await run(screened)
        await screened.audit.aflush()
        assert client.xlen(keys.audit_events()) == logged
    assert await screened.redis.get(keys.rule_state()) == state


async def test_broken_rules_are_a_warning_of_the_cycle_and_the_last_good_ones_hold(screened, tmp_path):
    write(tmp_path, {"rules": [RULE]})
    with_rules(screened, tmp_path)
    await run(screened)
    write(tmp_path, {"rules": [{**RULE, "actions": {"stage1.volume_y": 1}}]})
    cycle = await run(screened)
    (warning,) = [one for one in cycle.warnings if "threshold rules" in one]
    assert "threshold rules are wrong, the last good ones are in force: threshold_rules.yaml: rule always" in warning
    assets = decode(await screened.redis.get(screened.settings.REDIS_SNAPSHOT_KEY))["assets"]
    scored = [asset for asset in assets if asset["explain"] and asset["explain"]["stage2"]]
    assert scored
    assert {asset["thresholds"]["volume_z"] for asset in scored} == {2.2}


async def test_a_memory_that_cannot_be_read_stops_no_cycle(screened, tmp_path):
    write(tmp_path, {"rules": [RULE]})
    with_rules(screened, tmp_path)
    await screened.redis.mset({keys.rule_state(): b"{", keys.audit_memory(): b"[]"})
    cycle = await run(screened)
    assert any("the threshold rules begin anew" in warning for warning in cycle.warnings)
