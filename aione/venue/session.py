"""A WebSocket session with the exchange as a pure state machine: no I/O, no clock, no await.

Events go in (`Session.start`, `want`, `connected`, `received`, `closed`, `tick`, `stop`), commands come out
(`Session.commands`); whoever owns the socket carries them out and calls `tick` at `Session.wake_at_s`.

1. A connection subscribes what is wanted in chunks, under the exchange's limit of control messages.
2. Each stream is tracked from wanted to proven; only data proves it (`aione.venue.stream_track`). One that stays
   silent is unsubscribed and subscribed again, after ``resubscribe_base_s``, then after twice as long, and so on.
3. A stream is believed only what is about its own symbol.
4. A connection that delivers nothing for ``stale_after_s`` is dropped and opened again; later where its streams speak
   seldom (`Rhythm`), and each time after twice as long until it delivers.
5. Reopening waits with full jitter, and as long as the exchange has asked (`hold_s`); the wait grows until data, not a
   mere connection, was delivered.
6. Before the exchange's 24 hours are over the session asks to be replaced (`Rotate`), again and again until it is.
7. `verdict` alone decides what is worth another try.

All times are seconds of one monotonic clock.

There is no queue between the socket and whoever takes the data: a message is decoded and applied in the socket's own
callback, so a process that cannot follow makes the exchange's TCP window close, and nothing is dropped in between.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from math import inf
from typing import Final

from aione.errors import IllegalTransition
from aione.venue.session_parts import (
    Close,
    Command,
    Connect,
    End,
    Phase,
    Rotate,
    Send,
    SessionCounts,
    Verdict,
    hold_s,
    verdict,
)
from aione.venue.stream_control import ControlQueue
from aione.venue.stream_rhythm import Rhythm
from aione.venue.stream_track import MAX_EXPONENT, StreamEvent, StreamState, StreamTrack
from aione.venue.stream_wire import DECODE, UNDECODED, Data, Envelope, KlineEvent, UnknownEvent, explain
from config.models import VenueParams

SWEEP_EVERY_S: Final = 1.0
ROTATION_JITTER_FRAC: Final = 0.05
ROTATE_AGAIN_S: Final = 600.0

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
        self._control = ControlQueue(params.control_messages_per_s)
        self._commands: list[Command] = []
        self._attempt = 0
        self._connect_at_s = inf
        self._alive_s = 0.0
        self._rhythm = Rhythm()
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
        return min(self._control.wake_at_s, self._sweep_at_s)

    # ── Events ──

    def start(self, now_s: float) -> None:
        """Begin: connect at once, unless it was stopped before."""
        if self.phase is Phase.STOPPED:
            return
        if self.phase is not Phase.IDLE:
            raise IllegalTransition(f"a session starts once, was {self.phase}")
        self._wait(now_s, 0.0)
        self.tick(now_s)

    def want(self, streams: Collection[str], now_s: float) -> None:
        """Want exactly these streams; what is new is subscribed, what is not wanted any more unsubscribed."""
        wanted = dict.fromkeys(streams)
        if not self._tracks:
            self._alive_s = now_s
        if wanted.keys() != self._tracks.keys():
            self._rhythm.restart(self.counts.messages, now_s)
        for name in [name for name in self._tracks if name not in wanted]:
            track = self._tracks.pop(name)
            self._control.discard("SUBSCRIBE", name)
            if self.phase is Phase.OPEN and track.state is not StreamState.WANTED:
                self._control.add("UNSUBSCRIBE", [name])
        for name in wanted:
            if name not in self._tracks:
                self._tracks[name] = StreamTrack.of(name, now_s, self._params)
                self._control.discard("UNSUBSCRIBE", name)
                if self.phase is Phase.OPEN:
                    self._control.add("SUBSCRIBE", [name])
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
        self._rhythm.begin(now_s)
        self._control.begin(now_s)
        self._sweep_at_s = now_s + SWEEP_EVERY_S
        life_s = self._params.connection_life_s
        self._rotate_at_s = now_s + life_s * (1.0 - self._uniform(0.0, ROTATION_JITTER_FRAC))
        self._control.add("SUBSCRIBE", self._tracks)
        for track in self._tracks.values():
            track.ask_again_s = inf  # it is asked for anyway
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
        symbol = data.bar.symbol if isinstance(data, KlineEvent) else "" if isinstance(data, list) else data.symbol
        if symbol != track.symbol:
            self.counts.errors["wrong_symbol"] += 1
            return None
        self.counts.messages += 1
        self.last_data_s = self._alive_s = track.since_s = now_s
        if track.state is not _PROVEN:
            track.apply(StreamEvent.DATA)
            track.asked, track.ask_again_s = 0, inf
            self._attempt = self._rhythm.drops = 0
        return data

    def closed(self, end: End, now_s: float) -> None:
        """The socket is gone, or could not be opened; decide what follows."""
        self.last_end = end
        self._control.clear()
        self._rhythm.end(now_s)
        for track in self._tracks.values():
            track.apply(StreamEvent.LOST, now_s if track.state is _PROVEN else None)
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
        self._wait(now_s, hold_s(end) + self._uniform(0.0, ceiling_s))

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

    def judge(self, now_s: float) -> None:
        """Say of every stream that was silent for too long that it is.

        `tick` does so while a connection stands; while none does, whoever owns the session is to call this.
        """
        for track in self._tracks.values():
            track.judge(now_s, self._params.proof_within_s)

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
        said = self._control.replied(envelope.id)
        if envelope.id is None and envelope.error is None:
            self.counts.errors["malformed_message"] += 1
        elif envelope.error is not None:
            self.counts.errors["control_refused"] += 1
        elif said is not None and said[0] == "SUBSCRIBE":
            for name in said[1]:
                track = self._tracks.get(name)
                if track is not None and track.state not in {StreamState.WANTED, StreamState.ACKNOWLEDGED}:
                    track.apply(StreamEvent.ACKED)

    def _pump(self, now_s: float) -> None:
        """Send at most one control message, if the limit allows one now."""
        message = self._control.take(now_s)
        if message is not None:
            method, names, text = message
            if method == "SUBSCRIBE":
                for name in names:
                    self._tracks[name].apply(StreamEvent.SENT)
            self._commands.append(Send(text))

    def _sweep(self, now_s: float) -> None:
        """Find silence: of single streams, of the connection; and age."""
        self.judge(now_s)
        silent_s = now_s - self._alive_s
        if self._tracks and silent_s > self._rhythm.patience_s(
            self._tracks.values(), self._params, messages=self.counts.messages, last_s=self._alive_s
        ):
            self._drop(silent_s)
            return
        if now_s >= self._rotate_at_s:
            self._rotate_at_s = now_s + ROTATE_AGAIN_S
            self._commands.append(Rotate())
        base_s, cap_s = self._params.resubscribe_base_s, self._params.resubscribe_cap_s
        silent = [(name, track) for name, track in self._tracks.items() if track.is_silent]
        again = [name for name, track in silent if track.is_due_again(now_s, base_s, cap_s)]
        if again:
            self._ask_again(again, now_s)

    def _drop(self, silent_s: float) -> None:
        """Leave a connection that delivers nothing."""
        for track in self._tracks.values():
            if track.state is not StreamState.WANTED:
                track.apply(StreamEvent.SILENT)
        self._rhythm.drops += 1
        self.counts.errors["connection_stale"] += 1
        self._close(f"no data for {silent_s:.1f} s", abort=True)

    def _ask_again(self, names: list[str], now_s: float) -> None:
        """Unsubscribe and subscribe silent streams, paced like every control message."""
        self.counts.resubscribed += len(names)
        self._control.add("UNSUBSCRIBE", names)
        self._control.add("SUBSCRIBE", names)
        self._pump(now_s)


__all__ = ["Session"]
