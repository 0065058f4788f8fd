"""The table of a trade's life."""

from __future__ import annotations

from itertools import product

import pytest

from aione.errors import IllegalTransition
from aione.stage3.machine import EXIT_REASONS, TRANSITIONS, Event, ExitReason, State, step


@pytest.mark.parametrize(("state", "event"), sorted(set(product(State, Event)) - set(TRANSITIONS)))
def test_every_pair_not_in_the_table_is_refused(state, event):
    with pytest.raises(IllegalTransition, match=f"{state} takes .* was given {event}"):
        step(state, event)


@pytest.mark.parametrize(("pair", "after"), TRANSITIONS.items())
def test_every_pair_in_the_table_leads_where_it_says(pair, after):
    assert step(*pair) is after


def test_nothing_happens_to_a_closed_trade():
    assert not [event for state, event in TRANSITIONS if state is State.CLOSED]


def test_an_event_closes_a_trade_exactly_if_it_has_an_exit_reason():
    closing = {event for (_, event), after in TRANSITIONS.items() if after is State.CLOSED}
    assert closing == set(EXIT_REASONS)
    assert set(EXIT_REASONS.values()) == set(ExitReason)


def test_every_state_can_be_reached_and_every_living_one_can_be_left():
    assert set(TRANSITIONS.values()) == {State.OPEN, State.PROTECTED, State.CLOSED}
    for state in (State.PLANNED, State.OPEN, State.PROTECTED):
        assert State.CLOSED in {after for (at, _), after in TRANSITIONS.items() if at is state}
