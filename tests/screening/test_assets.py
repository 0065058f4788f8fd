"""Assets say what the engine's columns say, symbol by symbol, and what is unknown is null."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.panel import DAY_MS, MINUTE_MS, BarPanel, Finality, MarketSnapshot, Source
from aione.prefilter import PrefilterResult
from aione.screening.analyse import find_triggers, score
from aione.screening.assets import build_assets
from aione.screening.columns import STATS
from aione.screening.load import Loaded
from aione.stage2.recommend import GATES
from aione.stage3.book import TradeBook
from config.models import MetricResults, SymbolInfo
from config.settings import load_settings

SETTINGS = load_settings(environ={})
SYMBOLS = ("BTCUSDT", "AUSDT", "BUSDT", "CUSDT")
BAR_MS = 1_747_742_400_000 + 37 * MINUTE_MS
LATE_MS = 1500


def panel_of(bars: int, interval_ms: int, end_ms: int, seed: int) -> BarPanel:
    rng = np.random.default_rng(seed)
    shape = (len(SYMBOLS), bars)
    close = 100.0 * np.exp(np.cumsum(1e-3 * rng.standard_t(4, shape), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    volume = rng.lognormal(3.0, 0.8, shape)
    return BarPanel(
        SYMBOLS,
        end_ms - interval_ms * np.arange(bars - 1, -1, -1),
        open=opened,
        high=np.maximum(opened, close) * 1.0004,
        low=np.minimum(opened, close) * 0.9996,
        close=close,
        volume=volume,
        quote_volume=volume * close,
        taker_buy_volume=volume * rng.uniform(0.2, 0.8, shape),
        trade_count=np.full(shape, 9.0),
        valid=np.ones(shape, dtype=bool),
        interval_ms=interval_ms,
    )


def info(symbol: str) -> SymbolInfo:
    return SymbolInfo(
        symbol=symbol, base_asset=symbol[:-4], quote_asset="USDT", contract_type="PERPETUAL", underlying_type="COIN",
        status="TRADING", onboard_ms=0, delivery_ms=1, tick_size=0.01, step_size=0.1,
    )  # fmt: skip


def loaded_of(panel: BarPanel, **more) -> Loaded:
    """A cycle's input: four screened symbols, and DUSDT that the prefilter has dropped."""
    size = len(SYMBOLS)
    metrics = [MetricResults(symbol=symbol, passed=True, rank=rank + 1) for rank, symbol in enumerate(SYMBOLS)]
    metrics.append(MetricResults(symbol="DUSDT", reason="depth", value=9_000.0, threshold=20_000.0))
    market = MarketSnapshot.of(
        SYMBOLS,
        tick_size=np.full(size, 0.01),
        spread_frac=np.full(size, 2e-4),
        open_interest_change_frac=np.full(size, 0.01),
        book_age_ms=np.array([250.0, np.nan, 1.0, 1.0]),
        open_interest_age_ms=np.full(size, 240_000.0),
    )
    known = {
        "bar_time_ms": BAR_MS,
        "now_ms": BAR_MS + MINUTE_MS + LATE_MS,
        "panel": panel,
        "daily": panel_of(30, DAY_MS, BAR_MS // DAY_MS * DAY_MS - DAY_MS, 9),
        "market": market,
        "prefilter": PrefilterResult(SYMBOLS, metrics, [], {}, 0, 0, 0.0, BAR_MS),
        "infos": {symbol: info(symbol) for symbol in (*SYMBOLS, "DUSDT")},
        "states": {},
        "book": TradeBook(),
        "missing": (),
        "is_stale": False,
        "warnings": (),
        "finality": np.array([Finality.REST_CONFIRMED, Finality.STREAM_CLOSED, Finality.SUCCESSOR_SEEN, 0], np.uint8),
        "source": np.array([Source.REST, Source.STREAM, Source.RECORDED, 0], np.uint8),
        "holes": np.zeros(size, np.int64),
        "gone": {},
    }
    return Loaded(**(known | more))


@pytest.fixture(scope="module")
def cycle():
    """The last symbol has no bar of this minute and one of the minute before."""
    panel = panel_of(1500, MINUTE_MS, BAR_MS, 5)
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count"):
        getattr(panel, name)[3, -1] = np.nan
    panel.valid[3, -1] = False
    loaded = loaded_of(panel)
    found = find_triggers(loaded, SETTINGS)
    found = replace(found, stage1=replace(found.stage1, alert=found.stage1.scored))
    scored = score(loaded, found, SETTINGS)
    return loaded, found, scored, {asset.symbol: asset for asset in build_assets(loaded, found, scored, {}, SETTINGS)}


def test_every_symbol_of_the_universe_is_an_asset(cycle) -> None:
    loaded, _, _, assets = cycle
    assert list(assets) == list(loaded.infos)
    assert [assets[symbol].state for symbol in loaded.infos] == ["alert", "alert", "alert", "syncing", "no_trade"]


def test_stats_and_thresholds_are_the_engines_columns(cycle) -> None:
    loaded, found, _, assets = cycle
    for row, symbol in enumerate(SYMBOLS[:3]):
        asset = assets[symbol]
        for name in STATS:
            value = float(found.readings[name][row])
            assert asset.stats[name] == (None if np.isnan(value) else value)
        assert asset.stats["change_24h_frac"] == loaded.panel.close[row, -1] / loaded.panel.close[row, -1441] - 1
        assert asset.volume == pytest.approx(loaded.panel.volume[row, -1440:].sum())
        effective = {name: found.stage1.thresholds[name][row] for name in found.stage1.thresholds}
        assert asset.thresholds == effective | {name: column[row] for name, column in found.rules.moves.items()}
        assert asset.price == loaded.panel.close[row, -1]


def test_the_whole_why_of_stage1_is_there(cycle) -> None:
    _, found, _, assets = cycle
    for row, symbol in enumerate(SYMBOLS[:3]):
        why = assets[symbol].explain.stage1
        assert why.evidence == pytest.approx(found.stage1.evidence[row], abs=1e-6)
        assert {one.name for one in why.triggers} == set(found.stage1.triggers)
        for one in why.triggers:
            trigger = found.stage1.triggers[one.name]
            assert one.fired == trigger.fired[row]
            value = trigger.value[row]
            assert one.value == (None if np.isnan(value) else pytest.approx(value, abs=1e-6))
        assert {one.name for one in why.triggers if one.fired} == set(assets[symbol].trigger_reasons)


def test_the_whole_why_of_stage2_is_there_and_sums_up(cycle) -> None:
    _, _, scored, assets = cycle
    for row, symbol in enumerate(SYMBOLS[:3]):
        why = assets[symbol].explain.stage2
        total = sum(one.contribution for one in why.factors if one.contribution is not None)
        assert total == pytest.approx(why.direction, abs=1e-5)
        assert why.direction == pytest.approx(scored.stage2.direction[row], abs=1e-6)
        assert {one.name for one in why.factors} == set(scored.stage2.factors)
        assert why.scenario is not None
        assert [gate.name for gate in why.gates] == list(GATES)
        enters = bool(scored.stage2.grounds.enters[row])
        assert all((gate.passed is not None) == enters for gate in why.gates)


def test_ages_finality_and_source_are_told(cycle) -> None:
    _, _, _, assets = cycle
    assert assets["BTCUSDT"].ages.bar_ms == assets["BTCUSDT"].data_age_ms == LATE_MS
    assert [assets[symbol].ages.book_ms for symbol in SYMBOLS[:2]] == [250.0, None]
    assert assets["BTCUSDT"].ages.open_interest_ms == 240_000.0
    found = [(assets[symbol].bar_finality, assets[symbol].bar_source) for symbol in SYMBOLS]
    assert found == [("final", "rest"), ("final", "stream"), ("provisional", "recorded"), ("missing", None)]


def test_a_symbol_without_its_last_bar_is_explained_but_not_analysed(cycle) -> None:
    _, _, _, assets = cycle
    asset = assets["CUSDT"]
    assert (asset.price, asset.price_str, asset.volume, asset.market_context) == (None, None, None, None)
    assert asset.explain.stage1.scored is False
    assert asset.explain.stage2 is None
    assert asset.ages.bar_ms == LATE_MS + MINUTE_MS


def test_a_dropped_symbol_carries_filter_value_and_threshold(cycle) -> None:
    _, _, _, assets = cycle
    asset = assets["DUSDT"]
    assert (asset.explain, asset.ages) == (None, None)
    verdict = asset.prefilter
    assert (verdict.passed, verdict.reason, verdict.value, verdict.threshold) == (False, "depth", 9_000.0, 20_000.0)


def test_what_could_not_be_fetched_has_no_data(cycle) -> None:
    loaded, found, scored, _ = cycle
    missing = replace(loaded, missing=("AUSDT",))
    states = {asset.symbol: asset.state for asset in build_assets(missing, found, scored, {}, SETTINGS)}
    assert states["AUSDT"] == "no_data"


def test_a_panel_of_one_bar_is_published_with_nulls() -> None:
    loaded = loaded_of(panel_of(1, MINUTE_MS, BAR_MS, 5))
    found = find_triggers(loaded, SETTINGS)
    for asset in build_assets(loaded, found, score(loaded, found, SETTINGS), {}, SETTINGS)[:4]:
        assert asset.stats["rsi"] is None
        assert asset.stats["change_24h_frac"] is None
        assert asset.volume is None
        assert asset.price is not None
