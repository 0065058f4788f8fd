"""The socket under a session: carries out its commands with picows and tells it what happened. No decisions here.

picows answers the exchange's pings by itself. A message may come in fragments; they are joined here.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSInvalidURL,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from aione.venue.session import Session
from aione.venue.session_parts import Close, Connect, End, Phase, Send
from aione.venue.stream_wire import Data

CONNECT_WITHIN_S: Final = 10.0
"""From the first packet to the end of the handshake: the system alone would wait for minutes for an address that is
silent."""
GOODBYE_WITHIN_S: Final = 1.0
NO_CODE: Final = 1005
LONGEST_BAN_S: Final = 3 * 86_400.0
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]*)?")

Deliver: TypeAlias = Callable[[Data], None]


class SessionSocket(WSListener):
    """Drives one `Session` over real sockets until it is over.

    Parameters
    ----------
    session : Session
    deliver : callable
        Takes each decoded event, on the event loop's thread; must not raise.
    on_open, on_rotate : callable, optional
        Told each time a connection stands, and when the session wants to be replaced.
    """

    def __init__(
        self,
        session: Session,
        deliver: Deliver,
        *,
        on_open: Callable[[], None] = lambda: None,
        on_rotate: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._deliver = deliver
        self._on_open = on_open
        self._on_rotate = on_rotate
        self._transport: WSTransport | None = None
        self._end: End | None = None
        self._has_stood = False
        self._fragments = bytearray()
        self._wake = asyncio.Event()
        self._now_s = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Run until the session is over; on cancellation say goodbye to the exchange first."""
        session = self._session
        session.start(self._now_s())
        try:
            while True:
                await self._carry_out()
                if session.is_over:
                    return
                await self._sleep_until(session.wake_at_s)
                session.tick(self._now_s())
        finally:
            await self._goodbye()

    def wake(self) -> None:
        """Look at the session's commands now: somebody else has spoken to it."""
        self._wake.set()

    # ── What the session commands ──

    async def _carry_out(self) -> None:
        for command in self._session.commands():
            match command:
                case Connect(url):
                    await self._connect(url)
                case Send(payload):
                    if self._transport is not None:
                        self._transport.send(WSMsgType.TEXT, payload)
                case Close(reason, abort):
                    self._close(reason, abort=abort)
                case _:
                    self._on_rotate()

    async def _connect(self, url: str) -> None:
        self._fragments.clear()
        self._end = None
        self._has_stood = False
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await self._dial(url)
        except (WSError, OSError, TimeoutError) as error:
            if not self._has_stood:  # else on_ws_disconnected has told the session, or will
                self._session.closed(_end_of(error), self._now_s())
                self._wake.set()

    async def _dial(self, url: str) -> None:
        """Open the connection; `on_ws_connected` is called before this returns."""
        await ws_connect(lambda: self, url, websocket_handshake_timeout=CONNECT_WITHIN_S, logger_name="aione")

    def _close(self, reason: str, *, abort: bool) -> None:
        if self._transport is None:
            return
        self._end = self._end or End(reason)
        if not abort:
            self._transport.send_close(WSCloseCode.OK)
        self._transport.disconnect(graceful=not abort)

    async def _sleep_until(self, at_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if at_s == float("inf") else max(0.0, at_s - self._now_s())):
                await self._wake.wait()
        self._wake.clear()

    async def _goodbye(self) -> None:
        transport = self._transport
        if transport is None:
            return
        self._close("stopped", abort=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_WITHIN_S):
                await transport.wait_disconnected()
        if self._transport is not None:
            transport.disconnect(graceful=False)

    # ── What picows tells ──

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Tell the session, unless it was told already that this attempt has failed."""
        if self._transport is not None or self._session.phase is not Phase.CONNECTING:
            transport.disconnect(graceful=False)
            return
        self._transport = transport
        self._has_stood = True
        self._session.connected(self._now_s())
        self._wake.set()
        self._on_open()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Join fragments; hand a whole message to the session and its data on."""
        payload = frame.get_payload_as_bytes()
        if frame.msg_type not in _DATA_FRAMES:
            if frame.msg_type == WSMsgType.CLOSE:
                self._say_goodbye(transport, payload)
            return
        if self._fragments or not frame.fin:
            self._fragments += payload
            if not frame.fin:
                return
            payload = bytes(self._fragments)
            self._fragments.clear()
        data = self._session.received(payload, self._now_s())
        if data is not None:
            self._deliver(data)

    def _say_goodbye(self, transport: WSTransport, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
        reason = payload[2:].decode("utf-8", "replace")
        self._end = End(f"closed by the exchange with code {code} {reason}".rstrip(), code=code)
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Tell the session, if it was its connection."""
        if transport is not self._transport:
            return
        self._transport = None
        self._session.closed(self._end or End("connection lost"), self._now_s())
        self._wake.set()


_DATA_FRAMES: Final = frozenset({WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION})


def _end_of(error: Exception) -> End:
    """Translate what picows and the system raise while connecting."""
    if isinstance(error, WSHandshakeError):
        if error.response is None:
            return End(f"upgrade refused: {error}")
        asked = error.response.headers.get("Retry-After", "").strip()
        retry_after_s = min(float(asked), LONGEST_BAN_S) if _SECONDS.fullmatch(asked) else None
        return End(f"upgrade refused: {error}", status=int(error.response.status), retry_after_s=retry_after_s)
    if isinstance(error, WSInvalidURL | ssl.SSLCertVerificationError):
        return End(str(error), is_hopeless=True)
    if isinstance(error, TimeoutError):
        return End(f"no connection within {CONNECT_WITHIN_S:g} s")
    return End(str(error) or type(error).__name__)


__all__ = ["Deliver", "SessionSocket"]
