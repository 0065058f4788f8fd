"""`said`: nothing that a result holds is left out, and a change anywhere is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.evaluate.compare import Tally, compare, not_same
from aione.evaluate.said import KINDS, Column, said
from aione.evaluate.walk import walk


@pytest.fixture(scope="module")
def step(stretch):
    return next(walk(stretch.panel, stretch.daily, stretch.settings, start=stretch.start, market_at=stretch.market_at))


def changed(value):
    """Return a value like this one with its first number another one."""
    if isinstance(value, np.ndarray):
        other = value.copy()
        other.ravel()[:1] = ~other.ravel()[:1] if value.dtype == bool else 77
        return other
    if isinstance(value, Mapping):
        first = next(iter(value))
        return {**value, first: changed(value[first])}
    name = next(f.name for f in fields(value) if isinstance(getattr(value, f.name), np.ndarray))
    return replace(value, **{name: changed(getattr(value, name))})


def differing(step, stage1, stage2) -> set[str]:
    tally = Tally("test")
    before = said(step.readings, step.stage1, step.stage2)
    compare(tally, before, said(step.readings, stage1, stage2), step.stage1.symbols, 0)
    return {one.name for one in tally.shown}


def holds_numbers(value) -> bool:
    return isinstance(value, np.ndarray | Mapping) or is_dataclass(value)


def test_a_change_in_any_field_of_stage2_is_seen(step):
    names = [f.name for f in fields(step.stage2) if holds_numbers(getattr(step.stage2, f.name))]
    names = [name for name in names if name not in {"tags", "grounds"} and not name.startswith("_")]
    assert len(names) > 25
    for name in names:
        other = replace(step.stage2, **{name: changed(getattr(step.stage2, name))})
        assert differing(step, step.stage1, other), name


def test_a_change_in_any_field_of_stage1_is_seen(step):
    skipped = {"grounds", "failures", "states", "symbols"}
    names = [
        f.name
        for f in fields(step.stage1)
        if f.init and f.name not in skipped and holds_numbers(getattr(step.stage1, f.name))
    ]
    assert {"triggers", "evidence", "alert", "thresholds", "market_state"} <= set(names)
    for name in names:
        other = replace(step.stage1, **{name: changed(getattr(step.stage1, name))})
        assert differing(step, other, step.stage2), name


def test_a_change_in_what_the_monitor_remembers_is_seen(step, stretch):
    later = list(walk(stretch.panel, stretch.daily, stretch.settings, start=stretch.start, stop=stretch.start + 2))[-1]
    other = replace(step.stage1, states=later.stage1.states)
    assert "states.last_bar_ms" in differing(step, other, step.stage2)


def test_every_column_is_of_a_kind_and_has_its_symbols_first(step):
    columns = said(step.readings, step.stage1, step.stage2)
    assert {column.kind for column in columns} == set(KINDS)
    assert len({column[:2] for column in columns}) == len(columns)
    assert {column.values.shape[0] for column in columns if column.values.ndim} == {len(step.stage1.symbols)}
    assert set(step.readings.values) <= {c.name for c in columns if c.kind == "indicator"}


@pytest.mark.parametrize(
    ("expected", "found", "wrong"),
    [
        ([1.0, np.nan], [1.0, np.nan], None),
        ([1.0, np.nan], [1.0, 0.0], [False, True]),
        ([1.0, 2.0], [np.nextafter(1.0, 2.0), 2.0], [True, False]),
        ([0.0], [-0.0], [True]),
        ([True, False], [True, True], [False, True]),
        (["a"], ["b"], [True]),
    ],
)
def test_a_byte_is_a_difference_and_nan_is_nan(expected, found, wrong):
    result = not_same(np.array(expected), np.array(found))
    assert (result if result is None else result.tolist()) == wrong


def test_a_nan_with_other_bits_is_still_unknown():
    assert not_same(np.array([np.nan]), np.array([-np.nan])) is None


def test_runs_that_say_other_things_cannot_be_compared():
    one, other = [Column("indicator", "rsi", np.zeros(2))], [Column("indicator", "adx", np.zeros(2))]
    with pytest.raises(InvalidInput, match="only one said"):
        compare(Tally("test"), one, other, ("A", "B"), 0)
