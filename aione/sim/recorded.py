"""`RecordedMarket`: recorded bars of a directory, shifted in time so that a chosen moment of them is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from aione.errors import InvalidInput
from aione.sim.archive import Recording, read_directory
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
from aione.sim.noise import F8, noise_key
from aione.sim.path import PathCache
from aione.sim.quotes import BookModel, make_quote
from aione.sim.replay_clock import ReplayClock, Window, clock_at, common_window, looping_clock

FOREVER_MS: Final = 4_133_404_800_000
LISTED_BEFORE_MS: Final = 365 * DAY_MS
KNOWN_TICKS: Final = {
    "ADAUSDT": 1e-4,
    "AVAXUSDT": 1e-3,
    "BCHUSDT": 1e-2,
    "BNBUSDT": 1e-2,
    "BTCUSDT": 1e-1,
    "ENAUSDT": 1e-4,
    "ETCUSDT": 1e-3,
    "ETHUSDT": 1e-2,
    "LAYERUSDT": 1e-4,
    "LINKUSDT": 1e-3,
    "LTCUSDT": 1e-2,
    "SOLUSDT": 1e-2,
    "SUIUSDT": 1e-4,
    "XLMUSDT": 1e-5,
    "XMRUSDT": 1e-2,
    "XRPUSDT": 1e-4,
}
"""The exchange's tick sizes; used where the recorded prices lie on them, otherwise the prices decide."""


@dataclass
class _Instrument:
    """One recorded symbol with what is derived from it once."""

    recording: Recording

    @cached_property
    def tick_decimals(self) -> int:
        """Decimals of the tick size."""
        known = KNOWN_TICKS.get(self.recording.symbol)
        found = decimals_of(self.recording.minutes["close"])
        return found if known is None or found > decimals_of(np.array([known])) else decimals_of(np.array([known]))

    @cached_property
    def step_decimals(self) -> int:
        """Decimals of the step size."""
        return decimals_of(self.recording.minutes["volume"])

    @cached_property
    def book(self) -> BookModel:
        """What its quotes are drawn from."""
        minutes = self.recording.minutes
        turnover = float(minutes["quote_volume"].mean()) * 1440
        return BookModel(10.0**-self.tick_decimals, max(turnover, 1e4), noise_key(self.recording.symbol, "book"))


class RecordedMarket:
    """The recorded bars of a directory as a market.

    Parameters
    ----------
    directory : str or Path
        See `aione.sim.archive` for the layouts.
    at_ms : int or None
        The moment of the recording that is now. None lets ``now_ms`` choose one, the same for every process that
        starts in the same weeks, at the same time of day, and repeats the recording when it ends (`looping_clock`).
    now_ms : int
        The market's present. Equal to ``at_ms`` it leaves the recording's times as they are.

    Raises
    ------
    InvalidInput
        The directory is missing or holds no 1m bars, a file can't be read, the symbols share no minute, or ``at_ms``
        is outside the recording.

    Notes
    -----
    What the recording lacks (quote volume, taker volume, count; the whole order book) is made up by stated rules:
    `aione.sim.archive.fill_unknown`, `aione.sim.quotes`. Longer bars are the recorded ones where the 1m bars do not
    cover them, and aggregates of the 1m bars otherwise; a first, incomplete one is left out. Recorded 1h and 1d bars
    keep their place only under a shift of whole hours or days.
    """

    def __init__(self, directory: str | Path, *, at_ms: int | None, now_ms: int) -> None:
        recordings = read_directory(directory)
        self._instruments = {symbol: _Instrument(one) for symbol, one in recordings.items()}
        try:
            self._window = common_window([one.minutes["open_time_ms"] for one in recordings.values()])
            self._clock = (
                looping_clock(self._window, now_ms) if at_ms is None else clock_at(self._window, at_ms, now_ms)
            )
        except InvalidInput as error:
            raise InvalidInput(f"{directory}: {error}") from error
        self._directory = Path(directory)
        self._paths = PathCache(self._minute, self._tick_size)

    @property
    def clock(self) -> ReplayClock:
        """How the market's time maps to the recording's."""
        return self._clock

    @property
    def window(self) -> Window:
        """The stretch that all symbols have, in the recording's time."""
        return self._window

    # ── Market ──

    def listings(self, now_ms: int) -> Sequence[Listing]:
        """Return one perpetual for each recorded symbol; the rows do not depend on ``now_ms``."""
        del now_ms
        onboard_ms = self._window.start_ms + self._clock.shift_ms - LISTED_BEFORE_MS
        return [self._listing(one, onboard_ms) for one in self._instruments.values()]

    def bars(self, symbol: str, interval_ms: int, start_ms: int, end_ms: int) -> Bars:
        """Return whole bars, SIM_BAR; see `Market.bars`."""
        check_interval(interval_ms)
        recording = self._require(symbol).recording
        if interval_ms == MINUTE_MS:
            return self._played(recording.minutes, start_ms, end_ms)
        first, last = bucket_open(start_ms + interval_ms - 1, interval_ms), bucket_open(end_ms, interval_ms)
        if last < first:
            return empty_bars()
        minutes = self._played(recording.minutes, first, last + interval_ms - 1)
        made = aggregate(minutes, interval_ms)
        begins = int(recording.minutes["open_time_ms"][0]) + self._clock.shift_ms
        if len(made) and made["open_time_ms"][0] < begins:
            made = made[1:]
        return self._with_recorded(recording, made, interval_ms, first, last)

    def forming(self, symbol: str, now_ms: int) -> Bars:
        """Return the 1m bar of ``now_ms`` as seen so far; see `Market.forming`."""
        self._require(symbol)
        return self._paths.forming(symbol, now_ms)

    def trades(self, symbol: str, start_ms: int, end_ms: int) -> Trades:
        """Return trades, SIM_TRADE; see `Market.trades`."""
        self._require(symbol)
        return self._paths.trades(symbol, start_ms, end_ms)

    def quote(self, symbol: str, now_ms: int) -> Quote:
        """Return order book and derivatives; see `Market.quote`. Funding is the recorded rate where there is one."""
        instrument = self._require(symbol)
        forming = self._paths.forming(symbol, now_ms)
        price = float(forming["close"][0]) if len(forming) else self._last_price(instrument, now_ms)
        return make_quote(instrument.book, price, now_ms, funding_rate=self._funding(instrument.recording, now_ms))

    # ── Parts ──

    def _require(self, symbol: str) -> _Instrument:
        if symbol not in self._instruments:
            raise InvalidInput(f"the recording in {self._directory} holds no 1m bars of {symbol!r}")
        return self._instruments[symbol]

    def _listing(self, instrument: _Instrument, onboard_ms: int) -> Listing:
        recording = instrument.recording
        return Listing(
            symbol=recording.symbol,
            base_asset=recording.base_asset,
            quote_asset=recording.quote_asset,
            contract_type="PERPETUAL",
            underlying_type="COIN",
            status="TRADING",
            onboard_ms=onboard_ms,
            delivery_ms=FOREVER_MS,
            tick_size=_grid_text(instrument.tick_decimals),
            step_size=_grid_text(instrument.step_decimals),
            min_notional="5",
        )

    def _tick_size(self, symbol: str) -> float:
        return self._instruments[symbol].book.tick_size

    def _minute(self, symbol: str, open_ms: int) -> Bars:
        return self._played(self._instruments[symbol].recording.minutes, open_ms, open_ms)

    def _played(self, recorded: Bars, start_ms: int, end_ms: int) -> Bars:
        """Return recorded rows at the times at which they are played."""
        parts = []
        for first, last, shift in self._clock.pieces(start_ms, end_ms):
            part = between(recorded, first, last).copy()
            part["open_time_ms"] += shift
            parts.append(part)
        return parts[0] if len(parts) == 1 else stack(parts)

    def _with_recorded(self, recording: Recording, made: Bars, interval_ms: int, first: int, last: int) -> Bars:
        """Return made bars, and in front of them the recorded ones of the same interval."""
        if interval_ms not in recording.bars or self._clock.shift_ms % interval_ms:
            return made
        begins = int(recording.minutes["open_time_ms"][0]) + self._clock.shift_ms
        until = min(last, int(made["open_time_ms"][0]) - 1 if len(made) else begins)
        older = between(recording.bars[interval_ms], first - self._clock.shift_ms, until - self._clock.shift_ms).copy()
        older["open_time_ms"] += self._clock.shift_ms
        return stack((older, made)) if len(older) else made

    def _last_price(self, instrument: _Instrument, now_ms: int) -> float:
        minutes = instrument.recording.minutes
        row = int(np.searchsorted(minutes["open_time_ms"], self._clock.recorded_ms(now_ms), "right")) - 1
        return float(minutes["close"][max(row, 0)])

    def _funding(self, recording: Recording, now_ms: int) -> float | None:
        row = int(np.searchsorted(recording.funding_ms, self._clock.recorded_ms(now_ms), "right")) - 1
        return float(recording.funding_rate[row]) if row >= 0 else None


def decimals_of(values: F8, most: int = 8) -> int:
    """Return how many decimals the values are written with: the least that keeps each of them.

    Examples
    --------
    >>> decimals_of(np.array([0.5, 1.25])), decimals_of(np.array([95000.1])), decimals_of(np.array([3.0]))
    (2, 1, 0)
    """
    for decimals in range(most):
        if np.all(np.abs(values - np.round(values, decimals)) <= 1e-9 * np.maximum(1.0, np.abs(values))):
            return decimals
    return most


def _grid_text(decimals: int) -> str:
    return f"{10.0**-decimals:.{decimals}f}"


__all__ = ["KNOWN_TICKS", "RecordedMarket", "decimals_of"]
