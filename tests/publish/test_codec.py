"""What is published comes back as it was, and bytes that are no message are refused."""

from __future__ import annotations

import contextlib
import math

import lz4.frame
import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.publish import codec
from aione.publish.codec import decode, decode_message, encode
from aione.publish.payload import Asset, Counters, Delta, MarketContext, Meta, Narrative, RiskParameters, Snapshot

numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
words = st.text(max_size=12).filter(lambda text: text.isprintable())
metas = st.builds(
    Meta,
    schema_version=st.sampled_from(["1.0.0", "1.9.3"]),
    epoch=words,
    seq=st.integers(1, 2**53),
    ts=st.integers(0, 2**53),
    source=words,
    stale=st.booleans(),
    bar_time_ms=st.integers(0, 2**53),
    warnings=st.lists(words, max_size=2),
)
assets = st.builds(
    Asset,
    symbol=words,
    state=st.sampled_from(["alert", "normal", "no_data"]),
    price=numbers,
    stats=st.dictionaries(words, numbers, max_size=3),
    market_context=st.none() | st.builds(MarketContext, scenario=st.sampled_from(["RANGE_BOUND", "MANIPULATED"])),
    risk_parameters=st.none()
    | st.builds(
        RiskParameters,
        side=st.sampled_from(["long", "short"]),
        entry=numbers,
        sl=numbers,
        tp=st.lists(numbers, max_size=3),
        rr=numbers,
    ),
    narrative=st.none() | st.builds(Narrative, en=words, uk=words),
)
counters = st.builds(Counters, universe=st.integers(0, 10_000))
messages = st.one_of(
    st.builds(Snapshot, meta=metas, counters=counters, assets=st.lists(assets, max_size=4)),
    st.builds(
        Delta, meta=metas, counters=counters, assets=st.lists(assets, max_size=4), removed=st.lists(words, max_size=2)
    ),
)


@settings(max_examples=40, deadline=None)
@given(messages)
def test_every_message_survives_the_wire(message) -> None:
    data = encode(message)
    assert decode_message(data) == message
    assert decode(data) == msgspec.to_builtins(message)
    assert orjson.loads(lz4.frame.decompress(data)) == msgspec.to_builtins(message)
    assert encode(message) == data


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data) -> None:
    with pytest.raises(InvalidInput):
        decode(data)


@settings(max_examples=100, deadline=None)
@given(messages, st.data())
def test_a_damaged_frame_is_refused_or_still_an_object(message, data) -> None:
    """A flipped bit is found by the checksum, unless it is one that says nothing about the content."""
    frame = bytearray(encode(message))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(InvalidInput):
        assert decode(bytes(frame)) == msgspec.to_builtins(message)


def _message(**change) -> Snapshot:
    meta = Meta(schema_version="1.0.0", epoch="e", seq=1, ts=1, source="s", stale=False, bar_time_ms=0)
    return Snapshot(
        meta=msgspec.structs.replace(meta, **change), counters=Counters(), assets=[Asset(symbol="X", state="normal")]
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda frame: frame[:-5],
        lambda frame: frame + b"x",
        lambda frame: frame + frame,
        lambda _: lz4.frame.compress(b"not json"),
        lambda _: lz4.frame.compress(b"[1, 2]"),
        lambda _: lz4.frame.compress(b'{"a": 1}\xff'),
        lambda _: orjson.dumps({"type": "snapshot"}),
    ],
)
def test_what_is_no_single_whole_frame_of_an_object_is_refused(damage) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        decode(damage(encode(_message())))


def test_a_frame_that_would_fill_the_memory_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(codec, "MAX_BYTES", 3 << 20)
    with pytest.raises(InvalidInput, match=f"{3 << 20} bytes"):
        decode(lz4.frame.compress(b" " * (4 << 20) + b"{}"))


def test_a_large_frame_is_read_whole() -> None:
    """Larger than the chunks in which a frame is unpacked."""
    assert decode(lz4.frame.compress(b" " * (3 << 20) + b'{"a": 1}')) == {"a": 1}


def test_numbers_that_are_none_are_written_as_null() -> None:
    asset = Asset(symbol="X", state="normal", price=math.nan, stats={"rsi": math.inf})
    written = decode(encode(msgspec.structs.replace(_message(), assets=[asset])))["assets"][0]
    assert written["price"] is None
    assert written["stats"] == {"rsi": None}


def test_another_major_version_is_refused_by_its_number() -> None:
    with pytest.raises(InvalidInput, match=r"2\.0\.0"):
        decode_message(encode(_message(schema_version="2.0.0")))


def test_another_major_version_of_another_form_is_refused_by_its_number_too() -> None:
    data = lz4.frame.compress(orjson.dumps({"meta": {"schema_version": "3.1.0"}, "kind": "whole"}))
    with pytest.raises(InvalidInput, match=r"schema was 3\.1\.0"):
        decode_message(data)


def test_an_object_that_is_no_message_is_refused() -> None:
    with pytest.raises(InvalidInput, match="schema"):
        decode_message(lz4.frame.compress(b'{"a": 1}'))
