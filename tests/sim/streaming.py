"""What the tests of streams share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

from websockets.asyncio.client import ClientConnection


async def first(ws: ClientConnection, within_s: float = 3.0) -> dict:
    return json.loads(await asyncio.wait_for(ws.recv(), within_s))


async def ask(ws: ClientConnection, method: str, params: Iterable[str] = (), number: int = 1) -> list[dict]:
    """Send a control message; return the data that came before its answer."""
    await ws.send(json.dumps({"method": method, "params": list(params), "id": number}))
    before = []
    while True:
        message = await first(ws)
        if "id" in message:
            assert message["id"] == number
            return [*before, message]
        before.append(message)
