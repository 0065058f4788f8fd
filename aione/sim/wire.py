"""How the exchange writes things: JSON rows and events, every price and quantity a string with its own decimals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aione.sim.desk import BarRow, BookSide, Instrument, first_trade_id, update_id
from aione.sim.market import MINUTE_MS, Quote

DAY_MS: Final = 86_400_000
INTERVALS: Final = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
ORDER_TYPES: Final = [
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
]
TIME_IN_FORCE: Final = ["GTC", "IOC", "FOK", "GTX", "GTD"]


def fixed(value: float, places: int) -> str:
    """Write a number with ``places`` decimals.

    Examples
    --------
    >>> fixed(50000.1, 2)
    '50000.10'
    """
    return f"{value:.{places}f}"


def _quote_places(instrument: Instrument) -> int:
    return min(8, instrument.price_decimals + instrument.quantity_decimals)


# ── exchangeInfo ──


def exchange_info(instruments: Iterable[Instrument], now_ms: int, weight_limit: int) -> dict[str, Any]:
    """Return the whole of exchangeInfo."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [symbol_info(instrument) for instrument in instruments],
    }


def symbol_info(instrument: Instrument) -> dict[str, Any]:
    """Return one contract of exchangeInfo; its precisions differ from tick and step size, as on the real exchange."""
    listing = instrument.listing
    margin_asset = listing.quote_asset
    return {
        "symbol": listing.symbol,
        "pair": listing.symbol.split("_")[0],
        "contractType": listing.contract_type,
        "deliveryDate": listing.delivery_ms,
        "onboardDate": listing.onboard_ms,
        "status": listing.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": listing.base_asset,
        "quoteAsset": listing.quote_asset,
        "marginAsset": margin_asset,
        "pricePrecision": instrument.price_decimals + 1,
        "quantityPrecision": instrument.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": listing.underlying_type,
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": _filters(instrument),
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIME_IN_FORCE,
        "permissionSets": ["GRID", "COPY"],
    }


def _filters(instrument: Instrument) -> list[dict[str, Any]]:
    tick, step = instrument.listing.tick_size, instrument.listing.step_size
    top = fixed(100_000 * max(1.0, instrument.tick_size * 100), instrument.price_decimals)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": top, "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "10000000", "stepSize": step},
        {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "500000", "stepSize": step},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": instrument.listing.min_notional},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE", "endTime": 0},
        {"filterType": "FILTER_OF_A_LATER_RELEASE", "value": "0"},
    ]


# ── Bars ──


def kline_row(instrument: Instrument, bar: BarRow, interval_ms: int) -> list[Any]:
    """Return a bar as ``/fapi/v1/klines`` sends it."""
    price, base, quote = instrument.price_decimals, instrument.quantity_decimals, _quote_places(instrument)
    return [
        bar.open_time_ms,
        *(fixed(value, price) for value in bar[1:5]),
        fixed(bar.volume, base),
        bar.open_time_ms + interval_ms - 1,
        fixed(bar.quote_volume, quote),
        bar.trade_count,
        fixed(bar.taker_buy_volume, base),
        fixed(bar.taker_buy_quote_volume, quote),
        "0",
    ]


def kline_event(instrument: Instrument, bar: BarRow, interval: str, now_ms: int, *, is_closed: bool) -> dict[str, Any]:
    """Return a bar as a kline stream sends it."""
    _, o, h, lo, c, volume, close_ms, quote_volume, count, taker, taker_quote, ignored = kline_row(
        instrument, bar, INTERVALS[interval]
    )
    first = first_trade_id(bar.open_time_ms)
    k = {
        "t": bar.open_time_ms,
        "T": close_ms,
        "s": instrument.symbol,
        "i": interval,
        "f": first if count else -1,
        "L": first + count - 1 if count else -1,
        "o": o,
        "c": c,
        "h": h,
        "l": lo,
        "v": volume,
        "n": count,
        "x": is_closed,
        "q": quote_volume,
        "V": taker,
        "Q": taker_quote,
        "B": ignored,
    }
    return {"e": "kline", "E": now_ms, "s": instrument.symbol, "k": k}


# ── 24 hours ──


def ticker_row(instrument: Instrument, day: BarRow, now_ms: int) -> dict[str, Any]:
    """Return ``/fapi/v1/ticker/24hr`` of one symbol; the last quantity is the mean trade of the day."""
    price, base = instrument.price_decimals, instrument.quantity_decimals
    change = day.close - day.open + 0.0
    first = first_trade_id(day.open_time_ms)
    return {
        "symbol": instrument.symbol,
        "priceChange": fixed(change, price),
        "priceChangePercent": fixed(100 * change / day.open if day.open else 0.0, 3),
        "weightedAvgPrice": fixed(day.quote_volume / day.volume if day.volume else day.close, price),
        "lastPrice": fixed(day.close, price),
        "lastQty": fixed(day.volume / day.trade_count if day.trade_count else 0.0, base),
        "openPrice": fixed(day.open, price),
        "highPrice": fixed(day.high, price),
        "lowPrice": fixed(day.low, price),
        "volume": fixed(day.volume, base),
        "quoteVolume": fixed(day.quote_volume, _quote_places(instrument)),
        "openTime": day.open_time_ms,
        "closeTime": now_ms,
        "firstId": first if day.trade_count else -1,
        "lastId": first + day.trade_count - 1 if day.trade_count else -1,
        "count": day.trade_count,
    }


_TICKER_KEYS: Final = {
    "s": "symbol",
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}
_MINI_KEYS: Final = {k: _TICKER_KEYS[k] for k in "scohlvq"}


def ticker_event(row: dict[str, Any], now_ms: int, *, is_mini: bool) -> dict[str, Any]:
    """Return a 24hr row as the ticker or miniTicker stream sends it."""
    keys, name = (_MINI_KEYS, "24hrMiniTicker") if is_mini else (_TICKER_KEYS, "24hrTicker")
    return {"e": name, "E": now_ms, **{short: row[long] for short, long in keys.items()}}


# ── Book, mark price, open interest ──


def book_ticker_row(instrument: Instrument, quote: Quote, now_ms: int) -> dict[str, Any]:
    """Return ``/fapi/v1/ticker/bookTicker`` of one symbol."""
    price, base = instrument.price_decimals, instrument.quantity_decimals
    return {
        "symbol": instrument.symbol,
        "bidPrice": fixed(quote.bid, price),
        "bidQty": fixed(quote.bid_qty, base),
        "askPrice": fixed(quote.ask, price),
        "askQty": fixed(quote.ask_qty, base),
        "time": now_ms,
        "lastUpdateId": update_id(now_ms),
    }


def book_ticker_event(row: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """Return a bookTicker row as its stream sends it."""
    return {
        "e": "bookTicker",
        "u": row["lastUpdateId"],
        "s": row["symbol"],
        "b": row["bidPrice"],
        "B": row["bidQty"],
        "a": row["askPrice"],
        "A": row["askQty"],
        "T": now_ms,
        "E": now_ms,
    }


def book_rows(instrument: Instrument, side: BookSide, count: int) -> list[tuple[str, str]]:
    """Return price and quantity of the first ``count`` levels of one side of the book."""
    price, base = instrument.price_decimals, instrument.quantity_decimals
    levels = zip(side.prices[:count], side.quantities[:count], strict=True)
    return [(fixed(p, price), fixed(q, base)) for p, q in levels]


def premium_row(symbol: str, quote: Quote, now_ms: int) -> dict[str, Any]:
    """Return ``/fapi/v1/premiumIndex`` of one symbol."""
    return {
        "symbol": symbol,
        "markPrice": fixed(quote.mark, 8),
        "indexPrice": fixed(quote.index, 8),
        "estimatedSettlePrice": fixed(quote.index, 8),
        "lastFundingRate": fixed(quote.funding_rate, 8),
        "interestRate": "0.00010000",
        "nextFundingTime": quote.next_funding_ms,
        "time": now_ms,
    }


def mark_price_event(symbol: str, quote: Quote, now_ms: int) -> dict[str, Any]:
    """Return the mark price as its streams send it."""
    row = premium_row(symbol, quote, now_ms)
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": symbol,
        "p": row["markPrice"],
        "i": row["indexPrice"],
        "P": row["estimatedSettlePrice"],
        "r": row["lastFundingRate"],
        "T": row["nextFundingTime"],
    }


__all__ = [
    "INTERVALS",
    "book_rows",
    "book_ticker_event",
    "book_ticker_row",
    "exchange_info",
    "fixed",
    "kline_event",
    "kline_row",
    "mark_price_event",
    "premium_row",
    "symbol_info",
    "ticker_event",
    "ticker_row",
]
