"""Why a scenario, a direction and a recommendation, told of every symbol."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from aione.errors import InvalidInput
from aione.stage2.recommend import GATES, TABLE
from aione.stage2.run import run_stage2
from aione.stage2.scenarios import SCENARIOS
from config.settings import load_settings

from .conftest import alerted, daily_panel, inputs, random_panel


@pytest.fixture(scope="module")
def results(settings):
    found = []
    for seed in range(12):
        panel = random_panel(seed)
        parts = inputs(settings, panel, daily_panel(seed))
        found.append(run_stage2(*parts[:4], alerted(parts[4]), settings))
    return found


def rows(results):
    return [(result, row, result.explain(row)) for result in results for row in range(len(result.symbols))]


def test_all_of_it_is_json(results):
    for _, _, told in rows(results):
        assert orjson.loads(orjson.dumps(told)) == told


def test_the_contributions_are_weight_times_value_over_the_known_weight_and_sum_to_the_direction(results):
    for result, row, told in rows(results):
        known = [one for one in told["factors"] if one["value"] is not None]
        total = sum(one["weight"] for one in known)
        for one in known:
            assert one["contribution"] == pytest.approx(one["weight"] * one["value"] / total, abs=1e-12)
        assert sum(one["contribution"] for one in known) == pytest.approx(told["direction"], abs=1e-12)
        assert told["direction"] == result.direction[row]


def test_the_scenario_is_told_with_its_rival_and_the_margin_that_decided(results):
    for result, row, told in rows(results):
        scenario, scores = told["scenario"], dict(zip(SCENARIOS, result.scenario_scores[row], strict=True))
        rivals = sorted((score for name, score in scores.items() if name != "UNCERTAIN"), reverse=True)
        assert scenario["score"] == rivals[0]
        assert scenario["runner_up_score"] == rivals[1] == scores[scenario["runner_up"]]
        assert scenario["margin"] == pytest.approx(rivals[0] - rivals[1])
        wins = scenario["margin"] >= scenario["margin_needed"] and rivals[0] >= scenario["floor"]
        assert (scenario["name"] != "UNCERTAIN") == wins


def test_the_gates_tell_what_they_compared_and_the_first_that_is_shut_is_the_reason(results):
    asked = 0
    for result, row, told in rows(results):
        assert [gate["name"] for gate in told["gates"]] == list(GATES)
        shut = [gate["name"] for gate in told["gates"] if gate["passed"] is False]
        reason = int(result.gate_reason[row])
        assert (GATES[reason] if reason >= 0 else None) == (shut[0] if shut else None)
        for gate in told["gates"]:
            if gate["passed"] is not None and gate["name"] in {"insufficient_rr", "low_confidence"}:
                asked += 1
                is_enough = gate["value"] is not None and gate["value"] >= gate["threshold"]
                assert gate["passed"] == is_enough
    assert asked > 10


def test_the_row_of_the_table_says_the_recommendation(results):
    for result, row, told in rows(results):
        word = told["table_row"]["word"]
        assert TABLE[told["table_row"]["index"]].word == word
        names = {"strong": "STRONG", "enter": "DIPS RALLIES", "hold": "HOLD", "range": "RANGE", "wait": "WAIT"}
        original = result.view(row, 0.001)["reco_original"]
        assert any(part in original for part in names.get(word, "AVOID").split())


def test_what_is_unknown_is_named(settings):
    panel = random_panel(3)
    parts = inputs(settings, panel, open_interest_change_frac=np.full(6, np.nan), spread_frac=np.full(6, np.nan))
    told = run_stage2(*parts, settings).explain(0)
    assert "open_interest" in told["unknown"]
    assert next(one for one in told["factors"] if one["name"] == "open_interest")["contribution"] is None


def test_with_stage2_off_there_is_nothing_to_tell():
    settings = load_settings(environ={}, overrides={"STAGE2_CONFIG": {"switches": {"use_qde": False}}})
    assert run_stage2(*inputs(settings, random_panel(1)), settings).explain(0) == {}


# ── What rules set symbol by symbol ──


def test_a_cut_point_of_one_symbol_changes_that_symbol_alone(settings, results):
    del results
    panel = random_panel(5)
    parts = inputs(settings, panel, daily_panel(5))
    before = run_stage2(*parts, settings)
    floor = np.full(6, np.nan)
    floor[2] = 1.0
    after = run_stage2(*parts, settings, {"scenario_floor": floor})
    assert after.scenario_name(2) == "UNCERTAIN"
    assert after.explain(2)["scenario"]["floor"] == 1.0
    others = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(before.scenario[others], after.scenario[others])
    np.testing.assert_array_equal(before.direction[others], after.direction[others])


def test_multipliers_move_stop_and_targets_of_their_symbol(settings):
    for seed in range(40):
        parts = inputs(settings, random_panel(seed), daily_panel(seed))
        before = run_stage2(*parts, settings)
        planned = np.flatnonzero(before.plan_side)
        if planned.size:
            break
    row = int(planned[0])
    wider = np.full(6, np.nan)
    wider[row] = 2.0
    after = run_stage2(*parts, settings, {"sl_mult_factor": wider, "tp_mult_factor": wider})
    r = abs(before.entry[row] - before.sl[row])
    assert abs(after.entry[row] - after.sl[row]) == pytest.approx(2 * r, abs=0.0021)
    assert abs(after.tp[row, -1] - after.entry[row]) > 1.9 * abs(before.tp[row, -1] - before.entry[row])


def test_a_name_that_cannot_be_set_and_a_column_of_another_size_are_refused(settings):
    parts = inputs(settings, random_panel(1))
    with pytest.raises(InvalidInput, match="moon cannot be set symbol by symbol"):
        run_stage2(*parts, settings, {"moon": np.ones(6)})
    with pytest.raises(InvalidInput, match=r"scenario_floor must have shape \(6,\)"):
        run_stage2(*parts, settings, {"scenario_floor": np.ones(5)})
