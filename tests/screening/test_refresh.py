"""The universe and its prefilter against the simulated exchange."""

import pytest

from aione.errors import VenueUnavailable
from aione.screening.refresh import _seed_quotes, depth_within, find_candidates
from aione.venue.wire import BookTicker, Depth, PremiumIndex


def book(bids, asks):
    return Depth(bids=bids, asks=asks)


def test_depth_counts_the_quote_value_inside_the_window_alone():
    sides = depth_within(book([(99.9, 10.0), (99.0, 7.0)], [(100.1, 1.0), (100.4, 2.0), (101.0, 9.0)]), 0.005)
    assert sides.bid_quote == pytest.approx(999.0)
    assert sides.ask_quote == pytest.approx(100.1 + 200.8)
    assert sides.is_whole


def test_depth_of_a_book_that_ends_inside_the_window_is_a_lower_bound():
    assert not depth_within(book([(99.9, 10.0)], [(100.1, 1.0), (101.0, 9.0)]), 0.005).is_whole


def test_an_empty_side_is_no_depth():
    assert depth_within(book([], [(100.1, 1.0)]), 0.005).bid_quote == 0.0


async def test_every_contract_of_the_exchange_passes_or_has_a_reason(screened):
    infos = await screened.rest.exchange_info()
    result = await screened.states.load_prefilter()
    assert {row.symbol for row in result.metrics} >= {info.symbol for info in infos}
    assert all(row.passed or row.reason for row in result.metrics)
    assert set(result.symbols) == {row.symbol for row in result.metrics if row.passed}
    assert len(result.symbols) >= 5


async def test_a_failed_refresh_keeps_the_universe_and_says_that_it_is_stale(screened, monkeypatch):
    good = await screened.states.load_universe()

    async def down():
        raise VenueUnavailable("503 from GET /fapi/v1/exchangeInfo")

    monkeypatch.setattr(screened.rest, "exchange_info", down)
    with pytest.raises(VenueUnavailable):
        await find_candidates(screened)
    kept = await screened.states.load_universe()
    assert kept.symbols == good.symbols
    assert kept.is_stale
    assert "503" in kept.stale_reason


async def test_a_funding_rate_that_is_no_number_is_unknown_and_ends_nothing(screened):
    book = BookTicker("NEWUSDT", 1.0, 1.0, 2.0, 1.0, 5)
    await _seed_quotes(screened, ["NEWUSDT"], [book], [PremiumIndex("NEWUSDT", 1.5, 1.5, "abc", 0, 7)])
    row = (await screened.states.load_book_tickers(["NEWUSDT"]))["NEWUSDT"]
    assert (row["mark_price"], row["funding_rate"]) == (1.5, None)
