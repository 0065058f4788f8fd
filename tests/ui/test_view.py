"""The view says what the snapshot says, in the order in which a trader reads it."""

from __future__ import annotations

import msgspec
import pytest

from aione.publish.payload import Asset, ConfidenceMetrics, Counters, Snapshot
from aione.ui.header import LinkState
from aione.ui.signals import SignalLog
from aione.ui.view import COLUMNS, ViewOptions, build_view
from config.settings import load_settings


def shown(view, name: str, symbol: str) -> str:
    row = next(row for row in view.rows if row.symbol == symbol)
    return "".join(text for text, _ in row.cells[name][0])


def tone(view, name: str, symbol: str) -> str:
    row = next(row for row in view.rows if row.symbol == symbol)
    return row.cells[name][0][0][1]


def line(segments) -> str:
    return " ".join(segment.joiner + "".join(text for text, _ in segment.pieces) for segment in segments)


def view_of(market, **change):
    return build_view(market, **({"now_ms": market.meta.ts + 2000} | change))


def test_alerts_come_first_by_confidence_then_the_rest_by_rank(market) -> None:
    view = view_of(market)
    assert [row.symbol for row in view.rows[:3]] == ["SOLUSDT", "WIFUSDT", "1000PEPEUSDT"]
    ranks = {asset.symbol: asset.rank for asset in market.assets}
    rest = [row for row in view.rows[3:] if row.kind == "normal"]
    assert [ranks[row.symbol] for row in rest] == sorted(ranks[row.symbol] for row in rest)


def test_symbols_without_data_come_last_and_dimmed(market) -> None:
    assert [(row.symbol, row.kind) for row in view_of(market).rows[-3:]] == [
        ("COIN30USDT", "dim"),
        ("COIN33USDT", "dim"),
        ("COIN35USDT", "dim"),
    ]


def test_symbols_that_are_not_traded_are_hidden_and_counted(market) -> None:
    view = view_of(market)
    assert "COIN37USDT" not in {row.symbol for row in view.rows}
    assert view.hidden == {"no_trade": 1}
    assert len(view.rows) + 1 == len(market.assets)


def test_alerts_only_keeps_alerts_and_open_trades(market) -> None:
    view = view_of(market, options=ViewOptions(is_alerts_only=True))
    assert [row.symbol for row in view.rows] == ["SOLUSDT", "WIFUSDT", "1000PEPEUSDT", "COIN20USDT"]
    assert sum(view.hidden.values()) == 36


def test_a_row_says_what_its_asset_says(market) -> None:
    view = view_of(market)
    asset = next(asset for asset in market.assets if asset.symbol == "WIFUSDT")
    assert asset.risk_parameters is not None
    assert shown(view, "symbol", "WIFUSDT") == "WIFUSDT"
    assert shown(view, "price", "WIFUSDT") == asset.price_str
    assert shown(view, "triggers", "WIFUSDT") == "breakout↑ · volume↑ · burst · imbalance"
    assert shown(view, "scenario", "WIFUSDT") == "Bearish breakdown"
    assert shown(view, "recommendation", "WIFUSDT") == "STRONG SELL"
    assert shown(view, "confidence", "WIFUSDT").split()[0] == "66"
    assert shown(view, "side", "WIFUSDT") == "SHORT"
    assert shown(view, "sl", "WIFUSDT") == f"{asset.risk_parameters.sl:.4f}"
    assert shown(view, "tp", "WIFUSDT") == f"{asset.risk_parameters.tp[0]:.4f}"
    assert shown(view, "rr", "WIFUSDT") == "1.7"
    assert shown(view, "trade", "COIN20USDT") == "-0.35R"
    assert shown(view, "age", "WIFUSDT") == "3s"


def test_a_gated_recommendation_shows_what_it_was(market) -> None:
    assert shown(view_of(market), "recommendation", "COIN7USDT") == "WAIT ‹ STRONG BUY"


def test_an_uncalibrated_confidence_is_marked(market) -> None:
    assert shown(view_of(market), "confidence", "BTCUSDT").strip().startswith("~")


def test_unknown_numbers_are_a_dash_and_never_zero() -> None:
    meta = _meta()
    view = build_view(Snapshot(meta=meta, counters=Counters(), assets=[Asset(symbol="X", state="normal")]), now_ms=0)
    for name in ("price", "change", "volume", "rsi", "volume_z", "atr", "age"):
        assert shown(view, name, "X") == "–"
        assert tone(view, name, "X") == "dim"
    for name in ("triggers", "scenario", "recommendation", "confidence", "side", "sl", "tp", "rr", "trade"):
        assert not shown(view, name, "X")


def test_the_price_takes_the_tone_of_its_last_move(market) -> None:
    price = {asset.symbol: asset.price for asset in market.assets}
    before = {"SOLUSDT": price["SOLUSDT"] - 1, "WIFUSDT": price["WIFUSDT"] + 1, "BTCUSDT": price["BTCUSDT"]}
    view = view_of(market, previous_price=before)
    assert [tone(view, "price", s) for s in ("SOLUSDT", "WIFUSDT", "BTCUSDT", "COIN4USDT")] == ["good", "bad", "", ""]


@pytest.mark.parametrize(
    ("column", "title", "text"),
    [("quote_volume", "Vol 24h", "3.33B"), ("volume", "Vol base", "–"), ("relative_volume", "Vol x", "–")],
)
def test_the_volume_column_is_the_configured_one(market, column, title, text) -> None:
    view = view_of(market, options=ViewOptions(volume_column=column))
    assert {c.name: t for c, t in view.columns}["volume"] == title
    assert shown(view, "volume", "SOLUSDT") == text


def test_the_options_come_from_the_settings() -> None:
    environ = {"AIONE_UI_LOCALE": "uk", "AIONE_UI_COLUMN_VOLUME": "relative_volume"}
    assert ViewOptions.of(load_settings(environ=environ)) == ViewOptions("uk", "relative_volume")


def test_the_header_counts_the_funnel_and_the_lag(market) -> None:
    view = view_of(market)
    assert line(view.status).startswith("● LIVE bar 21:20 lag 1.8s")
    assert "seq 1284" in line(view.status)
    funnel = line(view.funnel)
    assert funnel.startswith("universe 512 ▸ screened 40 ▸ alerts 3 ▸ signals 3 ▸ trades 1")
    assert "BTC" in funnel


def test_ukrainian_is_ukrainian(market) -> None:
    view = view_of(market, options=ViewOptions(locale="uk"))
    assert line(view.status).startswith("● НАЖИВО")
    assert shown(view, "scenario", "WIFUSDT") == "Ведмежий пробій"
    assert shown(view, "side", "SOLUSDT") == "ЛОНГ"
    assert view.story is not None
    assert view.story[1].startswith("SOLUSDT закрився")


@pytest.mark.parametrize(
    ("change", "link", "later_ms", "says"),
    [
        ({}, LinkState(), 2000, "● LIVE"),
        ({"stale": True}, LinkState(), 2000, "● STALE DATA"),
        ({}, LinkState(), 200_000, "● NO UPDATE for 3m"),
        ({}, LinkState(is_connected=False), 2000, "● REDIS AWAY"),
    ],
)
def test_the_header_says_when_the_data_cannot_be_trusted(market, change, link, later_ms, says) -> None:
    snapshot = msgspec.structs.replace(market, meta=msgspec.structs.replace(market.meta, **change))
    view = build_view(snapshot, now_ms=snapshot.meta.ts + later_ms, link=link)
    text, tone_ = view.status[0].pieces[0]
    assert text == says
    assert tone_ == ("good" if says == "● LIVE" else "bad")


def test_warnings_missing_bars_and_resyncs_are_said(market) -> None:
    snapshot = msgspec.structs.replace(
        market,
        meta=msgspec.structs.replace(market.meta, warnings=["clock offset 2 s"]),
        counters=msgspec.structs.replace(market.counters, missing_bars=7),
    )
    view = build_view(snapshot, now_ms=snapshot.meta.ts, link=LinkState(problem="a bad message", resyncs=4))
    assert view.warnings == ("a bad message", "clock offset 2 s")
    assert "missing bars 7" in line(view.status)
    assert "resync 4" in line(view.status)


def test_the_story_is_of_the_top_alert(market) -> None:
    story = view_of(market).story
    assert story is not None
    assert story[0] == "SOLUSDT"
    assert "4.1 times" in story[1]


def test_the_footer_shows_the_log(market) -> None:
    log = SignalLog()
    log.update(market)
    footer = [[text for form in forms for text, _ in form] for forms in view_of(market, log=log.events).signals]
    assert [forms[2] for forms in footer] == ["SOLUSDT", "WIFUSDT", "1000PEPEUSDT"]


def test_a_confidence_that_is_not_known_sorts_after_the_known() -> None:
    assets = [
        Asset(symbol="A", state="alert"),
        Asset(symbol="B", state="alert", confidence_metrics=ConfidenceMetrics(raw=0.0)),
    ]
    view = build_view(Snapshot(meta=_meta(), counters=Counters(), assets=assets), now_ms=0)
    assert [row.symbol for row in view.rows] == ["B", "A"]


def test_every_column_has_a_cell_in_every_row(market) -> None:
    assert all(row.cells.keys() == {column.name for column in COLUMNS} for row in view_of(market).rows)


def _meta():
    from aione.publish.payload import SCHEMA_VERSION, Meta  # noqa: PLC0415  # one helper's own need

    return Meta(schema_version=SCHEMA_VERSION, epoch="e", seq=1, ts=0, source="s", stale=False, bar_time_ms=0)
