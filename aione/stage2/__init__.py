"""Stage2, the analyst: levels, factors, scenario, score, plan and recommendation. Pure: no I/O, no clock."""

from aione.stage2.anomalies import ANOMALIES
from aione.stage2.factors import FACTORS
from aione.stage2.level_kernel import LEVEL_KINDS
from aione.stage2.recommend import GATES
from aione.stage2.result import STATUSES, Stage2Result
from aione.stage2.risk import RISK_CLASSES
from aione.stage2.run import run_stage2
from aione.stage2.scenarios import SCENARIOS

__all__ = [
    "ANOMALIES",
    "FACTORS",
    "GATES",
    "LEVEL_KINDS",
    "RISK_CLASSES",
    "SCENARIOS",
    "STATUSES",
    "Stage2Result",
    "run_stage2",
]
