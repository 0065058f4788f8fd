"""What is validated: one moment's universe and stored bars, and what the guards say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from aione.panel import I8, MINUTE_MS, BarPanel
from aione.quality.bar_guards import check_bars, check_times
from aione.quality.guards import UniverseRows, check_history, check_universe
from aione.quality.rule import Dataset, Finding
from config.models import QualityParams

Records: TypeAlias = NDArray[Any]
"""Rows of `BAR_RECORD`."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One moment's data.

    Attributes
    ----------
    now_ms, end_ms : int
        The exchange's time, and the open time of the last bar that is settled.
    rows : UniverseRows
        Every tradable contract.
    before : int or None
        How many there were an hour ago; None where nobody knows.
    symbols : tuple of str
        Whose bars are looked at: screened, traded or in quarantine.
    records : mapping symbol -> rows of `BAR_RECORD`
        As stored, the whole lookback, without the marks of bars that the exchange does not have.
    holes : int64 (S,)
        Bars that we lack between the first and the last that are held.
    bars, hour_bars : int
        Length of the lookback and of the hour.
    """

    now_ms: int
    end_ms: int
    rows: UniverseRows
    before: int | None
    symbols: tuple[str, ...]
    records: Mapping[str, Records]
    holes: I8
    bars: int
    hour_bars: int

    @property
    def hour(self) -> dict[str, Records]:
        """Return the records of the hour."""
        since_ms = self.end_ms - MINUTE_MS * (self.hour_bars - 1)
        return {symbol: rows[rows["open_time_ms"] >= since_ms] for symbol, rows in self.records.items()}

    def looked(self, dataset: Dataset) -> frozenset[str]:
        """Return the symbols that a look at a dataset can say to be sound."""
        if dataset == "universe":
            return frozenset(self.rows.symbols)
        records = self.hour if dataset == "hour" else self.records
        return frozenset(symbol for symbol, rows in records.items() if len(rows))

    def by_guards(self, dataset: Dataset, params: QualityParams) -> list[Finding]:
        """Return what the guards of the minute say of the same data."""
        if dataset == "universe":
            return check_universe(self.rows, self.now_ms, self.before, params)
        panel = BarPanel.from_records(self.records, end_ms=self.end_ms, bars=self.bars)
        if dataset == "history":
            return check_history(panel, self.holes, params)
        return [*check_bars(panel.tail(self.hour_bars), params), *check_times(self.hour, MINUTE_MS, params)]


__all__ = ["Inputs", "Records"]
