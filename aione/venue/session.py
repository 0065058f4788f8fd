"""A WebSocket session with the exchange as a pure state machine: no I/O, no clock, no await.

Events go in (`Session.start`, `want`, `connected`, `received`, `closed`, `tick`, `stop`), commands come out
(`Session.commands`); whoever owns the socket carries them out and calls `tick` at `Session.wake_at_s`.

1. A connection subscribes what is wanted in chunks, under the exchange's limit of control messages.
2. Each stream is tracked from asked-for to proven; only data proves it (`aione.venue.stream_track`). One that stays
   silent is unsubscribed and subscribed again, after ``resubscribe_base_s``, then after twice as long, and so on.
3. A connection that delivers nothing for ``stale_after_s`` is dropped and opened again.
4. Reopening waits with full jitter; the wait grows until data, not a mere connection, was delivered.
5. Before the exchange's 24 hours are over the session asks once to be replaced (`Rotate`).
6. `verdict` alone decides what is worth another try.

All times are seconds of one monotonic clock.

There is no queue between the socket and whoever takes the data: a message is decoded and applied in the socket's own
callback, so a process that cannot follow makes the exchange's TCP window close, and nothing is dropped in between.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from math import inf
from typing import Final

from aione.errors import IllegalTransition
from aione.venue.session_parts import Close, Command, Connect, End, Phase, Rotate, Send, SessionCounts, Verdict, verdict
from aione.venue.stream_track import StreamEvent, StreamState, StreamTrack
from aione.venue.stream_wire import DECODE, UNDECODED, Data, Envelope, UnknownEvent, control_message, explain
from config.models import VenueParams

STREAMS_A_MESSAGE: Final = 50
SWEEP_EVERY_S: Final = 1.0
ROTATION_JITTER_FRAC: Final = 0.05
MAX_EXPONENT: Final = 16

_PROVEN: Final = StreamState.PROVEN


class Session:
    """One connection to the exchange, reopened for as long as it is wanted.

    Parameters
    ----------
    url : str
        Address including the route, for example ``wss://fstream.binance.com/market/stream``.
    params : VenueParams
        Limits, deadlines and waits.
    uniform : callable (low, high) -> float, optional
        Source of jitter.
    """

    def __init__(
        self, url: str, params: VenueParams, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.url = url
        self.phase = Phase.IDLE
        self.counts = SessionCounts()
        self.last_data_s: float | None = None
        self.last_end: End | None = None
        self._params = params
        self._uniform = uniform
        self._tracks: dict[str, StreamTrack] = {}
        self._to_send: dict[str, dict[str, None]] = {"UNSUBSCRIBE": {}, "SUBSCRIBE": {}}
        self._awaiting: dict[int, tuple[str, list[str]]] = {}
        self._commands: list[Command] = []
        self._next_id = 1
        self._attempt = 0
        self._connect_at_s = inf
        self._control_at_s = 0.0
        self._alive_s = 0.0
        self._sweep_at_s = 0.0
        self._rotate_at_s = inf
        self._is_stopping = False

    # ── What others see ──

    @property
    def is_over(self) -> bool:
        """Return whether the session will never connect again."""
        return self.phase in {Phase.STOPPED, Phase.FAILED}

    @property
    def is_proven(self) -> bool:
        """Return whether every wanted stream has delivered on this connection."""
        return self.phase is Phase.OPEN and all(t.state is StreamState.PROVEN for t in self._tracks.values())

    @property
    def streams(self) -> Collection[str]:
        """Return the names wanted."""
        return self._tracks.keys()

    @property
    def tracks(self) -> Mapping[str, StreamTrack]:
        """Return the wanted streams by name."""
        return self._tracks

    def states(self) -> Counter[str]:
        """Return how many streams are in each state."""
        return Counter(track.state.value for track in self._tracks.values())

    def in_state(self, state: StreamState) -> list[str]:
        """Return the names of the streams in a state."""
        return [name for name, track in self._tracks.items() if track.state is state]

    @property
    def has_commands(self) -> bool:
        """Return whether `commands` has anything to carry out."""
        return bool(self._commands)

    def commands(self) -> list[Command]:
        """Return what is to be carried out, in order, and forget it."""
        commands, self._commands = self._commands, []
        return commands

    @property
    def wake_at_s(self) -> float:
        """Return when `tick` wants to be called; infinite when only an event can change anything."""
        if self.phase is Phase.WAITING:
            return self._connect_at_s
        if self.phase is not Phase.OPEN:
            return inf
        control = self._control_at_s if any(self._to_send.values()) else inf
        return min(control, self._sweep_at_s)

    # ── Events ──

    def start(self, now_s: float) -> None:
        """Begin: connect at once."""
        if self.phase is not Phase.IDLE:
            raise IllegalTransition(f"a session starts once, was {self.phase}")
        self._wait(now_s, 0.0)
        self.tick(now_s)

    def want(self, streams: Collection[str], now_s: float) -> None:
        """Want exactly these streams; what is new is subscribed, what is not wanted any more unsubscribed."""
        subscribe, unsubscribe = self._to_send["SUBSCRIBE"], self._to_send["UNSUBSCRIBE"]
        wanted = dict.fromkeys(streams)
        if not self._tracks:
            self._alive_s = now_s
        for name in [name for name in self._tracks if name not in wanted]:
            track = self._tracks.pop(name)
            subscribe.pop(name, None)
            if self.phase is Phase.OPEN and track.state is not StreamState.WANTED:
                unsubscribe[name] = None
        for name in wanted:
            if name not in self._tracks:
                self._tracks[name] = StreamTrack(since_s=now_s)
                unsubscribe.pop(name, None)
                if self.phase is Phase.OPEN:
                    subscribe[name] = None
        if self.phase is Phase.OPEN:
            self._pump(now_s)

    def connected(self, now_s: float) -> None:
        """The socket is open."""
        if self._is_stopping:
            self._close("stopped before it was open")
            return
        self.phase = Phase.OPEN
        self.counts.connections += 1
        self._alive_s = now_s
        self._control_at_s = now_s
        self._sweep_at_s = now_s + SWEEP_EVERY_S
        life_s = self._params.connection_life_s
        self._rotate_at_s = now_s + life_s * (1.0 - self._uniform(0.0, ROTATION_JITTER_FRAC))
        self._to_send["SUBSCRIBE"].update(dict.fromkeys(self._tracks))
        self._pump(now_s)

    def received(self, payload: bytes, now_s: float) -> Data | None:
        """Take one text message; return its data, or None where there is none for us. Never raises."""
        try:
            envelope = DECODE(payload)
        except UNDECODED as error:
            is_unknown = isinstance(explain(payload, error), UnknownEvent)
            self.counts.errors["unknown_event" if is_unknown else "malformed_message"] += 1
            return None
        stream, data = envelope.stream, envelope.data
        if data is None or stream is None:
            self._reply(envelope)
            return None
        track = self._tracks.get(stream)
        if track is None:
            self.counts.errors["unasked_stream"] += 1
            return None
        self.counts.messages += 1
        self.last_data_s = self._alive_s = track.since_s = now_s
        if track.state is not _PROVEN:
            track.apply(StreamEvent.DATA)
            track.asked, track.ask_again_s = 0, inf
            self._attempt = 0
        return data

    def closed(self, end: End, now_s: float) -> None:
        """The socket is gone, or could not be opened; decide what follows."""
        self.last_end = end
        self._awaiting.clear()
        for pending in self._to_send.values():
            pending.clear()
        for track in self._tracks.values():
            track.apply(StreamEvent.LOST)
        if self._is_stopping:
            self.phase = Phase.STOPPED
            return
        self.counts.errors["connection_ended"] += 1
        if verdict(end) is Verdict.FATAL:
            self.phase = Phase.FAILED
            return
        self.counts.reconnects += 1
        ceiling_s = min(self._params.backoff_cap_s, self._params.backoff_base_s * 2 ** min(self._attempt, MAX_EXPONENT))
        self._attempt += 1
        self._wait(now_s, self._uniform(0.0, ceiling_s))

    def tick(self, now_s: float) -> None:
        """Do what is due at ``now_s``."""
        if self.phase is Phase.WAITING and now_s >= self._connect_at_s:
            self.phase = Phase.CONNECTING
            self._commands.append(Connect(self.url))
        elif self.phase is Phase.OPEN:
            self._pump(now_s)
            if now_s >= self._sweep_at_s:
                self._sweep_at_s = now_s + SWEEP_EVERY_S
                self._sweep(now_s)

    def stop(self) -> None:
        """End for good: close what is open and never connect again."""
        self._is_stopping = True
        if self.phase is Phase.OPEN:
            self._close("stopped")
        elif self.phase in {Phase.IDLE, Phase.WAITING}:
            self.phase = Phase.STOPPED

    # ── Inside ──

    def _wait(self, now_s: float, delay_s: float) -> None:
        self.phase = Phase.WAITING
        self._connect_at_s = now_s + delay_s

    def _close(self, reason: str, *, abort: bool = False) -> None:
        self.phase = Phase.CLOSING
        self._commands.append(Close(reason, abort))

    def _reply(self, envelope: Envelope) -> None:
        method, names = self._awaiting.pop(envelope.id if envelope.id is not None else -1, ("", []))
        if envelope.id is None and envelope.error is None:
            self.counts.errors["malformed_message"] += 1
        elif envelope.error is not None:
            self.counts.errors["control_refused"] += 1
        elif method == "SUBSCRIBE":
            for track in self._known(names):
                track.apply(StreamEvent.ACKED)

    def _known(self, names: list[str]) -> Iterator[StreamTrack]:
        """Yield the tracks that are still wanted and were sent on this connection."""
        for name in names:
            track = self._tracks.get(name)
            if track is not None and track.state not in {StreamState.WANTED, StreamState.ACKNOWLEDGED}:
                yield track

    def _pump(self, now_s: float) -> None:
        """Send at most one control message, if the limit allows one now."""
        if now_s < self._control_at_s:
            return
        for method, pending in self._to_send.items():
            if pending:
                names = list(pending)[:STREAMS_A_MESSAGE]
                for name in names:
                    del pending[name]
                    if method == "SUBSCRIBE":
                        self._tracks[name].apply(StreamEvent.SENT, now_s)
                self._awaiting[self._next_id] = (method, names)
                self._commands.append(Send(control_message(method, names, self._next_id)))
                self._next_id += 1
                self._control_at_s = now_s + 1.0 / self._params.control_messages_per_s
                return

    def _sweep(self, now_s: float) -> None:
        """Find silence: of single streams, of the connection; and age."""
        again: list[str] = []
        for name, track in self._tracks.items():
            patience_s = self._params.proof_within_s
            if track.state in {StreamState.PROVEN, StreamState.STALE}:
                patience_s = self._params.stream_stale_after_s
            if track.state is not StreamState.WANTED and now_s - track.since_s > patience_s:
                track.apply(StreamEvent.SILENT)
            if track.is_silent and self._is_to_be_asked_again(track, now_s):
                again.append(name)
        if self._tracks and now_s - self._alive_s > self._params.stale_after_s:
            for track in self._tracks.values():
                if track.state is not StreamState.WANTED:
                    track.apply(StreamEvent.SILENT)
            self.counts.errors["connection_stale"] += 1
            self._close(f"no data for {now_s - self._alive_s:.1f} s", abort=True)
        elif now_s >= self._rotate_at_s:
            self._rotate_at_s = inf
            self._commands.append(Rotate())
        elif again:
            self._ask_again(again, now_s)

    def _is_to_be_asked_again(self, track: StreamTrack, now_s: float) -> bool:
        """Return whether a silent stream's wait is over, and begin the next one, twice as long."""
        is_due = now_s >= track.ask_again_s
        if is_due or track.ask_again_s == inf:
            track.asked += is_due
            wait_s = self._params.resubscribe_base_s * 2 ** min(track.asked, MAX_EXPONENT)
            track.ask_again_s = now_s + min(wait_s, self._params.resubscribe_cap_s)
        return is_due

    def _ask_again(self, names: list[str], now_s: float) -> None:
        """Unsubscribe and subscribe silent streams, paced like every control message."""
        self.counts.resubscribed += len(names)
        for pending in self._to_send.values():
            pending.update(dict.fromkeys(names))
        self._pump(now_s)


__all__ = ["STREAMS_A_MESSAGE", "Session"]
