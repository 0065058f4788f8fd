"""``aione explain`` as a person uses it: from the published state, and from a recording at a moment."""

from __future__ import annotations

import asyncio

import numpy as np
import orjson
import pytest

from aione.errors import InsufficientData, InvalidInput
from aione.panel import BAR_RECORD, MINUTE_MS, Finality, Source
from aione.publish.payload import Counters, asset_of
from aione.publish.publisher import Publisher
from aione.run.explain import as_json, explain, look_up, run_explain
from aione.run.system import MarketChoice
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.venue.universe import Universe
from config.models import SymbolInfo
from config.settings import load_settings

SETTINGS = load_settings(environ={})
BAR_MS = 1_747_742_400_000


def info(symbol):
    return SymbolInfo(
        symbol=symbol, base_asset=symbol[:-4], quote_asset="USDT", contract_type="PERPETUAL", underlying_type="COIN",
        status="TRADING", onboard_ms=0, delivery_ms=1, tick_size=0.1, step_size=0.1,
    )  # fmt: skip


def minutes(count: int) -> np.ndarray:
    rows = np.zeros(count, dtype=BAR_RECORD)
    rows["open_time_ms"] = BAR_MS - MINUTE_MS * np.arange(count - 1, -1, -1)
    wave = 100.0 + np.sin(np.arange(count) / 9.0)
    for name, shift in (("open", 0.0), ("high", 0.2), ("low", -0.2), ("close", 0.1)):
        rows[name] = wave + shift
    rows["volume"], rows["quote_volume"] = 5.0, 500.0
    rows["finality"], rows["source"] = Finality.REST_CONFIRMED, Source.REST
    return rows


@pytest.fixture
async def published(redis):
    """BTCUSDT is analysed, BTCUSDC was dropped, NEWUSDT has just been listed, TSLAUSDT is refused."""
    parts = [
        {
            "symbol": "BTCUSDT",
            "state": "normal",
            "price": 100.0,
            "price_str": "100.0",
            "explain": {"stage1": {"scored": True, "evidence": 0.2, "alert_on": 0.6}},
        },
        {
            "symbol": "BTCUSDC",
            "state": "no_trade",
            "prefilter": {"passed": False, "reason": "volume", "value": 1e6, "threshold": 5e6},
        },
    ]
    await Publisher(redis, SETTINGS).publish(
        [asset_of(part) for part in parts], Counters(), ts_ms=BAR_MS + 62_000, bar_time_ms=BAR_MS, source="screening"
    )
    listed = ("BTCUSDT", "BTCUSDC", "NEWUSDT")
    refused = {"TSLAUSDT": ("underlying_type", "EQUITY")}
    await StateStore(redis).save_universe(Universe(listed, tuple(map(info, listed)), refused, BAR_MS))
    return redis


@pytest.mark.usefixtures("published")
async def test_a_symbol_is_found_in_any_case(redis_url) -> None:
    found = await explain(" btcusdt ", SETTINGS, redis_url)
    assert found.asset is not None
    assert (found.symbol, found.asset.price, found.meta.bar_time_ms) == ("BTCUSDT", 100.0, BAR_MS)
    facts = orjson.loads(as_json(found))
    assert list(facts) == ["symbol", "meta", "asset", "refusal"]
    assert facts["asset"]["explain"]["stage1"]["evidence"] == 0.2


async def test_what_is_not_screened_or_not_in_the_universe_says_why(published) -> None:
    dropped = await look_up(published, SETTINGS, "BTCUSDC")
    assert dropped.asset is not None
    assert dropped.asset.prefilter.reason == "volume"
    refused = await look_up(published, SETTINGS, "TSLAUSDT")
    assert refused.asset is None
    assert (refused.refusal.code, refused.refusal.value) == ("underlying_type", "EQUITY")
    assert orjson.loads(as_json(refused))["refusal"] == {"code": "underlying_type", "value": "EQUITY"}
    fresh = await look_up(published, SETTINGS, "NEWUSDT")
    assert (fresh.asset, fresh.refusal) == (None, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("BTCUSD", "no symbol 'BTCUSD' among the 4 that the exchange lists; close are BTCUSDC, BTCUSDT"),
        ("btc", "close are BTCUSDC, BTCUSDT"),
        ("TSLUSDT", "close are TSLAUSDT"),
        ("", "no symbol '' among the 4 that the exchange lists$"),
    ],
)
async def test_an_unknown_symbol_is_refused_with_those_that_may_be_meant(published, given, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        await look_up(published, SETTINGS, given)


async def test_before_the_first_cycle_there_is_nothing_to_explain(redis) -> None:
    with pytest.raises(InsufficientData, match="nothing was published yet"):
        await look_up(redis, SETTINGS, "BTCUSDT")


async def test_the_chart_is_drawn_from_the_bars_in_redis(published, redis_url, tmp_path) -> None:
    await BarRings(published, "1m").write({"BTCUSDT": minutes(300)})
    await explain("BTCUSDT", SETTINGS, redis_url, plot=tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("symbol", "error", "message"),
    [
        ("BTCUSDC", InsufficientData, "no bars of BTCUSDC are held"),
        ("TSLAUSDT", InsufficientData, "not in the universe"),
        ("BTCUSDT", InvalidInput, "--plot: .* cannot be written"),
    ],
)
async def test_a_chart_that_cannot_be_drawn_says_why(published, redis_url, tmp_path, symbol, error, message) -> None:
    await BarRings(published, "1m").write({"BTCUSDT": minutes(30)})
    with pytest.raises(error, match=message):
        await explain(symbol, SETTINGS, redis_url, plot=tmp_path / "no" / "such" / "place.png")


@pytest.mark.usefixtures("published")
async def test_the_command_prints_text_or_json(redis_url, capfdbinary) -> None:
    await asyncio.to_thread(run_explain, "BTCUSDT", SETTINGS, redis_url)
    assert b"No alert: evidence 0.2 < 0.6" in capfdbinary.readouterr().out
    await asyncio.to_thread(run_explain, "BTCUSDT", SETTINGS, redis_url, is_json=True)
    assert orjson.loads(capfdbinary.readouterr().out)["symbol"] == "BTCUSDT"


@pytest.mark.recorded
def test_a_recorded_moment_is_scanned_and_explained_with_its_chart(recordings, tmp_path, capsys) -> None:
    """ENAUSDT broke out at 05:16 UTC of that day."""
    choice = MarketChoice(
        is_live=False, replay=recordings / "usdm-2025-05", at="2025-05-20T05:17:00Z", symbols=60, seed=7
    )
    run_explain("ENAUSDT", SETTINGS, "redis://nowhere", choice=choice, plot=tmp_path / "ena.png")
    text = capsys.readouterr().out
    assert text.startswith("ENAUSDT  alert")
    assert "bar closed 2025-05-20 05:17 UTC" in text
    assert "breakout↑" in text
    for section in ("ALERT", "TRIGGERS", "SCENARIO AND DIRECTION", "RECOMMENDATION", "LEVELS", "DATA"):
        assert f"\n{section}\n" in text
    assert (tmp_path / "ena.png").stat().st_size > 50_000
