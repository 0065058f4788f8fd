"""The published JSON Schema is current, valid, and what is published follows it."""

from __future__ import annotations

import jsonschema
import pytest

from aione.publish.codec import decode, encode
from aione.publish.payload import (
    SCHEMA_VERSION,
    Asset,
    ConfidenceMetrics,
    Counters,
    Delta,
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
from aione.publish.schema import SCHEMA_PATH, main, payload_schema, schema_bytes

from .test_payload import WHOLE

FULL = Asset(
    symbol="X",
    state="alert",
    market_context=MarketContext(scenario="UNCERTAIN", key_levels_meta=[Level(price=1.0, kind="poc")]),
    confidence_metrics=ConfidenceMetrics(raw=0.1),
    risk_parameters=RiskParameters(side="short", entry=1.0, sl=2.0, tp=[0.5, None], rr=1.5),
    narrative=Narrative(en="a", uk="б"),
    trade=TradeView(trade_id="t", side="long", state="open", entry=1.0, sl=0.9, tp=[], opened_ms=1),
    prefilter=PrefilterVerdict(passed=False, reason="age", value=1.0, threshold="x"),
)
WITH_WHY = asset_of(WHOLE)
META = Meta(schema_version=SCHEMA_VERSION, epoch="e", seq=1, ts=1, source="s", stale=False, bar_time_ms=0)


def test_the_file_in_docs_is_current() -> None:
    assert SCHEMA_PATH.read_bytes() == schema_bytes(), "run: python -m aione.publish.schema"


def test_the_schema_names_its_version_and_is_one() -> None:
    schema = payload_schema()
    assert schema["version"] == SCHEMA_VERSION
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("assets", [[], [FULL], [WITH_WHY], [Asset(symbol="Y", state="no_data")]])
@pytest.mark.parametrize("kind", [Snapshot, Delta])
def test_what_is_published_follows_the_schema(kind, assets) -> None:
    jsonschema.validate(decode(encode(kind(meta=META, counters=Counters(), assets=assets))), payload_schema())


@pytest.mark.parametrize("change", [{"state": "asleep"}, {"price": "1"}, {"stats": {"rsi": "high"}}])
def test_the_schema_refuses_what_is_wrong(change) -> None:
    content = decode(encode(Snapshot(meta=META, counters=Counters(), assets=[FULL])))
    content["assets"][0] |= change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, payload_schema())


def test_the_schema_requires_every_field() -> None:
    content = decode(encode(Snapshot(meta=META, counters=Counters(), assets=[FULL])))
    del content["assets"][0]["narrative"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, payload_schema())


def test_it_is_written_where_it_is_asked_for(tmp_path) -> None:
    assert main([str(tmp_path / "schema.json")]) == 0
    assert (tmp_path / "schema.json").read_bytes() == schema_bytes()
