"""Results as JSON and back."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.indicators.readings import compute_readings
from aione.panel import MarketSnapshot
from aione.publish.payload import Narrative
from aione.run.warm_up import _small_market
from aione.screening.analyse import Found, Scored
from aione.stage1.run import run_stage1
from aione.stage2.run import run_stage2
from aione.stage3.machine import State
from aione.store.objects import dump_object, load_object
from aione.thresholds import RuleState, apply_rules, load_book
from config.models import RiskParams
from config.settings import load_settings

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(-5, 5), inner)
        | st.frozensets(st.integers(0, 9))
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_values_come_back_as_they_were(value):
    back = load_object(dump_object(value))
    assert repr(back) == repr(value)


@pytest.mark.parametrize("kind", ["f8", "i8", "i1", "?", "<U7", "f4"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (0,), (2, 0, 1)])
def test_arrays_come_back_bit_by_bit(kind, shape):
    array = np.ones(shape).astype(kind)
    back = load_object(dump_object(array))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert back.flags.writeable


def test_a_nan_with_its_own_bits_and_a_negative_zero_survive():
    array = np.frombuffer(bytes.fromhex("010000000000f87f0000000000000080"), dtype="<f8")
    assert load_object(dump_object(array)).tobytes() == array.tobytes()


def test_what_is_one_array_stays_one():
    shared = np.arange(3.0)
    first, second = load_object(dump_object([shared, shared]))
    assert first is second


def test_a_minute_of_stage1_and_stage2_comes_back_and_tells_the_same():
    settings, panel = load_settings(environ={}), _small_market()
    readings = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators)
    readings = replace(readings, values={**readings.values, "ready_frac": np.ones(3)})
    market, state = MarketSnapshot.of(panel.symbols), RuleState()
    rules = apply_rules(load_book(None, state)[0], readings, market, settings, state)
    stage1 = run_stage1(readings, market, settings, {}, rules=rules.stage1)
    stage1.explain(0)  # what it remembers to be fast is no part of it
    stage2 = run_stage2(panel, None, readings, market, stage1, settings, rules.stage2)
    found, scored = load_object(dump_object((Found(readings, stage1, rules, state, 0.1), Scored(stage2, 0.2))))
    for row in range(3):
        assert repr(found.stage1.explain(row)) == repr(stage1.explain(row))
        assert repr(scored.stage2.explain(row)) == repr(stage2.explain(row))
        assert repr(scored.stage2.view(row, 0.01)) == repr(stage2.view(row, 0.01))
    assert dict(found.stage1.states) == dict(stage1.states)
    assert found.rule_state.to_dict() == state.to_dict()
    assert run_stage2(panel, None, found.readings, market, found.stage1, settings).direction.tobytes() == (
        run_stage2(panel, None, readings, market, stage1, settings).direction.tobytes()
    )


@pytest.mark.parametrize("value", [State.OPEN, RiskParams(stop_atr=2.5), Narrative(en="up", uk="вгору")])
def test_members_models_and_structs_come_back(value):
    back = load_object(dump_object(value))
    assert back == value
    assert type(back) is type(value)


class Colour(enum.Enum):
    RED = 1


@dataclass
class Foreign:
    number: int = field(default=1)


@pytest.mark.parametrize(
    "value", [Foreign(), Colour.RED, object(), print, 2**70, np.array([object()]), [{"a": (Foreign(),)}]]
)
def test_what_is_not_of_this_project_is_refused_by_name(value):
    with pytest.raises(InvalidInput, match="cannot be stored"):
        dump_object(value)


@pytest.mark.parametrize(
    "document",
    [
        b"no json",
        orjson.dumps({"!": "object", "c": "subprocess:Popen", "v": {}}),
        orjson.dumps({"!": "object", "c": "aione.errors:log", "v": {}}),
        orjson.dumps({"!": "object", "c": "aione.panel.bars:os", "v": {}}),
        orjson.dumps({"!": "enum", "c": "os:system", "v": "x"}),
        orjson.dumps({"!": "ref", "v": 7}),
        orjson.dumps({"!": "array", "t": "O", "s": [1], "v": ""}),
        orjson.dumps({"!": "nothing"}),
        orjson.dumps({"!": 3}),
        orjson.dumps({"!": "object", "c": "config.models:RiskParams", "v": {"stop_atr": 1.5}}),
        orjson.dumps({"!": "object", "c": "aione.sim.faults:Nothing", "v": {}}),
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_a_document_that_is_not_ours_is_refused(document):
    with pytest.raises(InvalidInput, match="this release has stored"):
        load_object(document)
