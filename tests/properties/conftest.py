"""The settings, and a step of the engine as named columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from aione.evaluate.walk import Step
from config.settings import Settings, load_settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(environ={})


def columns(step: Step) -> dict[str, np.ndarray]:
    """Every array of a step by name: readings, triggers, alerts, thresholds in force, and all of Stage2."""
    found = {f"readings.{name}": column for name, column in step.readings.values.items()}
    for name, trigger in step.stage1.triggers.items():
        found |= {f"triggers.{name}.{part}": getattr(trigger, part) for part in ("fired", "side", "strength", "value")}
    found |= {f"stage1.{name}": getattr(step.stage1, name) for name in ("evidence", "side", "alert", "announced")}
    return found | {f"stage2.{name}": column for name, column in _arrays(step.stage2).items()}


def _arrays(result: object) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        if field.name in {"tags", "symbols", "grounds"}:
            continue
        if isinstance(value, np.ndarray):
            found[field.name] = value
        elif isinstance(value, Mapping):
            found |= {f"{field.name}.{name}": column for name, column in value.items()}
        elif is_dataclass(value):
            found |= {f"{field.name}.{name}": column for name, column in _arrays(value).items()}
    return found


def is_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two columns are equal to the byte, but for which NaN it is."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
