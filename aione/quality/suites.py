"""The Great Expectations suites of universe, history and hour, and what their results say of each symbol.

1. `suite_of` turns the rules that are on into expectations; each carries the rule's name in its ``meta``.
2. `validate` runs one suite on one stacked frame, in an ephemeral context that reports to nobody.
3. The rows that were not as expected lead back to symbols, and a rule's `Finding` is made of the newest of them.

Great Expectations takes seconds to load: nothing of the minute imports this module (a test and an import contract).
"""

from __future__ import annotations

from typing import Any

import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig

from aione.errors import AioneError
from aione.quality.expectations import suite_of
from aione.quality.frames import Frame
from aione.quality.rule import Dataset, Finding, Rule, Verdict
from aione.quality.rules import in_order, rules_of
from config.models import QualityParams


def validate(
    dataset: Dataset, frame: Frame, params: QualityParams, *, now_ms: int = 0, least_symbols: int = 0
) -> list[Verdict]:
    """Run a suite on a frame and return a verdict a rule.

    Parameters
    ----------
    dataset : str
    frame : DataFrame
        As `aione.quality.frames` makes it.
    params : QualityParams
    now_ms, least_symbols : int
        Of the universe: no contract is listed later than now; so many there must be.

    Raises
    ------
    AioneError
        An expectation could not be evaluated; the message names rule and reason.
    """
    rules = rules_of(dataset, params)
    if not rules or (frame.empty and dataset != "universe"):
        return [Verdict(dataset, rule.name, 0, 0, ()) for rule in rules]
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("stacked")
        .add_dataframe_asset(dataset)
        .add_batch_definition_whole_dataframe("all")
        .get_batch(batch_parameters={"dataframe": frame})
    )
    suite = suite_of(dataset, params, now_ms=now_ms, least_symbols=least_symbols)
    result = batch.validate(context.suites.add(suite), result_format={"result_format": "COMPLETE"})
    refused: dict[str, set[int]] = {rule.name: set() for rule in rules}
    checked: dict[str, int] = dict.fromkeys(refused, 0)
    for one in result.results:
        rule = _rule_of(one)
        rows, count = _rows(one, rule)
        refused[rule] |= rows
        checked[rule] = max(checked[rule], count)
    return [_verdict(rule, frame, refused[rule.name], checked[rule.name], params, least_symbols) for rule in rules]


# ── From results to findings ──


def _rule_of(one: Any) -> str:
    return str(one.expectation_config.meta["rule"])


def _rows(one: Any, rule: str) -> tuple[set[int], int]:
    """Return the rows that an expectation refused and how many it looked at; -1 stands for the frame as a whole."""
    told = one.exception_info  # of the expectation, or one a metric that it needs
    for trouble in [told] if "raised_exception" in told else told.values():
        if trouble["raised_exception"]:
            raise AioneError(f"rule {rule}: {one.expectation_config.type}: {trouble['exception_message']}")
    if "observed_value" in one.result:
        return (set() if one.success else {-1}), 1
    return set(one.result.get("unexpected_index_list") or ()), int(one.result["element_count"])


def _verdict(
    rule: Rule, frame: Frame, rows: set[int], checked: int, params: QualityParams, least_symbols: int
) -> Verdict:
    if -1 in rows:
        value, bound = rule.shown({"symbols": float(len(frame)), "least": float(least_symbols)}, params)
        at_ms = int(frame["open_time_ms"].max()) if len(frame) else 0
        return Verdict(rule.dataset, rule.name, checked, 1, (Finding("", rule.name, 1, at_ms, value, bound),))
    broken = frame.loc[sorted(rows)]
    found = []
    for symbol, some in broken.groupby("symbol", sort=True):
        last = some.iloc[-1].to_dict()
        value, bound = rule.shown(last, params)
        count, at_ms = len(some), int(last["open_time_ms"])
        if rule.name == "bar_twice":
            count -= some["open_time_ms"].nunique()
        if rule.name == "unsound_bars":
            count, at_ms = int(last["unsound_bars"]), int(last["unsound_ms"])
        found.append(Finding(str(symbol), rule.name, count, at_ms, float(value), float(bound)))
    return Verdict(rule.dataset, rule.name, checked, len(rows), tuple(in_order(found)))


__all__ = ["suite_of", "validate"]
