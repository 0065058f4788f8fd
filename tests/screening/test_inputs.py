"""Every input of the score is supplied when the system runs: none is always unknown."""

from __future__ import annotations

import numpy as np
import pytest

from aione.screening.analyse import find_triggers, score
from aione.screening.load import load_cycle

BAR_MS = 1_795_348_740_000


@pytest.fixture
async def analysed(screened):
    loaded = await load_cycle(screened, BAR_MS)
    found = find_triggers(loaded, screened.settings)
    return loaded, found, score(loaded, found, screened.settings).stage2


async def test_every_factor_is_known_from_the_first_cycle_on(analysed):
    _, _, stage2 = analysed
    for name, column in stage2.factors.items():
        assert np.isfinite(column).all(), f"{name} is unknown for some symbol"


async def test_every_quality_is_known_from_the_first_cycle_on(analysed):
    _, _, stage2 = analysed
    for name, column in stage2.qualities.items():
        assert np.isfinite(column).any(), f"{name} is always unknown"


async def test_every_reading_is_known_for_some_symbol(analysed):
    _, found, _ = analysed
    for name, column in found.readings.values.items():
        assert np.isfinite(column).any(), f"{name} is always unknown"
    assert all(np.isfinite(value) for value in found.readings.market.values())
