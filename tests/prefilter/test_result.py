from __future__ import annotations

import time

import orjson
import pytest

from aione.errors import InvalidInput
from aione.prefilter import PrefilterResult


@pytest.fixture
def result(exchange, settings_with):
    market = exchange("币安人生USDT", "AUSDT", "BUSDT", "CUSDT").spoil("AUSDT", depth_quote=float("nan"))
    return market.run(settings_with(params={"max_symbols": 2}), manual=("GONEUSDT",))


def test_survives_json(result):
    assert PrefilterResult.from_dict(orjson.loads(orjson.dumps(result.to_dict()))) == result


def test_counts_every_symbol_once(result):
    assert result.reasons() == {"contract": 1, "depth_unknown": 1, "rank": 1}
    assert sum(result.reasons().values()) + len(result.symbols) == len(result.metrics) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "wrong or missing: extra"),
        ({"relaxed": None}, "wrong or missing: relaxed"),
        ({"metrics": [{"symbol": "AUSDT", "rank": "first"}]}, "rank"),
    ],
)
def test_refuses_what_is_not_a_result(result, change, message):
    values = {**result.to_dict(), **change}
    with pytest.raises(InvalidInput, match=message):
        PrefilterResult.from_dict({key: value for key, value in values.items() if value is not None})


def test_a_whole_exchange_takes_well_under_a_second(exchange):
    market = exchange(*(f"S{k:03}USDT" for k in range(900)))
    for row in range(900):
        market.spoil(f"S{row:03}USDT", quote_volume_24h=1e4 * (row + 1) ** 2)
    market.run()
    best = min(_elapsed(market) for _ in range(3))
    assert best < 1.0


def _elapsed(market):
    start = time.perf_counter()
    market.run()
    return time.perf_counter() - start
