"""The shares of several workers: every symbol is exactly one's, and a worker more moves only its share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.errors import ConfigError
from aione.stream.shard import Shard

MARKET = [f"COIN{number}USDT" for number in range(500)]


@given(symbol=st.text(min_size=1, max_size=20), of=st.integers(1, 12))
def test_every_symbol_is_exactly_one_shares(symbol, of):
    assert sum(Shard(index, of).owns(symbol) for index in range(1, of + 1)) == 1


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_a_worker_more_moves_only_its_own_share(of):
    for index in range(1, of + 1):
        before, after = set(Shard(index, of).take(MARKET)), set(Shard(index, of + 1).take(MARKET))
        assert after <= before, "nobody but the new one gets anything"
    moved = len(Shard(of + 1, of + 1).take(MARKET))
    assert abs(moved - len(MARKET) / (of + 1)) < 50


def test_the_shares_are_the_same_in_every_process():
    assert Shard(2, 4).take(MARKET[:12]) == Shard.parse("2/4").take(MARKET[:12])
    assert [Shard(1, 4).owns(symbol) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "1000PEPEUSDT")] == [
        False, True, True, False
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/0", "1/2/3", "-1/2", "²/2"])
def test_what_is_no_share_is_refused_with_what_it_was(text):
    with pytest.raises(ConfigError, match="AIONE_STREAM_SHARD must be i/N"):
        Shard.parse(text)
