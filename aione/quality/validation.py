"""One run of the suites over stored data, with the guards on the same: loads pandas and Great Expectations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import pandas as pd

from aione.panel import MINUTE_MS
from aione.quality.frames import Frame, bar_frame, history_frame, universe_frame
from aione.quality.guards import least_symbols
from aione.quality.inputs import Inputs
from aione.quality.report import Checked, Report
from aione.quality.rule import Dataset
from aione.quality.rules import DATASETS
from aione.quality.suites import validate
from config.models import QualityParams

SYMBOLS_AT_ONCE: Final = 50


def run_suites(inputs: Inputs, datasets: Sequence[Dataset], params: QualityParams) -> Report:
    """Validate each dataset as one stacked frame.

    Raises
    ------
    AioneError
        An expectation could not be evaluated.
    """
    found = []
    for dataset in DATASETS:
        if dataset not in datasets:
            continue
        started = time.perf_counter()
        least = least_symbols(inputs.before, params)
        verdicts = validate(dataset, _frame(inputs, dataset, params), params, now_ms=inputs.now_ms, least_symbols=least)
        seconds = time.perf_counter() - started
        found.append(Checked(dataset, tuple(verdicts), tuple(inputs.by_guards(dataset, params)), seconds))
    return Report(tuple(found))


def _frame(inputs: Inputs, dataset: Dataset, params: QualityParams) -> Frame:
    if dataset == "universe":
        return universe_frame(inputs.rows, inputs.now_ms)
    if dataset == "hour":
        return bar_frame(inputs.hour, MINUTE_MS, params)
    return pd.concat([_history(inputs, first, params) for first in range(0, len(inputs.symbols) or 1, SYMBOLS_AT_ONCE)])


def _history(inputs: Inputs, first: int, params: QualityParams) -> Frame:
    """Return the histories of some symbols; the bars of all at once would take hundreds of megabytes."""
    symbols = inputs.symbols[first : first + SYMBOLS_AT_ONCE]
    bars = bar_frame({symbol: inputs.records[symbol] for symbol in symbols}, MINUTE_MS, params)
    holes = inputs.holes[first : first + SYMBOLS_AT_ONCE]
    frame = history_frame(bars, symbols, holes, inputs.end_ms, MINUTE_MS, inputs.bars, params)
    frame.index += first
    return frame


__all__ = ["run_suites"]
