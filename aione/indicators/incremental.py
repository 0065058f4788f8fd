"""`IncrementalReadings`: the readings of `compute_readings`, one bar at a time.

1. The bars of the window, and what is made of single bars, stand in rings that are written twice, so that no window is
   ever shifted (`aione.indicators.rings`).
2. What looks back a few bars looks back a few bars, with the functions of the batch.
3. What remembers more is kept: Wilder's averages, the sums of the session, the profile (whole numbers, so that taking
   out leaves nothing behind), the largest moves, the higher timeframes' bars.
4. Nothing is ever subtracted that was added as a fraction, so nothing drifts, however many bars come.
5. What is kept is made anew from the window where it does not suffice: after a gap, in a symbol that hardly moves,
   when an extreme leaves the window, after a correction.

So the readings are those of the batch on the same window, to 1e-9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.indicators.columns import NAMES, Periods
from aione.indicators.daily import days_before, level_table
from aione.indicators.follow import FOLLOWED, READINESS
from aione.indicators.memory import KERNEL_FIELDS, RING_FIELDS, Memory
from aione.indicators.readings import BARE, Readings, complete, daily_values, market_of, periods_of
from aione.panel import DAY_MS, F8, I8, MINUTE_MS, VALUE_FIELDS, BarPanel
from config.models import IndicatorParams

LIVE: Final = "live_"
"""Prefix of everything that is computed of a forming bar."""

LEAST_LOOKBACK: Final = 5


class _DaysAt(NamedTuple):
    """All daily levels ``(S, K)`` of a day, and the symbols of which the daily bars do not know yesterday."""

    start_ms: int
    table: F8
    missing: I8


class IncrementalReadings:
    """Readings that follow the bars as they close.

    Not for use by several threads at once. It takes about 170 kB a symbol for a window of 1500 bars.

    Parameters
    ----------
    panel : BarPanel
        1-minute bars, at least one: the history to start from. A bar is there if its close is known.
    params : IndicatorParams
    daily : BarPanel, optional
        As for `compute_readings`; exchange it with `follow_days` when a day has closed.
    lookback : int, optional
        Bars of the window. Readings are those of the last ``lookback`` bars seen; by default as many as ``panel`` has.
    benchmark : str

    Raises
    ------
    InvalidInput
        The panel has no bar or is not of 1-minute bars, or ``lookback`` is below 5.

    Examples
    --------
    >>> from aione.panel import BAR_RECORD
    >>> rows = np.zeros(300, dtype=BAR_RECORD)
    >>> rows["open_time_ms"] = MINUTE_MS * np.arange(300)
    >>> for name in VALUE_FIELDS:
    ...     rows[name] = 100.0
    >>> panel = BarPanel.from_records({"BTCUSDT": rows}, end_ms=MINUTE_MS * 299, bars=300)
    >>> following = IncrementalReadings(panel, IndicatorParams())
    >>> bar = rows[-1:].copy()
    >>> bar["open_time_ms"] += MINUTE_MS
    >>> bar["close"] = bar["high"] = 110.0
    >>> round(following.live_peek("BTCUSDT", bar[0])["live_return_15"], 3)
    0.1
    >>> following.push(int(bar["open_time_ms"][0]), bar)["return_15"].round(3)
    array([0.1])
    """

    def __init__(
        self,
        panel: BarPanel,
        params: IndicatorParams,
        daily: BarPanel | None = None,
        *,
        lookback: int | None = None,
        benchmark: str = "BTCUSDT",
    ) -> None:
        if panel.interval_ms != MINUTE_MS or not panel.shape[1]:
            raise InvalidInput(f"readings need 1-minute bars, at least one; was {panel.shape}, {panel.interval_ms} ms")
        bars = panel.shape[1]
        lookback = bars if lookback is None else lookback
        if lookback < LEAST_LOOKBACK:
            raise InvalidInput(f"lookback must be at least {LEAST_LOOKBACK}, was {lookback}")
        self._params, self._daily, self._benchmark = params, daily, benchmark
        minute = int(panel.open_time_ms[-1]) // MINUTE_MS
        self._fixed = periods_of(params, minute * MINUTE_MS)
        self._memory = Memory(minute, bars, lookback, self._periods(minute))
        self._places: dict[str, int] = {}
        self._bare = {name: np.empty(0) for name in VALUE_FIELDS}
        self._known_days: _DaysAt | None = None
        self.join(panel)

    # ── What is known ──

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols in the order of the readings."""
        return tuple(self._places)

    @property
    def open_time_ms(self) -> int:
        """Return the last bar's open time."""
        return self._memory.minute * MINUTE_MS

    def readings(self) -> Readings:
        """Return the readings of the last bar, corrections included."""
        columns = np.ascontiguousarray(self._memory.columns.T)
        values = complete({name: self._bare[name].copy() for name in BARE}, columns, self._memory.market)
        values.update(daily_values(values["close"], self._levels()))
        values.update(zip(READINESS, columns[len(NAMES) :], strict=True))
        return Readings(self.symbols, self.open_time_ms, values, market_of(values, self._memory.market))

    # ── Bars ──

    def push(self, open_time_ms: int, bars: NDArray[Any] | Mapping[str, F8]) -> Readings:
        """Take the closed bars of one minute and return its readings.

        Parameters
        ----------
        open_time_ms : int
            Later than the last bar's. Minutes in between are taken as missing for all symbols.
        bars : `BAR_RECORD` (S,), or mapping of the names of `VALUE_FIELDS` to float64 (S,)
            One bar a symbol in the order of ``symbols``. A record with another open time, or a NaN close, is a missing
            bar.

        Raises
        ------
        InvalidInput
            The time is not a later full minute, or the bars are not one a symbol.
        """
        minute, rest = divmod(open_time_ms, MINUTE_MS)
        last = self._memory.minute
        if rest or minute <= last:
            raise InvalidInput(f"open_time_ms must be a full minute after {self.open_time_ms}, was {open_time_ms}")
        values = self._columns_of(open_time_ms, bars)
        nothing = {name: np.full(len(self._places), np.nan) for name in VALUE_FIELDS}
        for missing in range(last + 1, minute):
            self._memory.take(missing, nothing, self._periods(missing))
        self._memory.take(minute, values, self._periods(minute))
        self._bare = values
        return self.readings()

    def live_peek(self, symbol: str, forming: np.void, benchmark: np.void | None = None) -> dict[str, float]:
        """Return the readings of one symbol as they would be if its forming bar closed as it is; changes nothing.

        Parameters
        ----------
        symbol : str
        forming : `BAR_RECORD` scalar
            The bar after the last closed one.
        benchmark : `BAR_RECORD` scalar, optional
            The benchmark's forming bar; without it beta, correlation and relative strength are NaN, unless the symbol
            is the benchmark.

        Returns
        -------
        dict of str to float
            Every reading under its name with ``live_`` before it, but for the rank in the universe, which one symbol
            has none of; NaN is unknown.

        Raises
        ------
        InvalidInput
            The symbol is not followed, or a bar is not the next one.
        """
        place, minute = self._place(symbol), self._memory.minute + 1
        for bar in (forming, benchmark):
            if bar is not None and bar["open_time_ms"] != minute * MINUTE_MS:
                raise InvalidInput(f"the forming bar must open at {minute * MINUTE_MS}, was {bar['open_time_ms']}")
        market = forming if symbol == self._benchmark else benchmark
        close = float(market["close"]) if market is not None else float("nan")
        values = {name: float(forming[name]) for name in BARE}
        fields = [float(forming[name]) for name in KERNEL_FIELDS]
        columns = self._memory.peek(place, fields, close, self._periods(minute))
        values.update(zip(FOLLOWED, columns.tolist(), strict=True))
        move = close / (self._memory.close_before(60) or float("nan")) - 1.0
        values["relative_strength"] = values["return_60"] - values["beta_btc"] * move
        values.update(self._live_levels(place, minute, values["close"]))
        return {LIVE + name: value for name, value in values.items()}

    def correct(self, symbol: str, records: NDArray[Any]) -> None:
        """Replace, or add, past bars of one symbol, and make its memory anew.

        ``records`` are `BAR_RECORD`; one with a NaN close says that there is no such bar, and those older than the
        window change nothing. A correction of the benchmark makes
        all symbols anew. `readings` tells what follows.

        Raises
        ------
        InvalidInput
            The symbol is not followed, or a bar is later than the last one.
        """
        place, memory = self._place(symbol), self._memory
        if len(records) and int(records["open_time_ms"].max()) > self.open_time_ms:
            raise InvalidInput(
                f"a correction must not be later than {self.open_time_ms}, was {records['open_time_ms'].max()}"
            )
        for bar in records:
            minute = int(bar["open_time_ms"]) // MINUTE_MS
            is_there = not np.isnan(bar["close"])
            values = {name: float(bar[name]) if is_there else np.nan for name in VALUE_FIELDS}
            memory.write(place, minute, [values[name] for name in RING_FIELDS])
            if minute == memory.minute:
                for name, value in values.items():
                    self._bare[name][place] = value
        self._make_anew(self.symbols if symbol == self._benchmark else [symbol])

    # ── Symbols and days ──

    def join(self, panel: BarPanel) -> None:
        """Follow more symbols, with their history up to the last bar; they come last in the order.

        Raises
        ------
        InvalidInput
            A symbol is followed already, or the panel does not end with the last bar.
        """
        known = [symbol for symbol in panel.symbols if symbol in self._places]
        if known or not panel.shape[1] or int(panel.open_time_ms[-1]) != self.open_time_ms:
            raise InvalidInput(
                f"what joins must be new and end at {self.open_time_ms}, was {panel.open_time_ms[-1:]}, known {known}"
            )
        self._memory.add(panel)
        self._number((*self.symbols, *panel.symbols))
        for name in VALUE_FIELDS:
            new = np.where(panel.valid[:, -1], getattr(panel, name)[:, -1], np.nan)
            self._bare[name] = np.concatenate([self._bare[name], new])
        self._make_anew(self.symbols if self._benchmark in panel.symbols else panel.symbols)

    def leave(self, symbols: Sequence[str]) -> None:
        """Follow these symbols no more; `InvalidInput` names one that is not followed."""
        places = {self._place(symbol) for symbol in symbols}
        kept = np.array([place not in places for place in range(len(self._places))], dtype=np.bool_)
        self._memory.keep(kept)
        self._number([symbol for symbol in self._places if symbol not in set(symbols)])
        self._bare = {name: column[kept] for name, column in self._bare.items()}
        if self._benchmark in symbols:
            self._make_anew(self.symbols)

    def follow_days(self, daily: BarPanel | None) -> None:
        """Take the daily bars from ``daily`` from now on."""
        self._daily, self._known_days = daily, None

    # ── Inside ──

    def _place(self, symbol: str) -> int:
        try:
            return self._places[symbol]
        except KeyError:
            raise InvalidInput(f"{len(self._places)} symbols are followed, but not {symbol}") from None

    def _number(self, symbols: Iterable[str]) -> None:
        self._places = {symbol: place for place, symbol in enumerate(symbols)}
        self._memory.market = self._places.get(self._benchmark, -1)
        self._known_days = None

    def _make_anew(self, symbols: Iterable[str]) -> None:
        places = (self._places[symbol] for symbol in symbols)
        self._memory.make_anew(places, self._bare["open"], self._periods(self._memory.minute))

    def _periods(self, minute: int) -> Periods:
        session = max(minute % (DAY_MS // MINUTE_MS) + 1, self._params.vwap_min_bars)
        return self._fixed._replace(session_bars=session)

    def _levels(self) -> F8:
        """Return yesterday's levels and the daily pivots of all symbols at the last bar."""
        days = self._days_at(self._memory.minute)
        if days.missing.size:
            self._memory.fill_yesterday(days.table, days.missing, days.missing, self._memory.minute)
        return days.table

    def _live_levels(self, place: int, minute: int, close: float) -> dict[str, float]:
        days = self._days_at(minute)
        table = days.table[place : place + 1]
        if days.missing.size and place in days.missing:
            table = table.copy()
            self._memory.fill_yesterday(table, np.zeros(1, dtype=np.int64), np.array([place]), minute)
        return {name: float(value[0]) for name, value in daily_values(np.array([close]), table).items()}

    def _days_at(self, minute: int) -> _DaysAt:
        start_ms = minute * MINUTE_MS // DAY_MS * DAY_MS
        if self._known_days is None or self._known_days.start_ms != start_ms:
            days = days_before(start_ms, self.symbols, self._daily)
            table = level_table(days, self._params.pivot_span)
            self._known_days = _DaysAt(start_ms, table, np.flatnonzero(np.isnan(table[:, 2])))
        return self._known_days

    def _columns_of(self, open_time_ms: int, bars: NDArray[Any] | Mapping[str, F8]) -> dict[str, F8]:
        """Return the bars as one array a field, NaN where a bar is missing."""
        if isinstance(bars, Mapping):
            values = {name: np.array(bars[name], dtype=np.float64) for name in VALUE_FIELDS}
            missing = np.isnan(values["close"])
        else:
            values = {name: bars[name].astype(np.float64) for name in VALUE_FIELDS}
            missing = bars["open_time_ms"] != open_time_ms
        for name, column in values.items():
            if column.shape != (len(self._places),):
                raise InvalidInput(f"{name} must have shape ({len(self._places)},), was {column.shape}")
            column[missing] = np.nan
        return values


__all__ = ["LIVE", "IncrementalReadings"]
