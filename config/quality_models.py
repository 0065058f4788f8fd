"""The bounds of the data-quality rules."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from config.base import Fraction, Model, NotNegative, Positive


class QualityParams(Model):
    """`QUALITY`: bounds of the data-quality rules; see `aione.quality.rules`."""

    window_bars: Annotated[int, Field(ge=1, le=2000)] = Field(60, description="the hour: bars that every rule looks at")
    vwap_tolerance_frac: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.001, description="so far beyond low and high may quote volume over volume be: the exchange rounds"
    )
    taker_tolerance_frac: Fraction = Field(1e-9, description="so much more than the volume may takers have bought")
    max_range_frac: Positive = Field(4.0, description="high over low minus 1 of one bar")
    max_jump_frac: Positive = Field(0.1, description="open over the close before it, minus 1, up or down")
    frozen_bars: Annotated[int, Field(ge=2)] = Field(60, description="bars in a row without a trade or a move")
    max_absent_frac: Fraction = Field(0.1, description="share of minutes that the exchange has no bar of")
    max_holes: Annotated[int, Field(ge=0)] = Field(0, description="bars that we lack inside the history")
    max_age_bars: NotNegative = Field(2, description="bars that have closed since the newest that we have")
    min_onboard_ms: Annotated[int, Field(ge=0)] = Field(
        1_567_900_800_000, description="no contract is older than the exchange: 2019-09-08"
    )
    max_collapse_frac: Fraction = Field(0.3, description="share of the universe that may be lost at once")
    off: tuple[str, ...] = Field((), description="rules that are not looked at")

    @model_validator(mode="after")
    def _the_window_holds_what_is_frozen(self) -> Self:
        if self.frozen_bars > self.window_bars:
            raise ValueError(f"frozen_bars {self.frozen_bars} must not exceed window_bars {self.window_bars}")
        return self


__all__ = ["QualityParams"]
