"""History through the same engine: every bar of a panel as the minute cycle would have seen it."""

from aione.evaluate.walk import Step, walk

__all__ = ["Step", "walk"]
