"""What the tests of session share."""

from __future__ import annotations

import json

from aione.venue.session import Session
from aione.venue.session_parts import Connect, Send
from config.models import VenueParams

URL = "ws://exchange/market/stream"


PARAMS = VenueParams(
    stale_after_s=15.0,
    proof_within_s=70.0,
    stream_stale_after_s=130.0,
    connection_life_s=3600.0,
    control_messages_per_s=5,
    backoff_base_s=0.5,
    backoff_cap_s=30.0,
)


def ceiling(_low, high):
    return high


def make(streams=("btcusdt@kline_1m",), uniform=ceiling, **changes):
    session = Session(URL, PARAMS.model_copy(update=changes), uniform=uniform)
    session.want(streams, 0.0)
    return session


def opened(*args, now_s=0.0, **kwargs):
    session = make(*args, **kwargs)
    session.start(now_s)
    assert session.commands() == [Connect(URL)]
    session.connected(now_s)
    return session


def push(stream="btcusdt@kline_1m", symbol=None):
    symbol = symbol or stream.partition("@")[0].upper()
    bar = {"t": 60_000, "s": symbol, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "1", "q": "1", "V": "1",
           "n": 1, "x": False}  # fmt: skip
    return json.dumps({"stream": stream, "data": {"e": "kline", "E": 60_001, "s": symbol, "k": bar}}).encode()


def sent(session):
    return [json.loads(command.payload) for command in session.commands() if isinstance(command, Send)]


def only(session):
    (track,) = session._tracks.values()
    return track.state
