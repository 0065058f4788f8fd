"""Every constant has an effect: it is read somewhere outside the configuration."""

from pathlib import Path

import pytest

from config import config
from config.settings import SettingsError, load_settings

PROJECT = Path(__file__).resolve().parents[2]
CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for name in ("aione", "flows", "tasks", "blocks", "deployments")
    for path in (PROJECT / name).rglob("*.py")
)
FOR_CALIBRATION = {"OPTUNA_PARAM_RANGES", "OPTUNA_SQLITE_URI"}
"""Validated by the settings; calibration will read them."""


@pytest.mark.parametrize("name", sorted(set(config.__all__) - FOR_CALIBRATION))
def test_a_constant_is_read_by_the_product(name):
    assert name in CODE


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AIONE_OPTUNA_PARAM_RANGES", "{STAGE9.x: {low: 1, high: 2}}", "STAGE9.x names no number"),
        ("AIONE_OPTUNA_PARAM_RANGES", "{MIN_READY_PCT: {low: 0.3, high: 0.2}}", "low 0.3 must be below high 0.2"),
        ("AIONE_OPTUNA_SQLITE_URI", "postgres://x", "expected sqlite:///PATH"),
    ],
)
def test_what_calibration_will_use_is_checked_now(variable, value, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(environ={variable: value})
