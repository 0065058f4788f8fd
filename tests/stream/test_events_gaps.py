"""Which bars that healing filled are a gap: those of a symbol that had been checked before."""

from __future__ import annotations

from aione.panel.bars import Finality
from aione.stream.healing import FULL_CHECK_EVERY_S, Gap

from .test_healing import MINUTE, START_MS, bars
from .test_healing import at as moment
from .test_healing import exchange as exchange  # noqa: PLC0414  # fixtures
from .test_healing import parts as parts  # noqa: PLC0414


def gap(first, last, count=None):
    return Gap(count or last - first + 1, START_MS + first * MINUTE, START_MS + last * MINUTE)


async def test_what_a_symbol_lacks_when_it_comes_is_no_gap(exchange, parts):
    healer, _ = parts
    assert (await healer.heal(["A"], moment(exchange, 5))).filled == 5
    assert (await healer.heal(["A"], moment(exchange, 5))).gaps == {}


async def test_what_is_missing_later_and_is_filled_is_a_gap(exchange, parts):
    healer, rings = parts
    await healer.heal(["A"], moment(exchange, 1))
    assert (await healer.heal(["A"], moment(exchange, 5))).gaps == {"A": gap(1, 4)}
    exchange.lacks.add(START_MS + 6 * MINUTE)
    await rings.write({"A": bars(range(5, 6), Finality.PROVISIONAL)})
    assert (await healer.heal(["A"], moment(exchange, 8))).gaps == {"A": gap(7, 7)}, "unconfirmed is not missing"


async def test_a_full_check_makes_no_symbol_new(exchange, parts):
    healer, _ = parts
    await healer.heal(["A"], moment(exchange, 1))
    later = 1 + round(FULL_CHECK_EVERY_S / 60)
    assert (await healer.heal(["A"], moment(exchange, later))).gaps == {"A": gap(1, later - 1)}


async def test_a_symbol_that_left_and_comes_again_is_new(exchange, parts):
    healer, _ = parts
    await healer.heal(["A"], moment(exchange, 1))
    healer.drop(["A"])
    assert (await healer.heal(["A"], moment(exchange, 5))).gaps == {}


async def test_a_check_that_fails_loses_no_gap(exchange, parts):
    healer, _ = parts
    await healer.heal(["A"], moment(exchange, 1))
    exchange.fails = 20
    report = await healer.heal(["A"], moment(exchange, 5))
    assert report.gaps == {}
    exchange.fails = 0
    assert (await healer.heal(["A"], moment(exchange, 7))).gaps == {"A": gap(1, 6)}
