"""What one bar message costs, from the bytes to the bar that waits to be written, beside the usual way.

    python benchmarks/bench_stream.py [messages]

Two measurements, each of ours (msgspec structs, session, picows) and of the usual client (``json``, a dict a symbol,
``websockets``) in turn on the same messages:

1. decode and apply: no socket, one thread, CPU time a message;
2. over a loopback socket: messages a second and CPU time a message of the receiving process. The sender is another
   process and the same for both.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import sys
import time

from picows import WSListener, WSMsgType, ws_create_server
from websockets.asyncio.client import connect

from aione.stream.bars import BarFeed
from aione.venue.session import Session
from aione.venue.socket import SessionSocket
from config.models import VenueParams

SYMBOLS = 200
MINUTE = 60_000


def messages(count):
    """Return ``count`` combined kline messages of `SYMBOLS` symbols, a minute every 240 pushes of a symbol."""
    made = []
    for at in range(count):
        symbol = f"COIN{at % SYMBOLS:03d}USDT"
        turn = at // SYMBOLS
        open_ms = 1_700_000_040_000 + turn // 240 * MINUTE
        close = f"{100 + at % 97 / 10:.4f}"
        made.append(
            (
                f'{{"stream":"{symbol.lower()}@kline_1m","data":{{"e":"kline","E":{open_ms + turn % 240 * 250},'
                f'"s":"{symbol}","k":{{"t":{open_ms},"T":{open_ms + MINUTE - 1},"s":"{symbol}","i":"1m",'
                f'"f":4961273001,"L":4961275123,"o":"104.2000","c":"{close}","h":"110.1000","l":"99.9000",'
                f'"v":"10342.551","n":2123,"x":{"true" if turn % 240 == 239 else "false"},"q":"1077693.8142",'
                f'"V":"5210.118","Q":"542894.2956","B":"0"}}}}}}'
            ).encode()
        )
    return made


def streams():
    return [f"coin{at:03d}usdt@kline_1m" for at in range(SYMBOLS)]


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


def in_memory(side, made):
    start = time.process_time()
    for payload in made:
        side.take(payload)
    return (time.process_time() - start) / len(made) * 1e6


# ── Over a socket ──


def sender(port, count):
    """Send the messages to whoever subscribes, as fast as they are taken."""

    class Peer(WSListener):
        made = messages(count)

        def on_ws_frame(self, transport, frame):
            if frame.msg_type == WSMsgType.TEXT:
                transport.send(WSMsgType.TEXT, b'{"result":null,"id":1}')
                self.task = asyncio.get_running_loop().create_task(self.flood(transport))

        async def flood(self, transport):
            for at, payload in enumerate(self.made):
                transport.send(WSMsgType.TEXT, payload)
                if at % 100 == 0:
                    while transport.underlying_transport.get_write_buffer_size() > 1 << 20:  # noqa: ASYNC110
                        await asyncio.sleep(0.0005)
                    await asyncio.sleep(0)

    logging.getLogger("picows").setLevel(logging.ERROR)

    async def serve():
        server = await ws_create_server(lambda _request: Peer(), "127.0.0.1", 0)
        port.value = server.sockets[0].getsockname()[1]
        await asyncio.sleep(600)

    asyncio.run(serve())


async def until(count, side):
    while side.seen < count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def socket_ours(port, count):
    side = Ours(f"ws://127.0.0.1:{port}/market/stream")
    side.session.want(streams()[:SYMBOLS], 0.0)
    run = asyncio.create_task(SessionSocket(side.session, side.deliver).run())
    start, cpu = time.perf_counter(), time.process_time()
    await until(count, side)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    return took, cpu


async def socket_usual(port, count):
    side = Usual()
    async with connect(f"ws://127.0.0.1:{port}/market/stream", compression=None, max_queue=1024) as connection:
        await connection.send(json.dumps({"method": "SUBSCRIBE", "params": streams(), "id": 1}))
        start, cpu = time.perf_counter(), time.process_time()
        async for payload in connection:
            side.take(payload)
            if side.seen >= count:
                break
        return time.perf_counter() - start, time.process_time() - cpu


def with_sender(receive, count):
    port = multiprocessing.Value("i", 0)
    process = multiprocessing.Process(target=sender, args=(port, count), daemon=True)
    process.start()
    while port.value == 0:
        time.sleep(0.01)
    try:
        return asyncio.run(receive(port.value, count))
    finally:
        process.terminate()
        process.join()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    made = messages(count)
    best = {}
    for name, make in (("ours", Ours), ("json + dict", Usual)) * 3:
        best[name] = min(best.get(name, 1e9), in_memory(make(), made))
    print(f"decode and apply, {count} messages, best of 3:")
    for name, microseconds in best.items():
        print(f"  {name:22} {microseconds:6.2f} us a message")
    print(f"  ratio {best['json + dict'] / best['ours']:.1f}")
    print("over a loopback socket:")
    for name, receive in (("ours (picows)", socket_ours), ("websockets + json", socket_usual)):
        took, cpu = with_sender(receive, count)
        print(f"  {name:22} {count / took:9,.0f} messages/s, {cpu / count * 1e6:6.2f} us CPU a message")


if __name__ == "__main__":
    main()
