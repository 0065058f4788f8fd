"""cryptofeed's own way from a message to a candle, for `bench_stream.py`; runs where cryptofeed is installed.

    python benchmarks/peer_cryptofeed.py memory COUNT
    python benchmarks/peer_cryptofeed.py ws://127.0.0.1:PORT/market/stream COUNT

Its `BinanceFutures.message_handler` and its loop (uvloop) and socket (`websockets`, with the options of its endpoint)
as they are; its own reader takes TLS addresses only, so its two lines stand here. Prints {"seconds", "cpu_s", "bars"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import uvloop
from cryptofeed.defines import CANDLES
from cryptofeed.exchanges import BinanceFutures
from cryptofeed.symbols import Symbols
from stream_messages import messages, symbols
from websockets import connect


class Side:
    def __init__(self):
        names = {f"{symbol[:-4]}-USDT-PERP": symbol for symbol in symbols()}
        Symbols.set(BinanceFutures.id, names, {"tick_size": {}, "instrument_type": {}})
        self.forming, self.closed, self.seen = {}, {}, 0
        self.feed = BinanceFutures(
            symbols=list(names), channels=[CANDLES], callbacks={CANDLES: self.take}, candle_closed_only=False
        )

    async def take(self, candle, _receipt_s):
        self.seen += 1
        if candle.closed:
            self.closed[candle.symbol, candle.start] = candle
        self.forming[candle.symbol] = candle


async def in_memory(count):
    side, made = Side(), [payload.decode() for payload in messages(count)]
    began, cpu = time.perf_counter(), time.process_time()
    for payload in made:
        await side.feed.message_handler(payload, None, time.time())
    return side, time.perf_counter() - began, time.process_time() - cpu


async def over_a_socket(url, count):
    side = Side()
    options = BinanceFutures.websocket_endpoints[0].options
    async with connect(url, **options) as connection:
        await connection.send("{}")
        await connection.recv()  # the acknowledgement, which its own subscription by address never gets
        began, cpu = time.perf_counter(), time.process_time()
        async for payload in connection:
            await side.feed.message_handler(payload, None, time.time())
            if side.seen >= count:
                break
        return side, time.perf_counter() - began, time.process_time() - cpu


def main():
    where, count = sys.argv[1], int(sys.argv[2])
    uvloop.install()
    side, took, cpu_s = asyncio.run(in_memory(count) if where == "memory" else over_a_socket(where, count))
    assert side.seen == count, f"{side.seen} of {count} messages became candles"
    print(json.dumps({"seconds": took, "cpu_s": cpu_s, "bars": len(side.closed)}))


if __name__ == "__main__":
    main()
