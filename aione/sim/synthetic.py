"""`SyntheticMarket`: the default market of the simulated exchange, a pure function of seed, symbol and time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aione.errors import InvalidInput
from aione.sim.market import (
    DAY_MS,
    MINUTE_MS,
    Bars,
    Listing,
    Quote,
    Trades,
    aggregate,
    between,
    bucket_open,
    check_interval,
    empty_bars,
    stack,
)
from aione.sim.path import PathCache
from aione.sim.quotes import BookModel, make_quote
from aione.sim.script import Event, script_of_day
from aione.sim.synthetic_bars import MinuteModel
from aione.sim.synthetic_catalog import (
    MAX_SYMBOLS,
    Profile,
    coin_profiles,
    outsider_profiles,
    quarterly_profile,
    quarterly_profiles,
    visitor_lives,
    visitors,
)

_BATCH_DAYS = 12
_DAILY_ROWS_KEPT = 150_000


class SyntheticMarket:
    """A market of ``symbols`` coin perpetuals and the rows around them; to be asked by one thread at a time.

    Parameters
    ----------
    symbols : int, 1 to 1000
        Ordinary coin perpetuals; equities, quarterlies, dead and dying symbols come on top.
    seed : int
        Another seed is another market. A symbol's bars do not depend on how many others are listed.

    Raises
    ------
    InvalidInput
        ``symbols`` is out of range.

    Examples
    --------
    >>> market = SyntheticMarket(5)
    >>> bars = market.bars("BTCUSDT", 60_000, 1_764_000_000_000, 1_764_000_120_000)
    >>> len(bars), bool(bars["open"][1] == bars["close"][0])
    (3, True)
    """

    def __init__(self, symbols: int, seed: int = 7) -> None:
        if not 1 <= symbols <= MAX_SYMBOLS:
            raise InvalidInput(f"a synthetic market has 1 to {MAX_SYMBOLS} symbols, asked for {symbols}")
        self._seed = seed
        self._model = MinuteModel(seed)
        self._coins = coin_profiles(symbols, seed)
        self._fixed = {row.symbol: row for row in (*self._coins, *outsider_profiles(seed))}
        self._profiles = dict(self._fixed)
        self._days_kept = min(4096, max(256, 4 * len(self._fixed)))
        self._days: OrderedDict[tuple[str, int], Bars] = OrderedDict()
        self._daily: OrderedDict[tuple[str, int], Bars] = OrderedDict()
        self._books: dict[str, BookModel] = {}
        self._paths = PathCache(self._minute, self._tick_size, seed)

    # ── Market ──

    def listings(self, now_ms: int) -> Sequence[Listing]:
        """Return exchangeInfo's rows at ``now_ms``; see `Market.listings`."""
        rows = [row.listing() for row in self._fixed.values()]
        rows += [replace(row.listing(), contract_type=kind) for row, kind in quarterly_profiles(self._seed, now_ms)]
        return rows + [row.listing(status) for row, status in visitors(self._seed, now_ms)]

    def bars(self, symbol: str, interval_ms: int, start_ms: int, end_ms: int) -> Bars:
        """Return whole bars, SIM_BAR; see `Market.bars`."""
        check_interval(interval_ms)
        first = bucket_open(start_ms + interval_ms - 1, interval_ms)
        last = bucket_open(end_ms, interval_ms)
        parts = [
            self._life_bars(life, interval_ms, first, last)
            for life in self._lives(symbol, first, last + interval_ms - 1)
        ]
        if len(parts) > 1 and interval_ms > DAY_MS:
            return aggregate(stack(parts), interval_ms)
        return parts[0] if len(parts) == 1 else stack(parts)

    def forming(self, symbol: str, now_ms: int) -> Bars:
        """Return the 1m bar of ``now_ms`` as seen so far; see `Market.forming`."""
        self._profile(symbol)
        return self._paths.forming(symbol, now_ms)

    def trades(self, symbol: str, start_ms: int, end_ms: int) -> Trades:
        """Return trades, SIM_TRADE; see `Market.trades`."""
        self._profile(symbol)
        return self._paths.trades(symbol, start_ms, end_ms)

    def quote(self, symbol: str, now_ms: int) -> Quote:
        """Return order book and derivatives; see `Market.quote`. A spread blow-out of the script shows here."""
        book = self._book(symbol)
        forming = self._paths.forming(symbol, now_ms)
        price = float(forming["close"][0]) if len(forming) else self._last_price(symbol, now_ms)
        wide, deep, interest = self._stress(symbol, now_ms)
        return make_quote(book, price, now_ms, spread_mult=wide, depth_mult=deep, interest_mult=interest)

    def events(self, symbol: str, start_ms: int, end_ms: int) -> list[Event]:
        """Return what the script holds for a symbol and touches ``[start_ms, end_ms]``, in order of time.

        Kinds are those of `aione.sim.script.DURATIONS`, and ``listing`` / ``delisting`` of contracts that come and go.
        """
        self._profile(symbol)
        found = []
        for life in self._lives(symbol, start_ms, end_ms):
            if life.daily_turnover > 0.0:
                for day in range(start_ms // DAY_MS, end_ms // DAY_MS + 1):
                    found += [one for one in script_of_day(self._seed, symbol, day) if _is_inside(one, life)]
            if symbol not in self._fixed:
                found.append(Event("listing", symbol, life.onboard_ms, life.onboard_ms + MINUTE_MS))
                found.append(Event("delisting", symbol, life.delivery_ms, life.delivery_ms + MINUTE_MS))
        touching = [one for one in found if one.start_ms <= end_ms and start_ms < one.end_ms]
        return sorted(touching, key=lambda one: (one.start_ms, one.kind))

    # ── Parts ──

    def _profile(self, symbol: str) -> Profile:
        """Return how a symbol behaves, whichever of its lives is meant; refuse one that is never listed."""
        if symbol not in self._profiles:
            lives = [quarterly_profile(self._seed, symbol), *visitor_lives(self._seed, symbol, 0, 60 * DAY_MS)]
            found = [life for life in lives if life is not None]
            if not found:
                raise InvalidInput(f"the synthetic market of {len(self._coins)} symbols does not know {symbol!r}")
            self._profiles[symbol] = found[0]
        return self._profiles[symbol]

    def _lives(self, symbol: str, start_ms: int, end_ms: int) -> list[Profile]:
        """Return the contracts of this name whose trading touches the time range."""
        profile = self._profile(symbol)
        is_fixed = symbol in self._fixed or profile.contract_type != "PERPETUAL"
        rows = [profile] if is_fixed else visitor_lives(self._seed, symbol, start_ms, end_ms)
        return [row for row in rows if row.onboard_ms <= end_ms and start_ms < row.delivery_ms]

    def _tick_size(self, symbol: str) -> float:
        return self._profile(symbol).tick_size

    def _minute(self, symbol: str, open_ms: int) -> Bars:
        lives = self._lives(symbol, open_ms, open_ms)
        if not lives:
            return empty_bars()
        day, minute = divmod(open_ms // MINUTE_MS, 1440)
        rows = self._days.get((symbol, day))
        if rows is None:
            rows = self._day_rows(lives[0], day, day)
        return rows[minute : minute + 1]

    def _book(self, symbol: str) -> BookModel:
        if symbol not in self._books:
            self._books[symbol] = self._profile(symbol).book(self._seed)
        return self._books[symbol]

    def _last_price(self, symbol: str, now_ms: int) -> float:
        """Return the close of the bar nearest to a moment without one; the usual price where none is near."""
        lives = self._lives(symbol, now_ms - 30 * DAY_MS, now_ms + 200 * DAY_MS)
        if not lives:
            return self._profile(symbol).price
        at = min(max(now_ms, lives[0].onboard_ms), lives[0].delivery_ms - 1) // MINUTE_MS * MINUTE_MS
        return float(self._minute(symbol, at)["close"][0])

    def _stress(self, symbol: str, now_ms: int) -> tuple[float, float, float]:
        """Return what the script does to spread, depth and open interest at this moment, as multipliers."""
        for event in script_of_day(self._seed, symbol, now_ms // DAY_MS):
            if event.start_ms <= now_ms < event.end_ms:
                part = (now_ms - event.start_ms) / (event.end_ms - event.start_ms)
                if event.kind == "spread_blowout":
                    return 9.0 * event.size, 0.12, 1.0
                if event.kind in {"pump", "dump", "breakout_up", "breakout_down"}:
                    return 1.5, 0.8, 1.0 + 0.06 * event.size * part
        return 1.0, 1.0, 1.0

    def _life_bars(self, life: Profile, interval_ms: int, first: int, last: int) -> Bars:
        start, end = max(first, life.onboard_ms), min(last + interval_ms - 1, life.delivery_ms - 1)
        if interval_ms % DAY_MS == 0:
            return aggregate(self._life_days(life, start, end), interval_ms) if start <= end else empty_bars()
        if start > end:
            return empty_bars()
        minutes = between(self._day_rows(life, start // DAY_MS, end // DAY_MS), start, end)
        return minutes if interval_ms == MINUTE_MS else aggregate(minutes, interval_ms)

    def _day_rows(self, life: Profile, first: int, last: int) -> Bars:
        """Return the minutes of whole days, made in batches and kept."""
        wanted = {day: self._days.get((life.symbol, day)) for day in range(first, last + 1)}
        missing = [day for day, rows in wanted.items() if rows is None]
        for at in range(0, len(missing), _BATCH_DAYS):
            batch = missing[at : at + _BATCH_DAYS]
            made = self._model.minutes(life, batch[0], batch[-1] - batch[0] + 1).reshape(-1, 1440)
            for day in batch:
                wanted[day] = self._days[life.symbol, day] = made[day - batch[0]].copy()
        for day in wanted:
            self._days.move_to_end((life.symbol, day))
        while len(self._days) > self._days_kept:
            self._days.popitem(last=False)
        return stack([rows for rows in wanted.values() if rows is not None])

    def _life_days(self, life: Profile, start_ms: int, end_ms: int) -> Bars:
        """Return daily bars, the aggregates of the minutes; of days that are not held, the minutes are not kept."""
        days = range(start_ms // DAY_MS, end_ms // DAY_MS + 1)
        missing = [day for day in days if (life.symbol, day) not in self._daily]
        for at in range(0, len(missing), _BATCH_DAYS):
            batch = missing[at : at + _BATCH_DAYS]
            made = self._model.minutes(life, batch[0], batch[-1] - batch[0] + 1)
            for row in aggregate(between(made, life.onboard_ms, life.delivery_ms - 1), DAY_MS):
                self._daily[life.symbol, int(row["open_time_ms"]) // DAY_MS] = np.array([row], dtype=row.dtype)
        rows = [self._daily[life.symbol, day] for day in days]
        while len(self._daily) > _DAILY_ROWS_KEPT:
            self._daily.popitem(last=False)
        return stack(rows)


def _is_inside(event: Event, life: Profile) -> bool:
    return life.onboard_ms <= event.start_ms and event.end_ms <= life.delivery_ms


__all__ = ["SyntheticMarket"]
