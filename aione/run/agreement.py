"""The page that says how far the engine is from TA-Lib, from its definitions in plain NumPy, and from itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from aione.errors import InvalidInput
from aione.evaluate.agreement import (
    Agreement,
    ProfileShare,
    readings_with_talib,
    with_oracles,
    with_profile,
    with_talib,
    wrong,
)
from aione.evaluate.futures import Stretch
from aione.evaluate.standins import market_of
from aione.evaluate.warmup import LONG, audit_warmup
from aione.panel import BarPanel
from aione.run.lookahead import DAY_BARS, LookaheadRequest, last_days, run_lookahead
from aione.sim.panels import recorded_panels
from aione.ui.audits import agreement_table, lookahead_page, profile_table, warmup_page
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class AgreementRequest:
    """What to measure: perpetuals' minutes, spot minutes that carry the taker's side (optional), how much."""

    directory: Path
    spot: Path | None = None
    days: float = 3.0
    stops: int = 200
    jobs: int = 1


def agreement_page(request: AgreementRequest, settings: Settings) -> tuple[str, list[str]]:
    """Return the page and what does not agree; every number in it is measured here."""
    params, lookback = settings.STAGE1_MONITOR_PARAMS.indicators, settings.SCREENING_LOOKBACK
    panel, _ = recorded_panels(request.directory)
    panels = {request.directory.name: longest_known(panel)}
    if request.spot is not None:
        panels[request.spot.name] = longest_known(recorded_panels(request.spot)[0])
    series: list[Agreement] = []
    readings: list[Agreement] = []
    oracles: list[Agreement] = []
    profiles: list[ProfileShare] = []
    for name, one in panels.items():
        series += with_talib(one, name)
        readings += readings_with_talib(one, params, name, lookback, request.stops)
        stops = request.stops if len(one.symbols) == 1 else request.stops // 2
        oracles += [row for row in with_oracles(one, params, name, lookback, stops) if row.compared or row.only_one]
        profiles += with_profile(one, params, name, lookback, stops)
    stretch = last_days(panel, panel.shape[1] / DAY_BARS, settings)
    late = Stretch(stretch.panel, stretch.daily, settings, market_of, LONG, stretch.panel.shape[1])
    warmup = audit_warmup(late, stops=request.stops)
    lookahead = run_lookahead(LookaheadRequest(request.directory, request.days, jobs=request.jobs), settings)
    page = "\n\n".join(
        [
            "# How far the engine is from others, and from itself",
            _FOREWORD,
            "## TA-Lib",
            _TALIB,
            agreement_table(series),
            _READINGS.format(lookback=lookback),
            agreement_table(readings),
            "## Definitions in plain NumPy",
            _ORACLES.format(lookback=lookback),
            agreement_table(oracles),
            _PROFILE,
            profile_table(profiles),
            "## Warm-up",
            _WARMUP.format(lookback=lookback),
            warmup_page(warmup),
            "## Look-ahead",
            lookahead_page(lookahead),
            "",
        ]
    )
    failed = list(wrong([*series, *readings, *oracles]))
    failed += [
        f"{row.name} is declared to need {row.declared_bars} bars and needs {row.agrees_from or 'more'}"
        for row in warmup.rows
        if not row.is_declared and row.declared_bars is not None and row.declared_bars <= lookback
    ]
    failed += [
        f"{row.name} of {row.data}: only {row.same_frac:.2%} are the oracle's" for row in profiles if not row.agrees
    ]
    if lookahead.differences:
        failed.append(f"{lookahead.differences} values depend on the future")
    return page, failed


def longest_known(panel: BarPanel) -> BarPanel:
    """Return the longest stretch without a missing bar of any symbol; TA-Lib knows nothing after one."""
    whole = np.concatenate([[False], panel.valid.all(axis=0), [False]])
    edges = np.flatnonzero(np.diff(whole.astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        raise InvalidInput("the recording has no minute that all of its symbols have")
    longest = int(np.argmax(ends - begins))
    return panel.window(int(ends[longest]), int(ends[longest] - begins[longest]))


_FOREWORD: Final = (
    "Written by `python -m aione.run.audits agreement`; every number is measured. Differences are relative to the"
    " value, or to the symbol's usual value where that is larger; the largest absolute one stands beside it in the"
    " indicator's own unit."
)
_TALIB: Final = (
    "Every bar of every symbol. RSI and ATR begin as TA-Lib's do. ADX, the directional indices and EMA are seeded in"
    " another way, so they are compared after the bar named here, and the bar is told from which on they agree without"
    " that allowance. EMA is compared on the minutes and on the closes of each higher timeframe."
)
_READINGS: Final = (
    "What the engine reads from its last {lookback} bars, against TA-Lib over the whole history: the memory that"
    " Wilder's averages declare is enough."
)
_ORACLES: Final = (
    "`aione.evaluate.oracles` writes the definitions out, one symbol and one bar at a time, and shares nothing with the"
    " compiled kernels. Readings from {lookback} bars. Of a divergence it is compared whether there is one. What the"
    " recording lacks (the perpetuals' taker side) is left out here and compared on spot."
)
_PROFILE: Final = (
    "The volume profile lays a bar's volume evenly over the sixteenths of a bin that the bar touches. `the same` is"
    " against this in plain NumPy; where bins hold the same volume, because one bar alone crossed them, the last bit of"
    " a sum can decide which is taken. `exactly laid` is against each bar's volume spread over its high-low and nothing"
    " more: this is how far the sixteenths are from the definition."
)
_WARMUP: Final = (
    "What a value is worth when less than the screening's {lookback} bars are there. `declared` is"
    " `aione.indicators.warmup.required_bars`: before it a reading is NaN or as that module says. `measured` is the"
    " shortest history on a ladder of lengths from which on all agree. Averages of higher timeframes never forget"
    " within what is loaded; they are by definition those of the last {lookback} bars."
)

__all__ = ["AgreementRequest", "agreement_page", "longest_known"]
