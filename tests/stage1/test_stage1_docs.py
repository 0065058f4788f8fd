"""What docs/stage1.md shows and lists is true."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from config.config import TRIGGER_NAME_MAP

TEXT = (Path(__file__).parents[2] / "docs" / "stage1.md").read_text(encoding="utf-8")


@pytest.fixture
def evaluate():
    block = next(block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "def evaluate" in block)
    scope = {}
    exec(compile(block, "docs/stage1.md", "exec"), scope)
    return scope["evaluate"]


def test_the_trigger_that_the_page_shows_keeps_the_contract(evaluate, market, settings):
    one = market().set("BUSDT", range_high_20=102.0, range_low_20=100.0).blank("CUSDT")
    found = evaluate(one.inputs(settings))
    assert found.fired.tolist() == [False, True, False]
    np.testing.assert_array_equal(found.value, [10.0, 2.0, np.nan])
    np.testing.assert_array_equal(found.strength, [0.0, 0.75, 0.0])


@pytest.mark.parametrize("name", sorted(set(TRIGGER_NAME_MAP.values())))
def test_the_page_lists_every_trigger(name):
    assert f"`{name}`" in TEXT
