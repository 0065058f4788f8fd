"""Where the close stands among the levels, by hand."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from aione.stage2.context import Context, market_context
from aione.stage2.levels import Levels

NAN = np.nan


def context_of(support, resistance, close=100.0, atr=0.5) -> dict[str, float]:
    blank = np.full((1, 2), NAN)
    around = [np.array([value]) for value in (support, resistance, 90.0, 110.0, 0.5, 0.5)]
    found = market_context(Levels(*([blank] * 5), *around), np.array([close]), np.array([atr]))
    return {field.name: float(getattr(found, field.name)[0]) for field in fields(Context)}


def test_room_is_told_in_atr_and_the_band_as_a_fraction_of_the_close() -> None:
    found = context_of(99.0, 103.0)
    assert found == {
        "support": 99.0,
        "resistance": 103.0,
        "major_support": 90.0,
        "major_resistance": 110.0,
        "room_down_atr": 2.0,
        "room_up_atr": 6.0,
        "band_frac": 0.04,
        "location": 0.5,
    }


@pytest.mark.parametrize(
    ("support", "resistance", "location"),
    [(100.0, 104.0, 1.0), (96.0, 100.0, -1.0), (98.0, 102.0, 0.0), (99.0, NAN, 1.0), (NAN, 101.0, -1.0)],
)
def test_location_is_one_at_the_support_and_minus_one_at_the_resistance(support, resistance, location) -> None:
    """With a level on one side alone the other side's room is endless."""
    assert context_of(support, resistance)["location"] == location


def test_without_any_level_nothing_is_known() -> None:
    found = context_of(NAN, NAN)
    assert all(np.isnan(found[name]) for name in ("room_down_atr", "room_up_atr", "band_frac", "location"))


def test_an_unknown_atr_leaves_the_distances_unknown_and_a_flat_market_makes_no_warning() -> None:
    assert np.isnan(context_of(99.0, 101.0, atr=NAN)["room_up_atr"])
    assert context_of(99.0, 101.0, atr=0.0)["room_up_atr"] == np.inf


def test_the_mirror_turns_location_and_swaps_the_rooms() -> None:
    one, other = context_of(99.0, 103.0), context_of(97.0, 101.0)
    assert one["location"] == -other["location"]
    assert (one["room_up_atr"], one["room_down_atr"]) == (other["room_down_atr"], other["room_up_atr"])
