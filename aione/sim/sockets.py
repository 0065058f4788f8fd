"""The I/O shell around `aione.sim.streams.Session`: one WebSocket connection from handshake to end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiohttp import WSMsgType, web

from aione.sim.faults import Faults
from aione.sim.hub import Connection, Hub
from aione.sim.options import SimOptions
from aione.sim.streams import Route, Session, Step

_PREFIXES: Final = {"market": Route.MARKET, "public": Route.PUBLIC}


def is_websocket(request: web.Request) -> bool:
    """Return whether a request is the handshake of a stream address."""
    return request.headers.get("Upgrade", "").lower() == "websocket" and address_of(request.path) is not None


def address_of(path: str, streams: str = "") -> tuple[Route, bool, list[str]] | None:
    """Return route, whether the form is combined, and the streams that the address names; None for other paths."""
    parts = path.strip("/").split("/")
    route = _PREFIXES.get(parts[0], Route.UNROUTED)
    if route is not Route.UNROUTED:
        parts = parts[1:]
    match parts:
        case ["stream"]:
            return route, True, streams.split("/")
        case ["ws", *names]:
            return route, False, names
    return None


async def serve_socket(request: web.Request, hub: Hub, faults: Faults, options: SimOptions) -> web.StreamResponse:
    """Serve one connection until it ends."""
    address = address_of(request.path, request.query.get("streams", ""))
    if address is None or faults.refuses_connection():
        hub.counts["connections_refused"] += 1
        return web.Response(status=503, text="Service Unavailable")
    route, is_combined, names = address
    socket = web.WebSocketResponse(autoping=False, compress=False, timeout=1.0)
    await socket.prepare(request)
    transport = request.transport
    if not isinstance(transport, asyncio.Transport):
        return socket
    session = Session(options, is_combined=is_combined)
    connection = Connection(socket, transport, route, session, asyncio.get_running_loop().time())
    hub.join(connection)
    try:
        if await obey(hub, connection, session.open(names)):
            await _listen(hub, connection)
    finally:
        hub.leave(connection)
    return socket


async def _listen(hub: Hub, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    async for message in connection.socket:
        if message.type is WSMsgType.TEXT:
            step = connection.session.receive(message.data, loop.time())
        else:
            step = connection.session.control(loop.time())
            if message.type is WSMsgType.PING:
                await connection.socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                connection.heard_s = loop.time()
        if not await obey(hub, connection, step):
            return


async def obey(hub: Hub, connection: Connection, step: Step) -> bool:
    """Carry out what the session decided; return whether the connection goes on."""
    if step.close is not None:
        code, reason = step.close
        hub.leave(connection)
        hub.counts[f"closed_{code}"] += 1
        await connection.socket.close(code=code, message=reason.encode())
        return False
    if step.reply is not None:
        with contextlib.suppress(ConnectionResetError):  # it may have been cut meanwhile
            await connection.socket.send_str(step.reply.decode())
    hub.unsubscribe(connection, step.removed)
    if connection in hub.connections:
        hub.subscribe(connection, step.added)
    return True


__all__ = ["address_of", "is_websocket", "obey", "serve_socket"]
