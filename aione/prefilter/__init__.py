"""From every contract of the exchange to the screened universe, with a reason for each drop. Pure: no I/O, no clock."""

from aione.prefilter.chain import Prefilter
from aione.prefilter.result import PrefilterResult

__all__ = ["Prefilter", "PrefilterResult"]
