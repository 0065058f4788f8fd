"""What one bar message costs, from the socket to the bar that waits to be written, beside two other clients.

    python benchmarks/bench_stream.py [--messages 200000] [--rounds 5] [--cryptofeed PYTHON] [--json]

Three sides on the same messages, in turns, each round: ours (picows, msgspec, `Session`, `BarFeed`), the usual way
(``websockets`` and ``json``, a dict a symbol), and cryptofeed (`peer_cryptofeed.py`, in the interpreter that has it).

1. ``memory``: decode and apply, one thread, no socket.
2. ``flood``: over a loopback socket as fast as the side can: messages a second, and CPU time a message.
3. ``paced``: 5,000 messages a second, each in a packet of its own: CPU time a message, with the loop's wake-up in it.

The sender is a process of its own and costs next to nothing while it floods. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from stream_messages import messages, sender, streams
from websockets.asyncio.client import connect

from aione.stream.bars import BarFeed
from aione.venue.session import Session
from aione.venue.socket import SessionSocket
from config.models import VenueParams

HERE = Path(__file__).parent
PACE = 5_000
PACED_SECONDS = 4


class Ours:
    """The product's own parts."""

    def __init__(self, url="ws://127.0.0.1:1/market/stream"):
        self.feed = BarFeed()
        self.seen = 0
        self.session = Session(url, VenueParams())
        self.session.want(streams(), 0.0)

    def deliver(self, event):
        self.seen += 1
        self.feed.take(event.bar)

    def take(self, payload):
        event = self.session.received(payload, time.monotonic())
        if event is not None:
            self.deliver(event)

    async def over_a_socket(self, url, count):
        self.session.url = url
        run = asyncio.create_task(SessionSocket(self.session, self.deliver).run())
        while not self.seen:
            await asyncio.sleep(0)
        before, began, cpu = self.seen, time.perf_counter(), time.process_time()
        while self.seen < count:
            await asyncio.sleep(0.002)
        share = count / (count - before)
        took, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        return took * share, cpu_s * share


class Usual:
    """What a client written with the json module does to reach the same state."""

    def __init__(self):
        self.forming, self.closed, self.seen = {}, {}, 0

    def take(self, payload):
        message = json.loads(payload)
        data = message.get("data")
        if data is None or data.get("e") != "kline":
            return
        k = data["k"]
        self.seen += 1
        bar = (k["t"], float(k["o"]), float(k["h"]), float(k["l"]), float(k["c"]), float(k["v"]), float(k["q"]),
               float(k["V"]), k["n"])  # fmt: skip
        before = self.forming.get(k["s"])
        if k["x"]:
            self.closed[k["s"], k["t"]] = bar
        elif before is not None and before[0] < bar[0]:
            self.closed[k["s"], before[0]] = before
        self.forming[k["s"]] = bar

    async def over_a_socket(self, url, count):
        async with connect(url, compression=None, max_queue=1024) as connection:
            await connection.send(json.dumps({"method": "SUBSCRIBE", "params": streams(), "id": 1}))
            await connection.recv()
            began, cpu = time.perf_counter(), time.process_time()
            async for payload in connection:
                self.take(payload)
                if self.seen >= count:
                    break
            return time.perf_counter() - began, time.process_time() - cpu


def in_memory(side, made):
    began, cpu = time.perf_counter(), time.process_time()
    for payload in made:
        side.take(payload)
    return time.perf_counter() - began, time.process_time() - cpu


# ── The sides, each a call of (measurement, messages) -> (seconds, CPU seconds) ──


def ours(what, count, made):
    if what == "memory":
        return in_memory(Ours(), made)
    with sender(count, PACE if what == "paced" else 0) as url:
        return asyncio.run(Ours().over_a_socket(url, count))


def usual(what, count, made):
    if what == "memory":
        return in_memory(Usual(), made)
    with sender(count, PACE if what == "paced" else 0) as url:
        return asyncio.run(Usual().over_a_socket(url, count))


def cryptofeed(python):
    def run(what, count, _made):
        def ask(where):
            command = [python, str(HERE / "peer_cryptofeed.py"), where, str(count)]
            said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            return said["seconds"], said["cpu_s"]

        if what == "memory":
            return ask("memory")
        with sender(count, PACE if what == "paced" else 0) as url:
            return ask(url)

    return run


def measure(sides, count, rounds):
    """Return {measurement: {side: {"us": CPU us a message, "per_s": messages a second}}}, medians of the rounds."""
    facts = {}
    for what, number in (("memory", count), ("flood", count), ("paced", PACE * PACED_SECONDS)):
        made = messages(number)
        found = {name: [] for name in sides}
        for _ in range(rounds):
            for name, run in sides.items():
                found[name].append(run(what, number, made))
        facts[what] = {
            name: {
                "us": statistics.median(cpu for _, cpu in rows) / number * 1e6,
                "us_spread": [f(cpu for _, cpu in rows) / number * 1e6 for f in (min, max)],
                "per_s": number / statistics.median(took for took, _ in rows),
            }
            for name, rows in found.items()
        }
    return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cryptofeed", default=os.environ.get("CRYPTOFEED_PYTHON"), help="interpreter that has it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sides = {"ours": ours, "websockets + json": usual}
    if options.cryptofeed:
        sides["cryptofeed"] = cryptofeed(options.cryptofeed)
    else:
        print("cryptofeed is not measured: name its interpreter with --cryptofeed", file=sys.stderr)
    facts = measure(sides, options.messages, options.rounds)
    if options.json:
        print(json.dumps(facts))
        return
    for what, rows in facts.items():
        print(f"{what}, median of {options.rounds} rounds:")
        for name, row in rows.items():
            ratio = row["us"] / rows["ours"]["us"]
            low, high = row["us_spread"]
            print(
                f"  {name:20} {row['us']:6.2f} us CPU a message ({low:.2f} to {high:.2f}), {ratio:4.1f} x ours;"
                f" {row['per_s']:9,.0f} messages/s"
            )


if __name__ == "__main__":
    main()
