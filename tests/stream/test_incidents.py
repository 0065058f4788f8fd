"""Incidents: one message when it begins, one when it is over, whatever happens in between."""

from hypothesis import given
from hypothesis import strategies as st

from aione.stream.incidents import GRACE_S, MEANING, OVER_AFTER_S, IncidentBook

KINDS = sorted(GRACE_S)


def test_every_kind_has_a_meaning():
    assert MEANING.keys() == GRACE_S.keys()


def test_what_passes_within_its_grace_is_never_told():
    book = IncidentBook()
    assert book.observe({"connection_down": ["kline"]}, now_s=0.0, wall_ms=0) == []
    assert book.observe({}, now_s=2.0, wall_ms=2000) == []
    assert book.observe({"connection_down": ["kline"]}, now_s=4.0, wall_ms=4000) == []
    assert book.observe({"connection_down": ["kline"]}, now_s=8.9, wall_ms=8900) == []
    (begun,) = book.observe({"connection_down": ["kline"]}, now_s=9.0, wall_ms=9000)
    assert (begun.kind, begun.began_ms, begun.ended_ms, list(begun.names)) == ("connection_down", 9000, None, ["kline"])


def test_names_that_come_and_go_are_one_incident_and_what_flaps_is_one():
    book = IncidentBook()
    (begun,) = book.observe({"stream_stale": ["a"]}, now_s=0.0, wall_ms=0)
    assert book.observe({"stream_stale": ["b"]}, now_s=1.0, wall_ms=1) == []
    assert book.observe({}, now_s=5.0, wall_ms=5) == []
    assert book.observe({"stream_stale": ["c"]}, now_s=9.0, wall_ms=9) == []
    assert book.open() == [begun]
    assert book.observe({}, now_s=9.0 + OVER_AFTER_S - 0.1, wall_ms=18) == []
    (ended,) = book.observe({}, now_s=9.0 + OVER_AFTER_S, wall_ms=19)
    assert ended is begun
    assert (list(ended.names), ended.ended_ms, book.open()) == (["a", "b", "c"], 19, [])


def test_many_names_are_told_in_one_line():
    book = IncidentBook()
    (begun,) = book.observe({"bars_behind": [f"S{n}" for n in range(700)]}, now_s=0.0, wall_ms=0)
    assert begun.text.endswith("S0, S1, S2, S3, S4 and 495 more")
    assert len(begun.to_dict()["names"]) == 500


@given(
    steps=st.lists(
        st.tuples(st.floats(0.1, 15.0), st.dictionaries(st.sampled_from(KINDS), st.just(["x"]), max_size=4)),
        max_size=40,
    )
)
def test_beginnings_and_ends_alternate_for_every_kind(steps):
    book, now_s, told = IncidentBook(), 0.0, {kind: [] for kind in KINDS}
    for step_s, wrong in steps:
        now_s += step_s
        for incident in book.observe(wrong, now_s=now_s, wall_ms=int(1000 * now_s)):
            told[incident.kind].append(incident.ended_ms is not None)
    for endings in told.values():
        assert endings == [at % 2 == 1 for at in range(len(endings))]
    assert {incident.kind for incident in book.open()} == {kind for kind, ends in told.items() if len(ends) % 2}
