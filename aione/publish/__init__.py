"""Publishing the state of every asset to Redis, and following it.

>>> from aione.publish import Follower, Publisher, asset_of, decode, encode
"""

from aione.publish.codec import decode, decode_message, encode
from aione.publish.follower import Follower
from aione.publish.payload import (
    SCHEMA_VERSION,
    Asset,
    ConfidenceMetrics,
    Counters,
    Delta,
    KeyLevels,
    Level,
    MarketContext,
    Meta,
    Narrative,
    PrefilterVerdict,
    RiskParameters,
    Snapshot,
    TradeView,
    asset_of,
)
from aione.publish.publisher import Published, Publisher
from aione.publish.sequence import apply_delta, judge, merge

__all__ = [
    "SCHEMA_VERSION",
    "Asset",
    "ConfidenceMetrics",
    "Counters",
    "Delta",
    "Follower",
    "KeyLevels",
    "Level",
    "MarketContext",
    "Meta",
    "Narrative",
    "PrefilterVerdict",
    "Published",
    "Publisher",
    "RiskParameters",
    "Snapshot",
    "TradeView",
    "apply_delta",
    "asset_of",
    "decode",
    "decode_message",
    "encode",
    "judge",
    "merge",
]
