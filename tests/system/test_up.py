"""The whole system as a new user starts it: real processes, watched from the outside, killed and started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import lz4.frame
import numpy as np
import orjson
import pytest
import redis as sync_redis

from aione.panel import BAR_RECORD
from aione.run.leftovers import MARK
from aione.store import keys
from aione.store.ring_layout import RingLayout

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SYMBOLS = 12
FIVE = (
    "stage1_cycle_seconds_count",
    "stage2_cycle_seconds_count",
    "ws_messages_total",
    "symbols_filtered_total",
    "prefilter_elapsed_seconds_count",
)


class Running:
    """One ``aione up`` and where its parts are."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.errors = home.with_suffix(".err").open("ab")
        command = [sys.executable, "-m", "aione", "up", "--sim", "--symbols", str(SYMBOLS), "--json", *arguments]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "AIONE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )

    def addresses(self, timeout_s: float = 240.0) -> dict[str, str]:
        path = self.home / "addresses.json"
        wait_for(path.exists, timeout_s, lambda: self.home.with_suffix(".err").read_text()[-2000:], self.process)
        return orjson.loads(path.read_bytes())

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def wait_for(probe, timeout_s, why, process=None):
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert process is None or process.poll() is None, f"it ended with {process.returncode}: {why()}"
        assert time.monotonic() < deadline, why()
        time.sleep(0.2)


def parts_of(home: Path) -> list[int]:
    wanted = f"{MARK}={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted in environment:
                found.append(int(entry.name))
    return found


def decoded(blob: bytes) -> dict:
    return orjson.loads(lz4.frame.decompress(blob))


def metric(text: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def held_minutes(redis, symbol: str) -> set[int]:
    records = redis.get(keys.bar_ring(symbol, "1m"))
    assert len(records) <= RingLayout.of("1m").capacity * BAR_RECORD.itemsize
    rows = np.frombuffer(records, BAR_RECORD)
    return set(rows["open_time_ms"][rows["finality"] > 0].tolist())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("up") / "home"


@pytest.fixture(scope="module")
def first(home):
    """A running system, left as the tests of this module leave it."""
    home.mkdir()
    running = Running(home)
    yield running
    running.close()


def test_a_subscriber_of_its_own_decodes_snapshot_and_updates_without_a_gap(first):
    with sync_redis.Redis.from_url(first.addresses()["REDIS_URL"]) as redis, redis.pubsub() as pubsub:
        pubsub.subscribe("asset_state_update")
        updates = []
        deadline = time.monotonic() + 240
        while len(updates) < 2:
            assert time.monotonic() < deadline, "two minutes did not bring two updates"
            message = pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)
            if message:
                updates.append(decoded(message["data"]))
        snapshot = decoded(redis.get("asset_state_snapshot"))
    assert [update["type"] for update in updates] == ["delta", "delta"]
    assert updates[1]["meta"]["seq"] == updates[0]["meta"]["seq"] + 1
    assert updates[1]["meta"]["epoch"] == updates[0]["meta"]["epoch"]
    assert snapshot["type"] == "snapshot"
    assert snapshot["meta"]["seq"] >= updates[1]["meta"]["seq"]
    assert snapshot["counters"]["screened"] >= 5
    assert snapshot["counters"]["missing_bars"] == 0


def test_prefect_shows_completed_screening_runs_and_its_ui(first):
    api = first.addresses()["PREFECT_API_URL"]
    wanted = {"flows": {"name": {"any_": ["screening"]}}, "flow_runs": {"state": {"name": {"any_": ["Completed"]}}}}

    def completed():
        return httpx.post(f"{api}/flow_runs/filter", json=wanted).json()

    wait_for(lambda: len(completed()) >= 2, 30, lambda: f"completed runs: {completed()}")
    runs = completed()
    tasks = httpx.post(f"{api}/task_runs/filter", json={"flow_runs": {"id": {"any_": [runs[0]["id"]]}}}).json()
    assert {task["name"].split("-")[0] for task in tasks} >= {"load", "stage1", "stage2", "stage3", "publish"}
    assert len(tasks) <= 6
    assert "<html" in httpx.get(api.removesuffix("/api"), follow_redirects=True).text.lower()


def test_the_five_metrics_move(first):
    url = f"http://127.0.0.1:{first.addresses()['AIONE_METRICS_PORT']}/metrics"
    before = httpx.get(url).text
    assert all(metric(before, name) > 0 for name in FIVE), [(name, metric(before, name)) for name in FIVE]
    wait_for(lambda: metric(httpx.get(url).text, "ws_messages_total") > metric(before, "ws_messages_total"), 10, str)
    wait_for(
        lambda: (
            metric(httpx.get(url).text, "stage1_cycle_seconds_count") > metric(before, "stage1_cycle_seconds_count")
        ),
        130,
        lambda: "no cycle moved the metric",
    )


def test_every_input_of_the_score_is_supplied_while_it_runs(first):
    """No factor, quality or trigger is unknown for every symbol: something would never be fed."""
    with sync_redis.Redis.from_url(first.addresses()["REDIS_URL"]) as redis:
        assets = decoded(redis.get("asset_state_snapshot"))["assets"]
    whys = [asset["explain"] for asset in assets if asset["explain"] and asset["explain"]["stage2"]]
    assert len(whys) >= 5
    for why in whys:
        assert len(why["stage1"]["triggers"]) == 17
    never = {one["name"] for one in whys[0]["stage1"]["triggers"]} | {
        one["name"] for one in whys[0]["stage2"]["factors"]
    }
    never |= set(whys[0]["stage2"]["qualities"])
    for why in whys:
        never -= {one["name"] for one in why["stage1"]["triggers"] if one["value"] is not None}
        never -= {one["name"] for one in why["stage2"]["factors"] if one["value"] is not None}
        never -= {name for name, value in why["stage2"]["qualities"].items() if value is not None}
    assert never == set()


def test_the_audit_of_the_running_system_can_be_asked(first):
    answer = subprocess.run(
        [sys.executable, "-m", "aione", "audit", "--since", "1h", "--kind", "validation", "--json"],
        env={**os.environ, "AIONE_HOME": str(first.home)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    facts = orjson.loads(answer.stdout)
    assert len(facts["events"]) >= 2, "one a cycle"
    assert facts["unreadable"] == 0
    assert all(event["payload"]["scored"] >= 5 for event in facts["events"])
    kept = (first.home / "audit" / "audit.jsonl").read_bytes().splitlines()
    assert {event["id"] for event in facts["events"]} <= {orjson.loads(line)["id"] for line in kept}


def test_a_symbol_of_the_running_system_is_explained_and_drawn(first, tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "aione", "explain", "btcusdt", "--plot", str(tmp_path / "btc.png")],
        env={**os.environ, "AIONE_HOME": str(first.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.startswith("BTCUSDT")
    assert "volume" in answer.stdout
    assert (tmp_path / "btc.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_system_in_the_same_home_says_so_and_ends(first):
    second = subprocess.run(
        [sys.executable, "-m", "aione", "up", "--sim"],
        env={**os.environ, "AIONE_HOME": str(first.home)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 2
    assert f"in use by process {first.process.pid}" in second.stderr


def test_after_a_kill_everything_is_there_and_only_the_missing_minutes_are_fetched(first, home):
    with sync_redis.Redis.from_url(first.addresses()["REDIS_URL"]) as redis:
        symbols = orjson.loads(redis.get(keys.prefilter_result()))["symbols"]
        before = {symbol: held_minutes(redis, symbol) for symbol in symbols}
        universe = orjson.loads(redis.get(keys.universe()))
        trades = redis.xlen(keys.trade_events())
        seq = int(redis.hget(keys.sequence(), "seq"))
    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait()
    (home / "addresses.json").unlink()
    again = Running(home, "--cycles", "1")
    try:
        addresses = again.addresses()
        with sync_redis.Redis.from_url(addresses["REDIS_URL"]) as redis:
            for symbol, minutes in before.items():
                newest = max(minutes)
                kept = {minute for minute in minutes if minute > newest - 1_000 * 60_000}
                assert kept <= held_minutes(redis, symbol)
            assert redis.xlen(keys.trade_events()) >= trades
            listed = {info["symbol"] for info in orjson.loads(redis.get(keys.universe()))["infos"]}
            assert listed >= set(symbols)
        asked = httpx.get(f"{addresses['AIONE_REST_URL']}/sim/status").json()["requests"].get("/fapi/v1/klines", {})
        assert asked.get("200", 0) < 3 * len(universe["infos"]), "a whole history takes five requests a symbol"
        out, _ = again.process.communicate(timeout=240)
        facts = json.loads(out.splitlines()[-1])
        assert facts["missing_bars"] == 0
        assert facts["cycles"][0]["seq"] > seq
        assert again.process.returncode == 0
    finally:
        again.close()


def test_an_interrupt_leaves_nothing_behind(home):
    running = Running(home)
    try:
        running.addresses()
        wait_for(lambda: len(parts_of(home)) >= 5, 10, lambda: f"parts: {parts_of(home)}", running.process)
        os.kill(running.process.pid, signal.SIGINT)
        running.process.wait(timeout=60)
        assert parts_of(home) == []
        assert not (home / "addresses.json").exists()
    finally:
        running.close()
