"""Bars as columns: the record, the panel, resampling and windows. Pure: no I/O, no clock."""

from aione.panel.bar_panel import B1, F8, I8, BarPanel
from aione.panel.bars import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, Finality, Source
from aione.panel.market import MarketSnapshot

__all__ = [
    "B1",
    "BAR_RECORD",
    "DAY_MS",
    "F8",
    "I8",
    "MINUTE_MS",
    "VALUE_FIELDS",
    "BarPanel",
    "Finality",
    "MarketSnapshot",
    "Source",
]
