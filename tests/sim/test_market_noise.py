"""Noise without state: distribution, independence of order, agreement of the fast routes with the plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from aione.sim.noise import (
    drifting,
    drifting_at,
    drifting_days,
    noise_key,
    normal,
    reverting_walk,
    student_t4,
    uniform,
    uniform_at,
)

INDEX = np.arange(200_000)


def test_the_generator_is_splitmix64():
    """Published first outputs of SplitMix64 for the seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    found = uniform(1234567, np.arange(1, 5))
    np.testing.assert_allclose(found, (np.array(expected, dtype=np.uint64) // np.uint64(2**11) + 0.5) / 2**53, rtol=0)


def test_uniform_is_flat_and_uncorrelated():
    draw = uniform(3, INDEX)
    assert draw.min() > 0
    assert draw.max() < 1
    counts, _ = np.histogram(draw, 50, (0, 1))
    assert abs(counts / 4000 - 1).max() < 0.08
    assert abs(np.corrcoef(draw[1:], draw[:-1])[0, 1]) < 0.01
    assert abs(np.corrcoef(draw, uniform(4, INDEX))[0, 1]) < 0.01


def test_one_number_is_the_array_s():
    for index in (0, 1, 29_700_000, -3):
        assert uniform_at(99, index) == uniform(99, np.array([index]))[0]


def test_normal_and_student_have_their_moments():
    gauss, fat = normal(5, INDEX), student_t4(5, INDEX)
    assert abs(gauss.mean()) < 0.01
    assert abs(gauss.std() - 1) < 0.01
    assert abs((gauss**4).mean() - 3) < 0.1
    assert abs(fat.std() - 1) < 0.05
    assert (fat**4).mean() > 6
    assert abs(fat).max() <= 10


@pytest.mark.parametrize("period", [12, 20, 72, 480])
def test_drifting_is_the_same_by_every_route(period):
    first, count = 20_000, 3
    minutes = np.arange(first * 1440, (first + count) * 1440)
    plain = drifting(8, minutes, period)
    np.testing.assert_allclose(drifting_days(8, first, count, period).ravel(), plain, rtol=1e-10, atol=1e-12)
    for at in (0, 7, 1440, 4000):
        assert drifting_at(8, int(minutes[at]), period) == pytest.approx(plain[at], abs=1e-12)


def test_drifting_moves_slowly_and_has_unit_variance():
    curve = drifting(8, np.arange(2_000_000), 120)
    assert abs(np.diff(curve)).max() < 0.15
    assert abs(curve.std() - 1) < 0.03


def test_the_walk_does_not_depend_on_where_it_is_asked_from():
    whole = reverting_walk(2, 100, 300, 0.97, 0.02)
    np.testing.assert_array_equal(whole[50:60], reverting_walk(2, 150, 10, 0.97, 0.02))
    np.testing.assert_array_equal(whole[77:78], reverting_walk(2, 177, 1, 0.97, 0.02))


def test_the_walk_reverts():
    walk = reverting_walk(2, 0, 20_000, 0.97, 0.02)
    assert abs(walk.mean()) < 0.03
    assert walk.std() == pytest.approx(0.02 / np.sqrt(1 - 0.97**2), rel=0.15)
    assert np.corrcoef(walk[1:], walk[:-1])[0, 1] == pytest.approx(0.97, abs=0.01)


def test_keys_tell_their_parts_apart():
    assert len({noise_key(1, 2), noise_key(12), noise_key(2, 1), noise_key("1", "2", ""), noise_key("1\x1f2")}) == 4
