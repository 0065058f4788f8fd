"""Bytes on the wire: one LZ4 frame around one JSON object. Pure: no I/O.

Encoding is deterministic: the same message gives the same bytes. NaN and infinity are written as ``null``.
"""

from __future__ import annotations

from typing import Any, Final

import lz4.frame
import msgspec
import orjson

from aione.errors import InvalidInput
from aione.publish.payload import SCHEMA_VERSION, Message

CHUNK_BYTES: Final = 1 << 20
MAX_BYTES: Final = 256 * 1024 * 1024
"""A frame that would unpack to more than this is refused before it fills the memory."""


def encode(message: Message) -> bytes:
    """Return the LZ4 frame of a snapshot or delta, with a checksum of its content."""
    return bytes(lz4.frame.compress(msgspec.json.encode(message), content_checksum=True))


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object inside a frame, with every field that the sender wrote.

    Raises
    ------
    InvalidInput
        Not one whole LZ4 frame, or not a JSON object inside.
    """
    try:
        content = orjson.loads(unpack(data))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"expected JSON inside the frame: {error}") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"expected a JSON object inside the frame, was {type(content).__name__}")
    return content


def decode_message(data: bytes) -> Message:
    """Return a frame's message as its struct; fields of a newer minor version are ignored.

    Raises
    ------
    InvalidInput
        A bad frame, content that does not follow the schema, or another major version of it.
    """
    raw = unpack(data)
    try:
        message: Message = _MESSAGE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{_version_note(raw)}expected a message of schema {SCHEMA_VERSION}: {error}") from error
    if _major(message.meta.schema_version) != _major(SCHEMA_VERSION):
        raise InvalidInput(f"expected payload schema {_major(SCHEMA_VERSION)}.x, was {message.meta.schema_version}")
    return message


def unpack(data: bytes) -> bytes:
    """Return the content of one whole LZ4 frame; `InvalidInput` for anything else."""
    decompressor = lz4.frame.LZ4FrameDecompressor()
    chunks: list[bytes] = []
    try:
        chunks.append(decompressor.decompress(data, max_length=CHUNK_BYTES))
        while not decompressor.eof and not decompressor.needs_input and len(chunks) * CHUNK_BYTES < MAX_BYTES:
            chunks.append(decompressor.decompress(b"", max_length=CHUNK_BYTES))
    except (RuntimeError, EOFError) as error:  # what lz4 raises for a frame that it cannot read
        raise InvalidInput(f"expected an LZ4 frame, was {len(data)} bytes that are none: {error}") from error
    if not decompressor.eof:
        raise InvalidInput(f"expected a whole LZ4 frame of at most {MAX_BYTES} bytes, {len(data)} bytes were not")
    if decompressor.unused_data:
        raise InvalidInput(f"expected one LZ4 frame, {len(decompressor.unused_data)} bytes follow it")
    return b"".join(chunks)


def _version_note(raw: bytes) -> str:
    try:
        version = msgspec.json.decode(raw, type=_Versioned).meta.schema_version
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return "" if _major(version) == _major(SCHEMA_VERSION) else f"payload schema was {version}; "


def _major(version: str) -> str:
    return version.partition(".")[0]


class _VersionOnly(msgspec.Struct):
    schema_version: str


class _Versioned(msgspec.Struct):
    meta: _VersionOnly


_MESSAGE: Final = msgspec.json.Decoder(Message)

__all__ = ["MAX_BYTES", "decode", "decode_message", "encode", "unpack"]
