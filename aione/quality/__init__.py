"""Data quality: one table of rules, guards for every minute, suites for every hour, and the quarantine.

The suites (`aione.quality.suites`, `aione.quality.frames`) load pandas and Great Expectations, so nothing here imports
them.
"""

from aione.quality.bar_guards import check_bars, check_times, count_unsound
from aione.quality.guards import Looked, UniverseRows, check_history, check_universe, look, with_bars
from aione.quality.inputs import Inputs
from aione.quality.quarantine import Quarantined, Settlement, settle
from aione.quality.report import Checked, Report
from aione.quality.rule import Verdict
from aione.quality.rules import DATASETS, RULES, Dataset, Finding, Rule, rules_of

__all__ = [
    "DATASETS",
    "RULES",
    "Checked",
    "Dataset",
    "Finding",
    "Inputs",
    "Looked",
    "Quarantined",
    "Report",
    "Rule",
    "Settlement",
    "UniverseRows",
    "Verdict",
    "check_bars",
    "check_history",
    "check_times",
    "check_universe",
    "count_unsound",
    "look",
    "rules_of",
    "settle",
    "with_bars",
]
