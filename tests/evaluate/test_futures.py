"""The ways of seeing the future: each has the future in it, and the reference has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.evaluate import futures
from aione.evaluate.futures import FUTURES, between_walls, cut, truncated, with_running_day
from aione.evaluate.said import said
from aione.panel import DAY_MS, VALUE_FIELDS


@pytest.fixture
def few(stretch):
    return replace(stretch, stop=stretch.start + 3)


def seen_by(monkeypatch, few, name):
    """Return the panels and days that `walk` or `look` is given, as they are at the time."""
    given = []

    def looked(panel, daily, *_rest, **_options):
        given.append((panel, daily))
        raise StopIteration

    monkeypatch.setattr(futures, "walk", looked)
    monkeypatch.setattr(futures, "look", looked)
    with pytest.raises((RuntimeError, StopIteration)):
        next(FUTURES[name](few) if name in FUTURES else truncated(few))
    return given[0]


def test_the_reference_holds_nothing_later(monkeypatch, few):
    panel, daily = seen_by(monkeypatch, few, "truncated")
    assert panel.open_time_ms[-1] == few.panel.open_time_ms[few.start]
    assert panel.shape[1] == few.settings.SCREENING_LOOKBACK
    assert daily.open_time_ms[-1] + DAY_MS == few.midnight(few.start)
    assert not np.shares_memory(panel.close, few.panel.close)
    assert not np.shares_memory(daily.close, few.daily.close)


@pytest.mark.parametrize(
    ("name", "is_garbage"),
    [
        ("random", lambda x, real: (x != real).all()),
        ("unknown", lambda x, _: np.isnan(x).all()),
        ("huge", lambda x, _: (x == 1e300).all()),
    ],
)
def test_garbage_is_all_there_is_behind_the_bar(monkeypatch, few, name, is_garbage):
    panel, daily = seen_by(monkeypatch, few, name)
    later, day = few.start + 1, int(np.searchsorted(few.daily.open_time_ms, few.midnight(few.start)))
    for field in VALUE_FIELDS:
        assert is_garbage(getattr(panel, field)[:, later:], getattr(few.panel, field)[:, later:]), field
        assert is_garbage(getattr(daily, field)[:, day:], getattr(few.daily, field)[:, day:]), field
        np.testing.assert_array_equal(getattr(panel, field)[:, :later], getattr(few.panel, field)[:, :later])
        np.testing.assert_array_equal(getattr(daily, field)[:, :day], getattr(few.daily, field)[:, :day])


def test_each_bar_is_written_when_its_turn_comes(few):
    for name in ("random", "unknown", "huge"):
        for step, columns in zip(truncated(few), FUTURES[name](few), strict=True):
            close = next(column.values for column in columns if column.name == "close")
            np.testing.assert_array_equal(close, few.panel.close[:, step.at])


def test_the_future_is_the_recording_itself(monkeypatch, few):
    panel, daily = seen_by(monkeypatch, few, "future")
    assert panel is few.panel
    assert daily is few.daily


def test_the_running_day_is_what_its_minutes_make(few):
    at = 2 * 1440 + 90
    window = cut(few.panel, at - 600, at + 1)
    days = with_running_day(few.days_before(at), window)
    assert days.open_time_ms.tolist() == few.daily.open_time_ms[:3].tolist()
    today = slice(2 * 1440, at + 1)
    np.testing.assert_array_equal(days.high[:, -1], few.panel.high[:, today].max(axis=1))
    np.testing.assert_array_equal(days.low[:, -1], few.panel.low[:, today].min(axis=1))
    np.testing.assert_array_equal(days.close[:, -1], few.panel.close[:, at])
    np.testing.assert_allclose(days.volume[:, -1], few.panel.volume[:, today].sum(axis=1))


def test_walls_stand_around_the_same_values(few):
    window = cut(few.panel, 0, 10)
    walled = between_walls(window, -1.0)
    np.testing.assert_array_equal(walled.close, window.close)
    assert walled.close.flags.c_contiguous
    block = walled.close.base
    assert (block[:4096] == -1.0).all()
    assert (block[-4096:] == -1.0).all()


def test_the_guarded_columns_come_back_in_the_symbols_order(few):
    for step, columns in zip(truncated(few), FUTURES["guarded"](few), strict=True):
        expected = said(step.readings, step.stage1, step.stage2)
        for one, other in zip(expected, columns, strict=True):
            np.testing.assert_array_equal(one.values, other.values, err_msg=one.name)
