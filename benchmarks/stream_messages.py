"""Kline messages as the exchange sends them, and a peer that sends them: shared by every side of `bench_stream.py`.

Standard library only, so that it runs in an environment that has nothing but the other client.
"""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import socket
import time
from contextlib import contextmanager

SYMBOLS = 200
MINUTE = 60_000
CHUNK = 1 << 20
ACKNOWLEDGED = b'{"result":null,"id":1}'


def symbols():
    return [f"COIN{at:03d}USDT" for at in range(SYMBOLS)]


def streams():
    return [f"{symbol.lower()}@kline_1m" for symbol in symbols()]


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


# ── The peer: a socket that speaks just enough of the protocol, so that it is never what is measured ──


def frame(payload):
    """Return one unmasked text frame."""
    size = len(payload)
    head = bytes([0x81, size]) if size < 126 else bytes([0x81, 126]) + size.to_bytes(2, "big")
    return head + payload


def send(port, count, per_second):
    """Serve one client: all messages as fast as it takes them, or each in a packet of its own, ``per_second``."""
    frames = [frame(payload) for payload in messages(count)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port.value = server.getsockname()[1]
        client, _ = server.accept()
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        headers = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if ": " in line)
        key = {name.lower(): value for name, value in headers.items()}["sec-websocket-key"]
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        client.sendall(f"{answer}Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n".encode())
        client.recv(1 << 16)  # the subscription
        client.sendall(frame(ACKNOWLEDGED))
        if per_second:
            due = time.perf_counter()
            for one in frames:
                while time.perf_counter() < due:
                    pass
                client.sendall(one)
                due += 1 / per_second
        else:
            joined = b"".join(frames)
            for at in range(0, len(joined), CHUNK):
                client.sendall(joined[at : at + CHUNK])
        client.recv(1 << 16)  # until the client has had enough


@contextmanager
def sender(count, per_second=0):
    """Run the peer in a process of its own and give the address."""
    context = multiprocessing.get_context("spawn")
    port = context.Value("i", 0)
    process = context.Process(target=send, args=(port, count, per_second), daemon=True)
    process.start()
    while port.value == 0:
        time.sleep(0.01)
    try:
        yield f"ws://127.0.0.1:{port.value}/market/stream"
    finally:
        process.terminate()
        process.join()
