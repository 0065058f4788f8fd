"""What is published: every field of `asset_state_snapshot` and `asset_state_update`, typed and in order.

Fractions are fractions (``0.01`` is 1 %), times are UTC epoch milliseconds, prices are quote per base. ``null`` is
unknown: a number that is not known is never 0. The JSON Schema of `docs/payload.schema.json` is made from here.

``SCHEMA_VERSION`` is semantic: a new optional field raises the minor number, a field that is removed, renamed or
changes its meaning raises the major one. A consumer ignores fields that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import orjson

from aione.errors import InvalidInput
from aione.publish.parts import (
    ConfidenceMetrics,
    KeyLevels,
    Level,
    MarketContext,
    Narrative,
    Number,
    PrefilterVerdict,
    QuarantineView,
    RiskParameters,
    Side,
    Signal,
    TradeView,
)
from aione.publish.strict import strict_type
from aione.publish.why import (
    Ages,
    Explanation,
    Fact,
    FactorWhy,
    GateWhy,
    LowGate,
    ScenarioWhy,
    Stage1Why,
    Stage2Why,
    TableRow,
    TriggerWhy,
)
from config.settings import AssetState, Recommendation

SCHEMA_VERSION: Final = "1.3.0"

# ── Asset ──


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one symbol after a cycle.

    Attributes
    ----------
    rank : int or null
        Place in the prefilter's ranking, 1 is best.
    price, price_str
        Close of the last closed bar; as text with the decimals of its tick size.
    quote_volume, volume
        Traded in the last 24 h, in quote and in base.
    trigger_reasons
        Canonical names of the fired triggers, strongest first.
    stats
        Readings of the last closed bar: rsi, volume_z, relative_volume, atr_frac, vwap_dev_frac, change_24h_frac, ...
    thresholds
        The thresholds in force, by name.
    quarantine
        Why its data is not to be trusted; null where it is.
    status
        What Stage2 did for the symbol.
    data_age_ms
        How long before the snapshot's ``meta.ts`` the symbol's newest bar closed.
    explain
        Every value with its threshold, layer, weight and gate: why this, or why nothing.
    ages
        How old bars, book, mark price, depth and open interest were.
    bar_finality, bar_source
        Whether the exchange has confirmed the last bar, and by what; null of a symbol that was not screened.
    last_updated
        ``meta.ts`` of the message in which anything else in this asset last changed.
    """

    symbol: str
    state: AssetState
    rank: int | None = None
    is_manual: bool = False
    price: Number = None
    price_str: str | None = None
    quote_volume: Number = None
    volume: Number = None
    signal: Signal = "NONE"
    trigger_reasons: list[str] = []
    stats: dict[str, Number] = {}
    thresholds: dict[str, Number] = {}
    market_context: MarketContext | None = None
    recommendation: Recommendation | None = None
    reco_original: Recommendation | None = None
    reco_gate_reason: str | None = None
    confidence_metrics: ConfidenceMetrics | None = None
    contributions: dict[str, Number] = {}
    risk_parameters: RiskParameters | None = None
    anomaly_detection: dict[str, bool] = {}
    narrative: Narrative | None = None
    trade: TradeView | None = None
    prefilter: PrefilterVerdict | None = None
    quarantine: QuarantineView | None = None
    explain: Explanation | None = None
    ages: Ages | None = None
    status: Literal["pending", "done", "skipped", "off", "error"] = "skipped"
    data_age_ms: int | None = None
    bar_finality: Literal["final", "provisional", "missing"] | None = None
    bar_source: Literal["rest", "stream", "recorded"] | None = None
    last_updated: int = 0


# ── Messages ──


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message stands: ``seq`` grows by exactly one within an ``epoch``; ``ts`` is when it was built."""

    schema_version: str
    epoch: str
    seq: int
    ts: int
    source: str
    stale: bool
    bar_time_ms: int
    warnings: list[str] = []


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """The funnel of the last cycle, the open trades, the bars that were missing or not final, and the cycle's number.

    ``syncing`` are the screened symbols that lack bars inside their history and are not scored until they are there,
    ``quarantined`` those whose data is not to be trusted.
    """

    universe: int = 0
    screened: int = 0
    alerts: int = 0
    recommendations: int = 0
    open_trades: int = 0
    missing_bars: int = 0
    provisional_bars: int = 0
    syncing: int = 0
    quarantined: int = 0
    cycle: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The whole state, assets ordered by symbol."""

    meta: Meta
    counters: Counters
    assets: list[Asset]


class Delta(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="delta"):
    """What changed since ``meta.seq - 1``: whole assets that are new or differ, and the symbols that left."""

    meta: Meta
    counters: Counters
    assets: list[Asset]
    removed: list[str] = []


Message = Snapshot | Delta


# ── Building an asset from the engine's parts ──


def asset_of(parts: Mapping[str, Any]) -> Asset:
    """Build an asset from plain values: mappings, sequences, NumPy scalars; NaN and infinity become null.

    Raises
    ------
    InvalidInput
        A key that the payload does not have, a missing one, or a value of the wrong type; the message names it.

    Examples
    --------
    >>> asset_of({"symbol": "BTCUSDT", "state": "normal", "stats": {"rsi": float("nan")}}).stats
    {'rsi': None}
    """
    try:
        raw = orjson.dumps(parts, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
        asset = _DECODER.decode(raw)
    except (msgspec.ValidationError, orjson.JSONEncodeError) as error:
        raise InvalidInput(f"asset {parts.get('symbol')}: {error}") from error
    try:
        _STRICT_DECODER.decode(raw)
    except msgspec.ValidationError as error:
        strange = _unknown_key(orjson.loads(raw), msgspec.to_builtins(asset))
        raise InvalidInput(f"asset {asset.symbol}: the payload has no field {strange}") from error
    return asset


def snapshot_of(content: Mapping[str, Any]) -> Snapshot:
    """Return a decoded snapshot as its struct; fields that this version does not know are ignored.

    Raises
    ------
    InvalidInput
        The content does not follow the schema.
    """
    try:
        return msgspec.convert(content, Snapshot)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"expected a snapshot of schema {SCHEMA_VERSION}: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"a {type(value).__name__} has no place in the payload")


def _unknown_key(given: Any, kept: Any, path: str = "") -> str | None:
    """Return the path of the first key of ``given`` that ``kept`` has lost, None when all are there."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key not in kept:
                return f"{path}{key}"
            strange = _unknown_key(value, kept[key], f"{path}{key}.")
            if strange:
                return strange
    elif isinstance(given, list):
        for number, (value, other) in enumerate(zip(given, kept, strict=True)):
            strange = _unknown_key(value, other, f"{path}{number}.")
            if strange:
                return strange
    return None


_DECODER: Final = msgspec.json.Decoder(Asset)
_STRICT_DECODER: Final = msgspec.json.Decoder(strict_type(Asset))

__all__ = [
    "SCHEMA_VERSION",
    "Ages",
    "Asset",
    "ConfidenceMetrics",
    "Counters",
    "Delta",
    "Explanation",
    "Fact",
    "FactorWhy",
    "GateWhy",
    "KeyLevels",
    "Level",
    "LowGate",
    "MarketContext",
    "Message",
    "Meta",
    "Narrative",
    "PrefilterVerdict",
    "QuarantineView",
    "RiskParameters",
    "ScenarioWhy",
    "Side",
    "Signal",
    "Snapshot",
    "Stage1Why",
    "Stage2Why",
    "TableRow",
    "TradeView",
    "TriggerWhy",
    "asset_of",
    "snapshot_of",
]
