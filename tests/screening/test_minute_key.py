"""What makes two runs of a minute the same work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.panel import VALUE_FIELDS
from aione.quality import Quarantined
from aione.screening.load import load_cycle
from aione.store.ring_layout import Finality
from aione.thresholds import RuleBook
from config.settings import load_settings
from tasks.caching import minute_key

BAR_MS = 1_795_348_740_000


@pytest.fixture
async def minute(screened):
    return await load_cycle(screened, BAR_MS)


def key(loaded, **overrides):
    return minute_key(loaded, load_settings(environ={}, overrides=overrides))


def with_panel(loaded, **columns):
    return replace(loaded, panel=replace(loaded.panel, **columns))


async def test_the_same_minute_loaded_twice_is_the_same_work(screened, minute):
    later = replace(await load_cycle(screened, BAR_MS), now_ms=minute.now_ms + 30_000)
    assert key(later) == key(minute)


@pytest.mark.parametrize("name", VALUE_FIELDS)
@pytest.mark.parametrize("bar", [0, 700, -1])
async def test_a_bar_that_is_another_makes_other_work(minute, name, bar):
    column = getattr(minute.panel, name).copy()
    column[2, bar] = np.nextafter(column[2, bar], np.inf)
    assert key(with_panel(minute, **{name: column})) != key(minute)


async def test_bars_in_another_order_make_other_work(minute):
    close = minute.panel.close.copy()
    close[0, [10, 11]] = close[0, [11, 10]]
    assert close[0, 10] != close[0, 11]
    assert key(with_panel(minute, close=close)) != key(minute)


async def test_what_else_makes_other_work(minute):
    symbols = minute.panel.symbols
    finality = minute.finality.copy()
    finality[0] = Finality.PROVISIONAL
    holes = minute.holes.copy()
    holes[1] = 3
    kept_out = Quarantined(symbols[0], "negative_volume", -1.0, 0.0, BAR_MS, BAR_MS, "guard")
    rule = "{id: loud, when: {metric: volume_z, op: '>', value: 4}, actions: {stage1.vwap_z: 2.5}}"
    others = [
        key(replace(minute, bar_time_ms=BAR_MS + 60_000)),
        key(with_panel(minute, symbols=(symbols[1], symbols[0], *symbols[2:]))),
        key(replace(minute, finality=finality)),
        key(replace(minute, holes=holes)),
        key(replace(minute, quarantine={symbols[0]: kept_out})),
        key(replace(minute, rules=RuleBook.parse({"threshold_rules.yaml": f"rules: [{rule}]"}))),
        key(minute, MIN_READY_PCT=0.91),
    ]
    assert len({key(minute), *others}) == len(others) + 1
