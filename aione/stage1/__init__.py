"""Stage1, the watchman: triggers over every symbol, then ALERT or NORMAL. Pure: no I/O, no clock."""

from aione.stage1.inputs import Trigger, TriggerInput, TriggerResult
from aione.stage1.market_state import MarketStates, market_states
from aione.stage1.registry import canonical_name
from aione.stage1.run import Stage1Result, run_stage1
from aione.stage1.states import MonitorState, MonitorStates
from aione.stage1.thresholds import DenseLayer, EffectiveThresholds, effective_thresholds

__all__ = [
    "DenseLayer",
    "EffectiveThresholds",
    "MarketStates",
    "MonitorState",
    "MonitorStates",
    "Stage1Result",
    "Trigger",
    "TriggerInput",
    "TriggerResult",
    "canonical_name",
    "effective_thresholds",
    "market_states",
    "run_stage1",
]
