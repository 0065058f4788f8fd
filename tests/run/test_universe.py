"""``aione universe`` as a person uses it: facts on standard output, one line and status 2 when it cannot."""

from __future__ import annotations

import orjson
import pytest

from aione.errors import InsufficientData, InvalidInput
from aione.run.universe import Question, answer, as_json, as_text
from aione.store.state import StateStore
from aione.venue.universe import Universe
from config.models import SymbolInfo

NOW = 1_779_278_400_000
DAY = 86_400_000


def info(symbol):
    return SymbolInfo(
        symbol=symbol, base_asset=symbol[:-4], quote_asset="USDT", contract_type="PERPETUAL", underlying_type="COIN",
        status="TRADING", onboard_ms=0, delivery_ms=1, tick_size=0.1, step_size=0.1,
    )  # fmt: skip


@pytest.fixture
async def journaled(redis, redis_url):
    states = StateStore(redis)
    tesla = {"TSLAUSDT": ("underlying_type", "EQUITY")}
    await states.save_universe(Universe(("AUSDT", "BUSDT"), (info("AUSDT"), info("BUSDT")), tesla, NOW))
    gone = {**tesla, "BUSDT": ("status", "SETTLING")}
    await states.save_universe(Universe(("AUSDT", "CUSDT"), (info("AUSDT"), info("CUSDT")), gone, NOW + DAY))
    await states.mark_universe_stale("GET /fapi/v1/exchangeInfo: status 502", NOW + DAY + 1)
    return redis_url


async def test_the_universe_now_and_then(journaled):
    now, then = await answer(journaled, Question()), await answer(journaled, Question(at_ms=NOW + 5))
    assert (now["symbols"], now["is_stale"], now["refused"]) == (
        ["AUSDT", "CUSDT"],
        True,
        {"underlying_type": 1, "status": 1},
    )
    assert (then["symbols"], then["is_stale"]) == (["AUSDT", "BUSDT"], False)
    assert orjson.loads(as_json(now)) == now
    assert as_text(then).splitlines()[0] == "2 tradable perpetuals, refreshed 2026-05-20T12:00:00Z (up to date)"


async def test_why_a_contract_is_not_tradable(journaled):
    facts = await answer(journaled, Question(symbol="BUSDT"))
    assert facts["contract"] == {"symbol": "BUSDT", "is_tradable": False, "reason": "status", "value": "SETTLING"}
    assert (await answer(journaled, Question(at_ms=NOW, symbol="BUSDT")))["contract"]["is_tradable"]
    with pytest.raises(InvalidInput, match="NOPEUSDT was not listed"):
        await answer(journaled, Question(symbol="NOPEUSDT"))
    with pytest.raises(InsufficientData, match="the first is of"):
        await answer(journaled, Question(at_ms=NOW - 1))


async def test_what_the_last_refreshes_changed(journaled):
    failed, second, first = (await answer(journaled, Question(changes=9)))["changes"]
    assert failed["stale_reason"].endswith("502")
    assert (second["added"], second["removed"]) == (["CUSDT"], {"BUSDT": ["status", "SETTLING"]})
    assert (first["symbols"], first["added"]) == (2, [])
    assert "+CUSDT  -BUSDT (status SETTLING)" in as_text(await answer(journaled, Question(changes=9)))
