"""Every indicator as a function of ``(S, T)`` arrays, and `compute_readings`: all of them at the last closed bar."""

from aione.indicators.profile import volume_profile
from aione.indicators.readings import Readings, compute_readings
from aione.indicators.structure import pivot_levels

__all__ = ["Readings", "compute_readings", "pivot_levels", "volume_profile"]
