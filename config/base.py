"""What every configuration model is made of: the base class and the bounded numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Bars = Annotated[int, Field(ge=1)]


class Model(BaseModel):
    """Base of every configuration model: immutable, and an unknown key is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


__all__ = ["Bars", "Fraction", "Model", "NotNegative", "Positive"]
