"""Which stream goes over which connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.stream.fleet import place

NAMES = st.integers(0, 40).map(str)


@given(
    shards=st.lists(st.lists(NAMES, max_size=6), max_size=5),
    wanted=st.lists(NAMES, unique=True, max_size=40),
    limit=st.integers(1, 6),
)
def test_every_wanted_stream_has_one_place_and_nobody_moves_without_need(shards, wanted, limit):
    seen, distinct = set(), []
    for shard in shards:
        distinct.append([name for name in dict.fromkeys(shard) if name not in seen][:limit])
        seen.update(distinct[-1])
    placed = place(distinct, wanted, limit)
    assert sorted(name for shard in placed for name in shard) == sorted(wanted)
    assert all(len(shard) <= limit for shard in placed)
    assert len(placed) >= len(distinct)
    for before, after in zip(distinct, placed, strict=False):
        assert [name for name in after if name in before] == [name for name in before if name in wanted]
        assert before or not after
    assert all(placed[len(distinct) :])


@pytest.mark.parametrize(("count", "limit", "sizes"), [(0, 3, []), (3, 3, [3]), (7, 3, [3, 3, 1])])
def test_new_streams_fill_connections_one_after_the_other(count, limit, sizes):
    assert [len(shard) for shard in place([], [str(at) for at in range(count)], limit)] == sizes
