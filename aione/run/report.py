"""`aione report`: recorded bars through the engine, and what it said of them as a page with plots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aione.errors import InvalidInput, RuleError
from aione.evaluate.history import History, degenerate
from aione.evaluate.walk import Step, walk
from aione.run.rules import rules_directory
from aione.sim.panels import recorded_panels
from aione.thresholds import RuleState, load_book
from aione.ui.report import write_report
from config.settings import Settings

NOTE: Final = (
    "Recorded bars carry no order book and, of the perpetuals, no taker volume: spread, depth, open interest, funding "
    "and the taker's side are unknown here, and so are the triggers, factors and qualities that need them. "
    "The threshold rules in use applied. The confidence is not calibrated."
)


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What to walk: the recorded bars of a directory, the last ``days`` of them (None is all), and where to write."""

    directory: Path
    out: Path
    days: float | None = None


def make_report(request: ReportRequest, settings: Settings, *, tell: bool = True) -> tuple[Path, list[str]]:
    """Write the report and return its path and what is degenerate.

    Raises
    ------
    InvalidInput
        The recording is shorter than the bars that a screening needs.
    RuleError
        The threshold rules in use are wrong.
    """
    minutes, daily = recorded_panels(request.directory)
    bars, lookback = minutes.shape[1], settings.SCREENING_LOOKBACK
    start = lookback if request.days is None else max(lookback, bars - round(1440 * request.days))
    if start >= bars:
        raise InvalidInput(f"{request.directory}: {bars} minutes are recorded, a report needs more than {lookback}")
    rules, problem = load_book(rules_directory(settings), RuleState())
    if problem:
        raise RuleError(problem)
    steps = walk(minutes, daily, settings, start=start, rules=rules)
    history = History.of(_told(steps, bars - start) if tell else steps)
    path = write_report(history, request.out, f"What the engine said of {request.directory.name}", [NOTE])
    return path, degenerate(history)


def _told(steps: Iterator[Step], total: int) -> Iterator[Step]:
    """Pass steps on and show how far they are."""
    from rich.progress import track  # noqa: PLC0415  # only a person at a terminal needs it

    return iter(track(steps, description="bars", total=total))


__all__ = ["ReportRequest", "make_report"]
