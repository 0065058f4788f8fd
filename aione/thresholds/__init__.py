"""Dynamic thresholds: YAML rules that move thresholds with the state of the market."""

from aione.thresholds.book import RuleBook
from aione.thresholds.run import RuleOutcome, apply_rules, load_book
from aione.thresholds.state import RuleState

__all__ = ["RuleBook", "RuleOutcome", "RuleState", "apply_rules", "load_book"]
