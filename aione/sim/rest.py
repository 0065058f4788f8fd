"""The REST endpoints: what each costs, what it refuses and what it answers. No I/O: parameters in, JSON value out.

An answer is a value, or an iterator of rows where it takes long (all symbols at once); the server makes the rows of an
iterator in slices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aione.sim import wire
from aione.sim.desk import BarRow, Desk, Instrument, update_id
from aione.sim.limits import DATA, FUNDING, WEIGHT
from aione.sim.market import FUNDING_INTERVAL_MS

DEPTH_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)
PERIODS: Final = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
HISTORY_MS: Final = 30 * 86_400_000
_SYMBOL: Final = re.compile(r"[\w.\-]{1,40}")
_INTEGER: Final = re.compile(r"[0-9]{1,20}")
Params: TypeAlias = Mapping[str, str]


class Rejected(Exception):
    """The request is wrong; the server answers 400 with the exchange's code and text."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


@dataclass(frozen=True, slots=True)
class Ask:
    """One request at one moment.

    Attributes
    ----------
    desk : Desk
        Where the market is asked.
    params : mapping of str to str
        The query string.
    now_ms : int
        The exchange's moment.
    weight_limit : int
        Shown by exchangeInfo.
    """

    desk: Desk
    params: Params
    now_ms: int
    weight_limit: int = 2400

    def integer(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number, or ``default`` where it was not sent."""
        text = self.params.get(name, "")
        if not text:
            return default
        if not _INTEGER.fullmatch(text):
            legal = "^[0-9]{1,20}$"
            raise Rejected(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")
        return int(text)

    def limit(self, default: int, highest: int) -> int:
        """Return the parameter ``limit``."""
        value = self.integer("limit", default)
        if value is None or not 1 <= value <= highest:
            raise Rejected(-1130, "Data sent for parameter 'limit' is not valid.")
        return value

    def span(self) -> tuple[int | None, int | None]:
        """Return ``startTime`` and ``endTime``."""
        start_ms, end_ms = self.integer("startTime"), self.integer("endTime")
        if start_ms is not None and end_ms is not None and start_ms > end_ms:
            raise Rejected(-1023, "Start time is greater than end time.")
        return start_ms, end_ms

    def mandatory(self, name: str) -> str:
        """Return a parameter that must be there."""
        text = self.params.get(name, "")
        if not text:
            raise Rejected(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return text

    def choice(self, name: str, known: Mapping[str, int]) -> str:
        """Return an interval or period."""
        text = self.mandatory(name)
        if text not in known:
            raise Rejected(-1120, f"Invalid {name}.")
        return text

    def instrument(self, *, live: bool = True) -> Instrument:
        """Return the instrument of the mandatory parameter ``symbol``; ``live`` data needs one that trades."""
        text = self.mandatory("symbol")
        if not _SYMBOL.fullmatch(text):
            legal = "^[A-Z0-9-_.]{1,20}$"
            raise Rejected(-1100, f"Illegal characters found in parameter 'symbol'; legal range is '{legal}'.")
        found = self.desk.instruments(self.now_ms).get(text)
        if found is None:
            raise Rejected(-1121, "Invalid symbol.")
        if live and not found.is_trading:
            raise Rejected(-4141, "Symbol is closed.")
        return found

    def one_or_all(self, row: Callable[[Instrument], Any]) -> Any:
        """Return the row of ``symbol`` where it was sent, and otherwise an iterator over all that trade."""
        if self.params.get("symbol"):
            return row(self.instrument())
        listed = list(self.desk.instruments(self.now_ms).values())
        return (row(instrument) for instrument in listed if instrument.is_trading)


# ── Answers ──


def _ping(_: Ask) -> Any:
    return {}


def _time(ask: Ask) -> Any:
    return {"serverTime": ask.now_ms}


def _exchange_info(ask: Ask) -> Any:
    return wire.exchange_info(ask.desk.instruments(ask.now_ms).values(), ask.now_ms, ask.weight_limit)


def _klines(ask: Ask) -> Any:
    instrument = ask.instrument(live=False)
    interval_ms = wire.INTERVALS[ask.choice("interval", wire.INTERVALS)]
    limit = ask.limit(500, 1500)
    rows = ask.desk.klines(instrument.symbol, interval_ms, ask.now_ms, (*ask.span(), limit))
    return [wire.kline_row(instrument, row, interval_ms) for row in rows]


def day_bar(desk: Desk, symbol: str, now_ms: int) -> BarRow:
    """Return the last 24 hours of a symbol as one bar, all zeros where nothing traded."""
    return desk.day(symbol, now_ms) or BarRow(now_ms, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)


def _ticker(ask: Ask) -> Any:
    return ask.one_or_all(lambda one: wire.ticker_row(one, day_bar(ask.desk, one.symbol, ask.now_ms), ask.now_ms))


def _premium_index(ask: Ask) -> Any:
    return ask.one_or_all(lambda one: wire.premium_row(one.symbol, ask.desk.quote(one.symbol, ask.now_ms), ask.now_ms))


def _book_ticker(ask: Ask) -> Any:
    return ask.one_or_all(lambda one: wire.book_ticker_row(one, ask.desk.quote(one.symbol, ask.now_ms), ask.now_ms))


def _depth(ask: Ask) -> Any:
    instrument = ask.instrument()
    limit = ask.integer("limit", 500)
    if limit not in DEPTH_LIMITS:
        raise Rejected(-4021, f"{limit} is not valid depth limit.")
    bids, asks = ask.desk.book(instrument, ask.now_ms)
    return {
        "lastUpdateId": update_id(ask.now_ms),
        "E": ask.now_ms,
        "T": ask.now_ms,
        "bids": wire.book_rows(instrument, bids, limit),
        "asks": wire.book_rows(instrument, asks, limit),
    }


def _open_interest(ask: Ask) -> Any:
    instrument = ask.instrument()
    held = ask.desk.quote(instrument.symbol, ask.now_ms).open_interest
    return {
        "symbol": instrument.symbol,
        "openInterest": wire.fixed(held, instrument.quantity_decimals),
        "time": ask.now_ms,
    }


def _funding_rate(ask: Ask) -> Any:
    limit = ask.limit(100, 1000)
    start_ms, end_ms = ask.span()
    last_ms = min(ask.now_ms, ask.now_ms if end_ms is None else end_ms) // FUNDING_INTERVAL_MS * FUNDING_INTERVAL_MS
    if not ask.params.get("symbol"):
        listed = list(ask.desk.instruments(ask.now_ms).values())[:limit]
        return (_funding(ask.desk, one, last_ms) for one in listed if one.listing.contract_type == "PERPETUAL")
    instrument = ask.instrument(live=False)
    first_ms = max(instrument.listing.onboard_ms, start_ms or 0, last_ms - 1000 * FUNDING_INTERVAL_MS)
    moments = range(-(-first_ms // FUNDING_INTERVAL_MS) * FUNDING_INTERVAL_MS, last_ms + 1, FUNDING_INTERVAL_MS)
    wanted = moments[:limit] if start_ms is not None else moments[-limit:]
    return (_funding(ask.desk, instrument, moment_ms) for moment_ms in wanted)


def _funding(desk: Desk, instrument: Instrument, moment_ms: int) -> dict[str, Any]:
    """Return a settlement: the rate that stood in the last millisecond before it."""
    quote = desk.quote_at(instrument.symbol, moment_ms - 1)
    return {
        "symbol": instrument.symbol,
        "fundingTime": moment_ms,
        "fundingRate": wire.fixed(quote.funding_rate, 8),
        "markPrice": wire.fixed(quote.mark, 8),
    }


def _open_interest_hist(ask: Ask) -> Iterator[dict[str, Any]]:
    instrument = ask.instrument(live=False)
    period_ms = wire.INTERVALS[ask.choice("period", {name: wire.INTERVALS[name] for name in PERIODS})]
    limit = ask.limit(30, 500)
    start_ms, end_ms = ask.span()
    oldest_ms = ask.now_ms - HISTORY_MS
    if start_ms is not None and start_ms < oldest_ms:
        raise Rejected(-1130, "parameter 'startTime' is invalid.")
    last_ms = min(ask.now_ms, ask.now_ms if end_ms is None else end_ms) // period_ms * period_ms
    first_ms = max(instrument.listing.onboard_ms, oldest_ms, start_ms or 0)
    moments = range(-(-first_ms // period_ms) * period_ms, last_ms + 1, period_ms)
    wanted = moments[:limit] if start_ms is not None else moments[-limit:]
    return (_held(ask.desk, instrument, moment_ms) for moment_ms in wanted)


def _held(desk: Desk, instrument: Instrument, moment_ms: int) -> dict[str, Any]:
    quote = desk.quote_at(instrument.symbol, moment_ms)
    return {
        "symbol": instrument.symbol,
        "sumOpenInterest": wire.fixed(quote.open_interest, 8),
        "sumOpenInterestValue": wire.fixed(quote.open_interest * quote.mark, 8),
        "CMCCirculatingSupply": "0",
        "timestamp": moment_ms,
    }


# ── Costs ──


def _flat(cost: int) -> Callable[[Params], int]:
    return lambda _: cost


def _one_all(one: int, everything: int) -> Callable[[Params], int]:
    return lambda params: one if params.get("symbol") else everything


def _by_limit(default: int, steps: tuple[tuple[int, int], ...], above: int) -> Callable[[Params], int]:
    """Return a cost that depends on ``limit``: that of the first step which is not below it."""

    def cost(params: Params) -> int:
        text = params.get("limit", "")
        limit = int(text) if _INTEGER.fullmatch(text) else default
        return next((weight for highest, weight in steps if limit <= highest), above)

    return cost


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How one path is charged and answered; without ``shows_weight`` the reply has no weight header."""

    answer: Callable[[Ask], Any]
    cost: Callable[[Params], int]
    budget: str = WEIGHT
    shows_weight: bool = True


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/fapi/v1/ping": Endpoint(_ping, _flat(1)),
    "/fapi/v1/time": Endpoint(_time, _flat(1)),
    "/fapi/v1/exchangeInfo": Endpoint(_exchange_info, _flat(1)),
    "/fapi/v1/klines": Endpoint(_klines, _by_limit(500, ((99, 1), (499, 2), (1000, 5)), 10)),
    "/fapi/v1/ticker/24hr": Endpoint(_ticker, _one_all(1, 40)),
    "/fapi/v1/premiumIndex": Endpoint(_premium_index, _one_all(1, 10)),
    "/fapi/v1/ticker/bookTicker": Endpoint(_book_ticker, _one_all(2, 5)),
    "/fapi/v1/depth": Endpoint(_depth, _by_limit(500, ((50, 2), (100, 5), (500, 10)), 20)),
    "/fapi/v1/openInterest": Endpoint(_open_interest, _flat(1)),
    "/fapi/v1/fundingRate": Endpoint(_funding_rate, _flat(1), FUNDING),
    "/futures/data/openInterestHist": Endpoint(_open_interest_hist, _flat(1), DATA, shows_weight=False),
}

__all__ = ["DEPTH_LIMITS", "ENDPOINTS", "PERIODS", "Ask", "Endpoint", "Rejected", "day_bar"]
