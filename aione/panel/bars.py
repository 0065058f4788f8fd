"""The bar record: one fixed-size little-endian row, the same in RAM, in Redis and between processes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000


class Finality(IntEnum):
    """How sure a bar is; a write never lowers it."""

    PROVISIONAL = 0
    SUCCESSOR_SEEN = 1
    STREAM_CLOSED = 2
    REST_CONFIRMED = 3

    @property
    def is_final(self) -> bool:
        """Return whether the exchange itself has said that the bar is over."""
        return self >= Finality.STREAM_CLOSED


class Source(IntEnum):
    """Where a bar came from."""

    UNKNOWN = 0
    REST = 1
    STREAM = 2
    RECORDED = 3


BAR_RECORD: Final = np.dtype(
    [
        ("open_time_ms", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("quote_volume", "<f8"),
        ("taker_buy_volume", "<f8"),
        ("trade_count", "<u4"),
        ("source", "u1"),
        ("finality", "u1"),
        ("reserved", "<u2"),
    ]
)
"""72 bytes. Prices in quote per base, ``volume`` and ``taker_buy_volume`` in base, ``quote_volume`` in quote.

A field that the source lacks is NaN (``taker_buy_volume`` of a recording without it), never 0.
"""

VALUE_FIELDS: Final = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count")

__all__ = ["BAR_RECORD", "DAY_MS", "MINUTE_MS", "VALUE_FIELDS", "Finality", "Source"]
