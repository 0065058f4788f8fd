"""Scheduled minutes in real time: is each published, once, how late, and what does it cost?

``python benchmarks/soak_minutes.py [--minutes 60] [--symbols 500] [--runner warm|process] [--kill]`` starts the whole
system in a home of its own (simulated exchange, embedded Redis, Prefect server on SQLite, stream worker), waits for the
first cycle and then watches from the outside. ``--kill`` ends the Prefect worker, the Prefect server, Redis and the
warm process in turn with SIGKILL, evenly spread over the time.

Lateness is the time from the minute's end to the moment its snapshot can be read. CPU seconds are those of each part
with everything it started, by /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import redis as sync_redis

from aione.run.leftovers import MARK
from aione.store import keys

PARTS = {
    "exchange": "aione sim",
    "prefect-server": "server start",
    "stream": "aione stream",
    "flows": "deployments.warm.serve",
    "prefect-worker": "worker start",
}
TICKS = os.sysconf("SC_CLK_TCK")
MINUTE_MS = 60_000
FLOORS = "AIONE_STAGE1_PREFILTER_THRESHOLDS__"
NO_FLOORS = {
    f"{FLOORS}{name}": "0"
    for name in (
        "min_age_days",
        "min_quote_volume_24h",
        "min_range_frac_24h",
        "min_open_interest_quote",
        "min_depth_quote",
        "min_atr_frac",
    )
} | {f"{FLOORS}max_spread_frac": "1", "AIONE_PREFILTER_BASE_PARAMS__max_symbols": "2000"}
"""The prefilter lets every symbol through, so that each minute carries all of them."""
KILLED = ("prefect-worker", "prefect-server", "redis", "flows")


@dataclass
class Watched:
    """CPU seconds of each part, over restarts, and its memory."""

    seen: dict[tuple[str, int], float] = field(default_factory=dict)
    first: dict[tuple[str, int], float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)

    def look(self, home: Path) -> dict[str, int]:
        found = {}
        for name, pid in parts(home):
            cpu = cpu_seconds(pid)
            self.first.setdefault((name, pid), cpu)
            self.seen[name, pid] = cpu
            found[name] = pid
        return found

    def begin(self, home: Path) -> None:
        self.look(home)
        self.first = dict(self.seen)

    def cpu(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for key, cpu in self.seen.items():
            total[key[0]] = total.get(key[0], 0.0) + cpu - self.first[key]
        return total

    def weigh(self, home: Path) -> None:
        for name, pid in parts(home):
            try:
                rows = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            pss = next(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
            self.memory_mb[name] = max(self.memory_mb.get(name, 0.0), pss / 1024)


def parts(home: Path) -> list[tuple[str, int]]:
    """Return the parts that `aione up` started, by the mark in their environment; forks of theirs are theirs.

    Redis writes its title over its environment; it is known by where it keeps its data.
    """
    wanted, found = f"{MARK}={home}".encode(), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").readlink() == home / "redis":
                found.append(("redis", int(entry.name)))
                continue
            if wanted not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if os.getpgid(int(entry.name)) != int(entry.name) or b"PREFECT__" in (entry / "environ").read_bytes():
                continue
            if parent(int(entry.name)) in {pid for _, pid in found}:
                continue
        except OSError:
            continue
        found += [(name, int(entry.name)) for name, text in PARTS.items() if text in command]
    pids = {pid for _, pid in found}
    return [(name, pid) for name, pid in found if parent(pid) not in pids]


def parent(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[1])


def cpu_seconds(pid: int) -> float:
    values = (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, values[11:15])) / TICKS


def database_bytes(home: Path) -> int:
    return sum(path.stat().st_size for path in (home / "prefect").glob("prefect.db*"))


def cycles(redis: sync_redis.Redis) -> list[dict]:
    rows = redis.xrange(keys.cycles())
    return [{"bar_ms": int(row[b"bar_time_ms"]), **json.loads(row[b"cycle"])} for _, row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--runner", choices=("warm", "process"), default="warm")
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aione-soak-") as directory:
        home = Path(directory) / "home"
        home.mkdir()
        with (home / "up.err").open("wb") as errors:
            command = [sys.executable, "-m", "aione", "up", "--sim", "--symbols", str(options.symbols), "--json"]
            environ = {**os.environ, **NO_FLOORS, "AIONE_HOME": str(home), "AIONE_FLOW_RUNNER": options.runner}
            system = subprocess.Popen(
                command, env=environ, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )
            try:
                return soak(options, home, system)
            finally:
                system.send_signal(signal.SIGINT)
                try:
                    system.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(system.pid, signal.SIGKILL)


def soak(options: argparse.Namespace, home: Path, system: subprocess.Popen) -> int:
    addresses = wait_for_start(home, system)
    redis = sync_redis.Redis.from_url(addresses["REDIS_URL"], retry_on_timeout=True)
    while not cycles(redis):
        time.sleep(0.5)
    time.sleep(5)
    first_ms = (time.time_ns() // 1_000_000) // MINUTE_MS * MINUTE_MS + MINUTE_MS
    time.sleep((first_ms - 5_000 - time.time_ns() / 1e6) / 1000 if first_ms - 5_000 > time.time_ns() / 1e6 else 0)
    watched, size = Watched(), database_bytes(home)
    watched.begin(home)
    began, load = time.monotonic(), os.getloadavg()
    print(f"{options.minutes} minutes, {options.symbols} symbols, runner {options.runner}, load before {load[0]:.2f}")
    kills = kill_plan(options, first_ms) if options.kill else []
    end_ms = first_ms + options.minutes * MINUTE_MS - 15_000
    told, done = 0, []
    while time.time_ns() / 1e6 < end_ms:
        time.sleep(0.5)
        running = watched.look(home)
        if kills and time.time_ns() / 1e6 >= kills[0][0]:
            _, part = kills.pop(0)
            os.killpg(running[part], signal.SIGKILL)
            print(f"{now_text()} killed {part}", flush=True)
        try:
            done = [
                one for one in cycles(redis) if one["source"] == "screening" and one["scheduled_ms"] >= first_ms - 1000
            ]
        except (sync_redis.ConnectionError, sync_redis.TimeoutError):
            continue
        for one in done[told:]:
            print(f"{now_text()} bar {one['bar_time']} seq {one['seq']} after {late_s(one):.2f} s", flush=True)
        told = max(told, len(done))
        if told and int(time.time()) % 30 == 0:
            watched.weigh(home)
    seconds = time.monotonic() - began
    report(options, done, first_ms, seconds, watched, (size, database_bytes(home)), addresses)
    return 0


def kill_plan(options: argparse.Namespace, first_ms: int) -> list[tuple[float, str]]:
    """Return when, 20 s into a minute, which part is ended."""
    step = options.minutes / (len(KILLED) + 1)
    return [(first_ms + round((n + 1) * step) * MINUTE_MS + 20_000, part) for n, part in enumerate(KILLED)]


def late_s(cycle: dict) -> float:
    return cycle["late_s"]


def now_text() -> str:
    return datetime.now(UTC).strftime("%H:%M:%S")


def wait_for_start(home: Path, system: subprocess.Popen) -> dict[str, str]:
    path = home / "addresses.json"
    deadline = time.monotonic() + 900
    while not path.exists():
        if system.poll() is not None or time.monotonic() > deadline:
            raise SystemExit((home / "up.err").read_text()[-2000:])
        time.sleep(0.5)
    return json.loads(path.read_text())


def report(options, done, first_ms, seconds, watched, sizes, addresses) -> None:
    wanted = [first_ms - MINUTE_MS + n * MINUTE_MS for n in range(options.minutes)]
    held = [one["bar_ms"] for one in done]
    published = [bar for bar in wanted if bar in set(held)]
    missed = [datetime.fromtimestamp(bar / 1000, UTC).strftime("%H:%M") for bar in wanted if bar not in set(held)]
    twice = sorted({bar for bar in held if held.count(bar) > 1})
    late = sorted(late_s(one) for one in done)
    print(f"machine: {machine()}; load after {os.getloadavg()[0]:.2f}")
    print(f"published {len(published)} of {len(wanted)} minutes, {len(twice)} twice")
    print(f"missed: {', '.join(missed) or 'none'}")
    if late:
        p95 = late[min(len(late) - 1, int(0.95 * len(late)))]
        print(f"lateness after the minute: p50 {statistics.median(late):.2f} s, p95 {p95:.2f} s, max {late[-1]:.2f} s")
        print(
            f"symbols {min(one['symbols'] for one in done)} to {max(one['symbols'] for one in done)}, "
            f"missing bars {sum(one['missing_bars'] for one in done)}"
        )
    cpu = watched.cpu()
    for name, value in sorted(cpu.items()):
        per_minute = value / seconds * 60
        print(f"{name:<16} {per_minute:6.2f} CPU s a minute, {watched.memory_mb.get(name, 0):6.0f} MB")
    runs = sum(cpu.get(name, 0.0) for name in ("flows", "prefect-worker")) / seconds * 60
    print(f"runs (worker, warm process and what they start): {runs:.2f} CPU s a minute")
    grown = (sizes[1] - sizes[0]) / 1e3 / options.minutes
    print(f"database: {sizes[0] / 1e6:.1f} -> {sizes[1] / 1e6:.1f} MB, {grown:.0f} kB a minute")
    print(f"screening runs by state: {states(addresses, first_ms)}")


def states(addresses: dict[str, str], first_ms: int) -> dict[str, int]:
    since = datetime.fromtimestamp(first_ms / 1000 - 1, UTC).isoformat()
    found: dict[str, int] = {}
    for offset in range(0, 2000, 200):
        body = {
            "flows": {"name": {"any_": ["screening"]}},
            "flow_runs": {"expected_start_time": {"after_": since, "before_": datetime.now(UTC).isoformat()}},
            "limit": 200,
            "offset": offset,
        }
        rows = httpx.post(f"{addresses['PREFECT_API_URL']}/flow_runs/filter", json=body, timeout=30).json()
        for row in rows:
            found[row["state_name"]] = found.get(row["state_name"], 0) + 1
        if len(rows) < 200:
            break
    return found


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    return f"{len(os.sched_getaffinity(0))} CPUs {model}, {memory:.0f} GB, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
