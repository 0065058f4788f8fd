"""Verdicts over flow runs, each limit from both sides."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aione.housekeeping.runs import RunFacts, judge
from config.config import HOUSEKEEPING
from config.housekeeping_models import HousekeepingParams

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PARAMS = HousekeepingParams()
PROJECT = Path(__file__).resolve().parents[2]


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def action(run):
    verdict = judge(run, PARAMS, NOW)
    return None if verdict is None else verdict.action


@pytest.mark.parametrize(
    ("state", "is_minute", "days", "expected"),
    [
        ("COMPLETED", True, 1.9, None),
        ("COMPLETED", True, 2.1, "delete"),
        ("COMPLETED", False, 13.9, None),
        ("COMPLETED", False, 14.1, "delete"),
        ("FAILED", True, 2.1, None),
        ("CRASHED", True, 14.1, "delete"),
        ("CANCELLED", True, 14.1, "delete"),
    ],
)
def test_a_run_that_has_ended_is_kept_for_its_retention(state, is_minute, days, expected):
    ended = ago(86_400 * days)
    assert action(RunFacts("f", state, state.title(), ended, ended=ended, is_minute=is_minute)) == expected


@pytest.mark.parametrize(
    ("flow", "state", "seconds", "expected"),
    [
        ("screening", "RUNNING", 689, None),
        ("screening", "RUNNING", 691, "crash"),
        ("preload", "RUNNING", 3600, None),
        ("unknown", "RUNNING", 86_400, None),
        ("unknown", "RUNNING", 87_001, "crash"),
        ("screening", "PENDING", 899, None),
        ("preload", "PENDING", 901, "crash"),
        ("preload", "CANCELLING", 901, "crash"),
        ("preload", "PAUSED", 10**7, None),
    ],
)
def test_a_run_is_stuck_long_after_its_limit(flow, state, seconds, expected):
    assert action(RunFacts(flow, state, state.title(), ago(seconds))) == expected


@pytest.mark.parametrize(
    ("name", "is_minute", "is_auto", "seconds", "expected"),
    [
        ("Late", True, True, 299, None),
        ("Late", True, True, 301, "cancel"),
        ("Scheduled", True, True, 301, "cancel"),
        ("Late", False, True, 7199, None),
        ("Late", False, True, 7201, "cancel"),
        ("Late", True, False, 86_399, None),
        ("Late", True, False, 86_401, "cancel"),
        ("AwaitingRetry", True, True, 10**6, None),
        ("Scheduled", True, True, -3600, None),
    ],
)
def test_a_scheduled_run_is_pointless_when_its_time_is_over_and_a_persons_after_a_day(
    name, is_minute, is_auto, seconds, expected
):
    run = RunFacts("f", "SCHEDULED", name, ago(seconds), ago(seconds), is_minute=is_minute, is_auto=is_auto)
    assert action(run) == expected


def test_a_verdict_says_why():
    run = RunFacts("screening", "SCHEDULED", "Late", ago(400), ago(400), is_minute=True, is_auto=True)
    assert judge(run, PARAMS, NOW).reason == "its time was 400 s ago; it is pointless after 300 s"


def flow_limits():
    """Yield each flow of the product with its own time limit, as its decorator says."""
    for path in sorted((PROJECT / "flows").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "flow":
                named = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
                yield named["name"], named["timeout_seconds"]


@pytest.mark.parametrize(("name", "timeout_s"), sorted(flow_limits()))
def test_no_flow_counts_as_stuck_before_its_own_time_limit(name, timeout_s):
    assert HOUSEKEEPING["flow_limits_s"].get(name, HOUSEKEEPING["other_limit_s"]) >= timeout_s
