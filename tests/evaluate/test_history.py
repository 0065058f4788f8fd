"""Figures of a history, against counting by hand."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from aione.evaluate.history import (
    History,
    a_day,
    begun,
    degenerate,
    fire_rates,
    recommendation_table,
    scenario_table,
    shares,
    spells,
)
from aione.stage2.scenarios import SCENARIOS
from config.settings import RECOMMENDATIONS

T, S = 2_880, 3


def history(seed: int = 5, **over) -> History:
    rng = np.random.default_rng(seed)
    columns = {
        "alert": rng.random((T, S)) < 0.2,
        "announced": rng.random((T, S)) < 0.05,
        "is_signal": rng.random((T, S)) < 0.02,
        "scenario": rng.integers(0, len(SCENARIOS), (T, S)).astype(np.int8),
        "recommendation": rng.integers(-1, len(RECOMMENDATIONS), (T, S)).astype(np.int8),
        "reco_original": rng.integers(-1, len(RECOMMENDATIONS), (T, S)).astype(np.int8),
        "gate_reason": rng.integers(-1, 4, (T, S)).astype(np.int8),
        "side": rng.integers(-1, 2, (T, S)).astype(np.int8),
        "confidence": rng.random((T, S)),
        "rr": rng.random((T, S)),
        "fired": {"quiet": rng.random((T, S)) < 0.01, "never": np.zeros((T, S), dtype=bool)},
    }
    times = 1_747_699_200_000 + 60_000 * np.arange(T)
    return History(("AUSDT", "BUSDT", "CUSDT"), times, **(columns | over))


def by_hand(column) -> list[int]:
    return [len(list(run)) for holds, run in groupby(column.tolist()) if holds]


def test_spells_are_the_runs_of_each_symbol():
    holds = history().alert
    assert spells(holds).tolist() == [length for s in range(S) for length in by_hand(holds[:, s])]
    assert spells(np.zeros((4, 2), dtype=bool)).tolist() == []
    assert spells(np.ones((4, 2), dtype=bool)).tolist() == [4, 4]


def test_a_spell_begins_once():
    holds = history().alert
    assert begun(holds).sum() == len(spells(holds))
    assert begun(np.array([[True], [True], [False], [True]])).ravel().tolist() == [True, False, False, True]


def test_shares_are_counts_over_the_places_asked_for():
    codes = np.array([[0, 1], [1, -1]], dtype=np.int8)
    assert shares(codes, ("A", "B"), np.ones((2, 2), dtype=bool)) == {"A": 0.25, "B": 0.5}
    assert shares(codes, ("A", "B"), np.zeros((2, 2), dtype=bool)) == {"A": 0.0, "B": 0.0}


def test_the_scenarios_share_all_of_the_time():
    rows = scenario_table(history())
    assert [row["scenario"] for row in rows] == list(SCENARIOS)
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert sum(row["share_alerted"] for row in rows) == pytest.approx(1.0)
    first = history().scenario == 0
    lengths = [length for s in range(S) for length in by_hand(first[:, s])]
    assert rows[0]["mean_bars"] == pytest.approx(np.mean(lengths))
    assert rows[0]["spells_a_day"] == pytest.approx(len(lengths) / 2 / S)


def test_a_recommendation_begins_where_it_is_new_in_alert():
    found = history()
    rows = {row["recommendation"]: row for row in recommendation_table(found)}
    hold = (found.recommendation == RECOMMENDATIONS.index("HOLD")) & found.alert
    count = sum(len(by_hand(hold[:, s])) for s in range(S))
    assert rows["HOLD"]["begun_a_day"] == pytest.approx(count / 2 / S)
    assert rows["HOLD"]["share_alerted"] == pytest.approx(hold.sum() / found.alert.sum())


def test_events_fall_on_their_utc_day():
    found = history()
    days, counts = a_day(found.is_signal, found.open_time_ms)
    assert days.tolist() == [20228, 20229]
    assert counts.tolist() == [found.is_signal[:1440].sum(), found.is_signal[1440:].sum()]


def test_what_never_rests_is_called_degenerate():
    assert degenerate(history()) == []
    busy = {"busy": np.tile([[True], [False]] * 10 + [[False]] * 12, (90, 3))}
    stuck = history(scenario=np.full((T, S), 6, dtype=np.int8), fired=busy)
    wrong = degenerate(stuck)
    assert wrong == [
        "RANGE_BOUND takes 100.0% of alerted time, allowed 60%",
        "busy fires on 31.25% of bars, allowed 5%",
    ]
    assert fire_rates(stuck)["busy"] == (0.3125, 0.3125)
