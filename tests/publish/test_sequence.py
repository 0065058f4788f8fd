"""Deltas lead from one snapshot to the next, and a consumer knows when they do not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.publish.payload import SCHEMA_VERSION, Asset, Counters, Delta, Meta, Snapshot
from aione.publish.sequence import Verdict, apply_delta, judge, merge

SYMBOLS = ["AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT"]
states = st.dictionaries(st.sampled_from(SYMBOLS), st.tuples(st.integers(1, 3), st.integers(0, 2)), max_size=5)


def meta(seq: int, epoch: str = "e", ts: int = 0) -> Meta:
    return Meta(
        schema_version=SCHEMA_VERSION, epoch=epoch, seq=seq, ts=ts, source="t", stale=False, bar_time_ms=60_000 * seq
    )


def assets_of(state) -> list[Asset]:
    return [Asset(symbol=name, state="normal", price=float(p), rank=rank) for name, (p, rank) in state.items()]


@settings(max_examples=100, deadline=None)
@given(st.lists(states, min_size=1, max_size=6))
def test_a_cold_start_and_all_deltas_give_the_last_snapshot(history) -> None:
    """The consumer's state equals the published snapshot after every step, to the last field."""
    published = Snapshot(meta=meta(1), counters=Counters(), assets=[])
    follower = published
    for seq, state in enumerate(history, start=2):
        now = meta(seq, ts=1000 * seq)
        whole, changed, removed = merge(published.assets, assets_of(state), now.ts)
        published = Snapshot(meta=now, counters=Counters(cycle=seq), assets=whole)
        follower = apply_delta(follower, Delta(meta=now, counters=Counters(cycle=seq), assets=changed, removed=removed))
        assert follower == published
        assert {a.symbol: (a.price, a.rank) for a in follower.assets} == {
            name: (float(p), rank) for name, (p, rank) in state.items()
        }


@settings(max_examples=60, deadline=None)
@given(states, states)
def test_a_delta_holds_exactly_what_differs(before, after) -> None:
    old, _, _ = merge([], assets_of(before), 1)
    _, changed, removed = merge(old, assets_of(after), 2)
    assert {a.symbol for a in changed} == {s for s in after if before.get(s) != after[s]}
    assert set(removed) == before.keys() - after.keys()
    assert all(a.last_updated == 2 for a in changed)


def test_an_unchanged_asset_keeps_the_time_of_its_last_change() -> None:
    old, _, _ = merge([], assets_of({"AUSDT": (1, 1)}), 111)
    whole, changed, removed = merge(old, assets_of({"AUSDT": (1, 1)}), 222)
    assert (whole, changed, removed) == (old, [], [])
    assert whole[0].last_updated == 111


def test_a_symbol_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="AUSDT was there twice"):
        merge([], [*assets_of({"AUSDT": (1, 1)}), *assets_of({"AUSDT": (2, 1)})], 1)


@pytest.mark.parametrize(
    ("held", "delta", "verdict"),
    [
        (None, (5, "e"), Verdict.RESYNC),
        ((4, "e"), (5, "e"), Verdict.APPLY),
        ((5, "e"), (5, "e"), Verdict.IGNORE),
        ((9, "e"), (5, "e"), Verdict.IGNORE),
        ((3, "e"), (5, "e"), Verdict.RESYNC),
        ((4, "old"), (5, "e"), Verdict.RESYNC),
        ((9, "old"), (1, "e"), Verdict.RESYNC),
    ],
)
def test_what_becomes_of_a_delta(held, delta, verdict) -> None:
    snapshot = Snapshot(meta=meta(*held), counters=Counters(), assets=[]) if held else None
    message = Delta(meta=meta(*delta), counters=Counters(), assets=[])
    assert judge(snapshot, message) is verdict
    if snapshot is not None and verdict is not Verdict.APPLY:
        with pytest.raises(InvalidInput, match=f"was seq {delta[0]}"):
            apply_delta(snapshot, message)


def test_applying_leaves_the_old_snapshot_alone() -> None:
    before = Snapshot(meta=meta(1), counters=Counters(), assets=assets_of({"AUSDT": (1, 1)}))
    copy = msgspec.json.decode(msgspec.json.encode(before), type=Snapshot)
    apply_delta(
        before, Delta(meta=meta(2), counters=Counters(), assets=assets_of({"AUSDT": (2, 1)}), removed=["BUSDT"])
    )
    assert before == copy
