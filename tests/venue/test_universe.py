"""The universe: every guard with its reason, and nothing lost on the way to Redis and back."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.venue.universe import Universe, apply_entry, journal_entry, select_universe
from aione.venue.wire_contracts import decode_exchange_info
from config.models import SymbolInfo
from config.settings import load_settings

NOW = 1_779_278_400_000
DAY = 86_400_000


def info(symbol="AUSDT", **other):
    fields = {
        "symbol": symbol,
        "base_asset": symbol.removesuffix("USDT"),
        "quote_asset": "USDT",
        "contract_type": "PERPETUAL",
        "underlying_type": "COIN",
        "status": "TRADING",
        "onboard_ms": NOW - 100 * DAY,
        "delivery_ms": 4_133_404_800_000,
        "tick_size": 0.1,
        "step_size": 0.001,
    }
    return SymbolInfo(**{**fields, **other})


@pytest.fixture
def defaults():
    return load_settings(environ={})


def test_a_tradable_coin_perpetual_belongs(defaults):
    universe = select_universe([info("BUSDT"), info("币安USDT")], NOW, defaults)
    assert universe.symbols == ("BUSDT", "币安USDT")
    assert [one.symbol for one in universe.infos] == ["BUSDT", "币安USDT"]
    assert (universe.rejected, universe.refreshed_ms, universe.is_stale) == ({}, NOW, False)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"contract_type": "TRADIFI_PERPETUAL"}, ("contract_type", "TRADIFI_PERPETUAL")),
        ({"contract_type": "CURRENT_QUARTER"}, ("contract_type", "CURRENT_QUARTER")),
        ({"contract_type": ""}, ("contract_type", "")),
        ({"underlying_type": "INDEX"}, ("underlying_type", "INDEX")),
        ({"status": "SETTLING"}, ("status", "SETTLING")),
        ({"status": "PENDING_TRADING"}, ("status", "PENDING_TRADING")),
        ({"quote_asset": "USDC"}, ("quote_asset", "USDC")),
        ({"onboard_ms": NOW - int(2.5 * DAY)}, ("age_days", 2.5)),
        ({"onboard_ms": NOW + DAY}, ("age_days", -1.0)),
    ],
)
def test_each_guard_says_why(defaults, other, reason):
    universe = select_universe([info(**other)], NOW, defaults)
    assert universe.symbols == ()
    assert universe.rejected == {"AUSDT": reason}


def test_exactly_old_enough_is_old_enough(defaults):
    days = defaults.STAGE1_PREFILTER_THRESHOLDS.min_age_days
    assert select_universe([info(onboard_ms=NOW - int(days * DAY))], NOW, defaults).symbols == ("AUSDT",)
    assert select_universe([info(onboard_ms=NOW - int(days * DAY) + 1)], NOW, defaults).symbols == ()


def test_the_quote_asset_and_the_age_are_settings():
    other = load_settings(
        environ={
            "AIONE_STAGE1_PREFILTER_THRESHOLDS__quote_asset": "USDC",
            "AIONE_STAGE1_PREFILTER_THRESHOLDS__min_age_days": "0",
        }
    )
    assert select_universe([info(quote_asset="USDC", onboard_ms=NOW)], NOW, other).symbols == ("AUSDT",)


def test_it_survives_a_round_trip(defaults):
    universe = select_universe([info(), info("XUSDT", onboard_ms=NOW), info("YUSDT", status="CLOSE")], NOW, defaults)
    assert Universe.from_dict(universe.to_dict()) == universe
    stale = universe.stale("exchange down")
    assert Universe.from_dict(stale.to_dict()) == stale
    assert stale.is_stale
    assert not universe.is_stale


@pytest.mark.parametrize("broken", [{}, {"infos": 3}, {"infos": [{"symbol": "A"}], "rejected": {}, "refreshed_ms": 1}])
def test_what_is_no_universe_is_refused(broken):
    with pytest.raises(InvalidInput, match="not a universe"):
        Universe.from_dict(broken)


def test_a_symbol_that_is_listed_twice_belongs_once(defaults):
    universe = select_universe([info("AUSDT"), info("BUSDT"), info("AUSDT")], NOW, defaults)
    assert (universe.symbols, universe.rejected) == (("AUSDT", "BUSDT"), {})
    assert apply_entry(None, journal_entry(None, universe, NOW)) == universe


def test_a_symbol_that_is_listed_with_two_sets_of_rules_is_refused(defaults):
    listed = [info("AUSDT"), info("BUSDT"), info("AUSDT", tick_size=0.01), info("AUSDT")]
    universe = select_universe(listed, NOW, defaults)
    assert (universe.symbols, universe.rejected) == (("BUSDT",), {"AUSDT": ("duplicate", 2)})
    assert apply_entry(None, journal_entry(None, universe, NOW)) == universe


def test_of_a_relisted_symbol_the_listing_that_trades_counts(defaults):
    for listed in ([info(status="CLOSE"), info()], [info(), info(status="CLOSE")]):
        universe = select_universe(listed, NOW, defaults)
        assert (universe.symbols, universe.rejected) == (("AUSDT",), {})
    universe = select_universe([info(status="CLOSE"), info(status="BREAK")], NOW, defaults)
    assert universe.rejected == {"AUSDT": ("status", "CLOSE")}


def test_the_journal_says_what_came_what_went_and_why(defaults):
    before = select_universe([info("AUSDT"), info("BUSDT"), info("CUSDT")], NOW, defaults)
    after = select_universe([info("AUSDT"), info("BUSDT", status="SETTLING"), info("DUSDT")], NOW + 1, defaults)
    entry = journal_entry(before, after, NOW + 2)
    assert (entry["at_ms"], entry["refreshed_ms"], entry["symbols"]) == (NOW + 2, NOW + 1, 2)
    assert [contract["symbol"] for contract in entry["added"]] == ["DUSDT"]
    assert entry["removed"] == {"BUSDT": ["status", "SETTLING"], "CUSDT": ["unlisted", ""]}
    assert (entry["refused"], entry["cleared"], entry["changed"]) == ({"BUSDT": ["status", "SETTLING"]}, [], [])
    assert apply_entry(before, entry) == after
    with pytest.raises(InvalidInput, match="the journal has a gap: expected 2 symbols, came to 1"):
        apply_entry(None, entry)
    with pytest.raises(InvalidInput, match="not an entry"):
        apply_entry(before, {"at_ms": 1})


CONTRACTS = st.lists(
    st.tuples(
        st.sampled_from(["AUSDT", "BUSDT", "CUSDT", "DUSDT", "TSLAUSDT", "BTCUSD_PERP", "BTCUSDT_261225", "币安USDT"]),
        st.sampled_from(["TRADING", "TRADING", "TRADING", "SETTLING", "BREAK"]),
        st.sampled_from(["PERPETUAL", "PERPETUAL", "TRADIFI_PERPETUAL", "CURRENT_QUARTER"]),
        st.sampled_from(["COIN", "COIN", "EQUITY", "INDEX"]),
        st.sampled_from(["USDT", "USDT", "USD", "USDC"]),
        st.sampled_from([100, 1]),
        st.sampled_from([0.1, 0.01]),
    ),
    unique_by=lambda row: row[0],
    max_size=8,
)


@given(refreshes=st.lists(CONTRACTS, min_size=1, max_size=6))
def test_entries_applied_one_after_the_other_rebuild_every_universe_and_strangers_never_enter(refreshes):
    settings, before = load_settings(environ={}), None
    for number, rows in enumerate(refreshes):
        infos = [
            info(symbol, status=status, contract_type=kind, underlying_type=underlying, quote_asset=quote,
                 onboard_ms=NOW - days * DAY, tick_size=tick)
            for symbol, status, kind, underlying, quote, days, tick in rows
        ]  # fmt: skip
        after = select_universe(infos, NOW + number, settings)
        assert apply_entry(before, orjson.loads(orjson.dumps(journal_entry(before, after, NOW)))) == after
        assert set(after.symbols) == {
            row[0] for row in rows if row[1:6] == ("TRADING", "PERPETUAL", "COIN", "USDT", 100)
        }
        before = after


@pytest.mark.recorded
def test_the_recorded_market_of_2021(recordings, defaults):
    lines = (recordings / "binance-raw-2021-07" / "BINANCE_FUTURES.0").read_bytes().splitlines()
    raw = next(line.split(b": ", 1)[1] for line in lines if b"exchangeInfo" in line[:80])
    infos, _ = decode_exchange_info(raw, what="recorded")
    universe = select_universe(infos, 1_626_992_740_000, defaults)
    assert "BTCUSDT" in universe.symbols
    assert len(universe.symbols) + len(universe.rejected) == len(infos)
    assert universe.rejected["BTCUSDT_210924"] == ("contract_type", "CURRENT_QUARTER")
    assert universe.rejected["DEFIUSDT"] == ("underlying_type", "INDEX")
