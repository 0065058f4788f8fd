"""The look-ahead audit over the last days of a recording, by one process or several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aione.errors import InvalidInput
from aione.evaluate.futures import Stretch
from aione.evaluate.lookahead import AFTER_BARS, LookaheadReport, audit_lookahead, joined, parts
from aione.evaluate.standins import market_of, with_taker_side
from aione.panel import BarPanel
from aione.panel.resample import resample
from aione.sim.panels import recorded_panels
from config.settings import Settings

DAY_BARS: Final = 1440


@dataclass(frozen=True, slots=True)
class LookaheadRequest:
    """What to audit: the last ``days`` of a directory's recorded minutes, of some symbols (none named: all)."""

    directory: Path
    days: float = 3.0
    symbols: tuple[str, ...] = ()
    jobs: int = 1


def run_lookahead(request: LookaheadRequest, settings: Settings, *, tell: bool = False) -> LookaheadReport:
    """Run the look-ahead audit over recorded bars.

    Raises
    ------
    InvalidInput
        The recording is too short, or lacks a symbol.
    """
    panel, _ = recorded_panels(request.directory)
    stretch = last_days(panel.take(request.symbols) if request.symbols else panel, request.days, settings)
    if request.jobs <= 1:
        return audit_lookahead(stretch, told=_told if tell else None)
    pieces = parts(stretch, request.jobs)
    with ProcessPoolExecutor(request.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        return joined(list(pool.map(audit_lookahead, pieces)))


def last_days(panel: BarPanel, days: float, settings: Settings) -> Stretch:
    """Return the last days of a panel that still have `AFTER_BARS` of future behind them, and daily bars made of it."""
    stop = panel.shape[1] - AFTER_BARS
    start = max(settings.SCREENING_LOOKBACK, stop - round(DAY_BARS * days))
    if start >= stop:
        raise InvalidInput(f"{panel.shape[1]} minutes are recorded, an audit needs more than {start + AFTER_BARS}")
    return Stretch(with_taker_side(panel), resample(panel, DAY_BARS), settings, market_of, start, stop)


def _told(bars: Iterable[Any], word: str, total: int) -> Iterable[Any]:
    from rich.console import Console  # noqa: PLC0415  # only a person at a terminal needs it
    from rich.progress import track  # noqa: PLC0415

    return track(bars, description=word, total=total, console=Console(stderr=True))


__all__ = ["DAY_BARS", "LookaheadRequest", "last_days", "run_lookahead"]
