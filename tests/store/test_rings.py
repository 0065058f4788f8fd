"""Bar rings: one suite for Redis and RAM, and a dict of bars as the oracle of both."""

import asyncio

import numpy as np
import pytest
import redis.asyncio as aioredis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aione.errors import InvalidInput, ServiceUnavailable
from aione.panel import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, BarPanel, Finality
from aione.panel.bars import Source
from aione.store import keys
from aione.store.ring_layout import CORRECTED, Written, absent_bars
from aione.store.rings import BarRings, MemoryRings
from config import config

START = 1_700_000_040_000
CAPACITY = 8


def bars(first: int, count: int, *, finality: int = Finality.REST_CONFIRMED, price: float = 100.0) -> np.ndarray:
    """Return ``count`` bars from minute ``first`` after START on, each with its own numbers."""
    rows = np.zeros(count, BAR_RECORD)
    minutes = first + np.arange(count)
    rows["open_time_ms"] = START + MINUTE_MS * minutes
    for offset, name in enumerate(VALUE_FIELDS):
        rows[name] = price + 10 * offset + minutes % 7
    rows["finality"] = finality
    return rows


def minute(index: int) -> int:
    return START + MINUTE_MS * index


@pytest.fixture(params=["redis", "ram"])
def make_rings(request, redis):
    def make(capacity=CAPACITY, timeframe="1m"):
        return BarRings(redis, timeframe, capacity) if request.param == "redis" else MemoryRings(timeframe, capacity)

    return make


def assert_same_panel(actual: BarPanel, expected: BarPanel) -> None:
    assert actual.symbols == expected.symbols
    assert actual.interval_ms == expected.interval_ms
    for name in ("open_time_ms", "valid", *VALUE_FIELDS):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)


async def test_what_was_written_is_loaded_on_the_grid(make_rings):
    rings = make_rings(64)
    records = {"AUSDT": bars(0, 20), "BUSDT": bars(5, 10, price=7.0)}
    assert (await rings.write(records)).changed == 30
    panel = await rings.load(["BUSDT", "AUSDT"], end_ms=minute(19), bars=20)
    wanted = {symbol: records[symbol] for symbol in ("BUSDT", "AUSDT")}
    assert_same_panel(panel, BarPanel.from_records(wanted, end_ms=minute(19), bars=20))


async def test_a_repeated_write_changes_nothing(make_rings):
    rings = make_rings()
    records = {"AUSDT": bars(0, 5)}
    assert [await rings.write(records), await rings.write(records)] == [Written(5), Written()]


async def test_an_unknown_symbol_is_all_gap(make_rings):
    rings = make_rings()
    await rings.write({"AUSDT": bars(0, 3)})
    panel = await rings.load(["NEWUSDT", "AUSDT"], end_ms=minute(2), bars=3)
    assert panel.valid.tolist() == [[False] * 3, [True] * 3]
    assert np.isnan(panel.close[0]).all()
    assert await rings.gaps(["NEWUSDT"], minute(0), minute(2)) == {"NEWUSDT": [(minute(0), minute(2))]}


async def test_no_symbols_is_an_empty_panel(make_rings):
    rings = make_rings()
    assert (await rings.write({})).changed == 0
    assert (await rings.write({"AUSDT": bars(0, 0)})).changed == 0
    assert (await rings.load([], end_ms=minute(2), bars=3)).shape == (0, 3)
    assert await rings.gaps([], minute(0), minute(2)) == {}


@pytest.mark.parametrize("first", list(Finality))
@pytest.mark.parametrize("second", list(Finality))
async def test_finality_never_goes_down(make_rings, first, second):
    rings = make_rings()
    await rings.write({"AUSDT": bars(0, 1, finality=first, price=1.0)})
    written = await rings.write({"AUSDT": bars(0, 1, finality=second, price=2.0)})
    open_price = (await rings.load(["AUSDT"], end_ms=minute(0), bars=1)).open[0, 0]
    wins = second >= first
    assert (written, open_price) == (Written(wins, wins and first.is_final), 2.0 if wins else 1.0)


async def test_a_later_bar_takes_the_slot_and_an_older_one_never_does(make_rings):
    rings = make_rings()
    await rings.write({"AUSDT": bars(0, 1)})
    later = bars(CAPACITY, 1, finality=Finality.PROVISIONAL, price=3.0)
    assert (await rings.write({"AUSDT": later})).changed == 1
    assert (await rings.write({"AUSDT": bars(0, 1)})).changed == 0
    assert (await rings.load(["AUSDT"], end_ms=minute(CAPACITY), bars=1)).open[0, 0] == 3.0 + CAPACITY % 7
    assert not (await rings.load(["AUSDT"], end_ms=minute(0), bars=1)).valid.any()


async def test_a_history_longer_than_the_ring_leaves_its_end(make_rings):
    rings = make_rings()
    await rings.write({"AUSDT": bars(0, 3 * CAPACITY + 3)[::-1].copy()})
    end = 3 * CAPACITY + 2
    assert await rings.gaps(["AUSDT"], minute(end - CAPACITY + 1), minute(end)) == {"AUSDT": []}


async def test_the_same_bar_twice_in_one_write_is_as_writing_it_twice(make_rings):
    rings = make_rings()
    rows = np.concatenate([bars(0, 2, price=1.0), bars(1, 1, price=2.0), bars(0, 1, finality=0, price=9.0)])
    assert (await rings.write({"AUSDT": rows})).changed == 3
    panel = await rings.load(["AUSDT"], end_ms=minute(1), bars=2)
    assert panel.open[0].tolist() == [1.0, 3.0]


async def test_gaps_are_exact_and_inclusive(make_rings):
    rings = make_rings(64)
    await rings.write({"AUSDT": np.concatenate([bars(2, 3), bars(7, 1), bars(9, 3)])})
    gaps = await rings.gaps(["AUSDT"], minute(0), minute(13))
    assert gaps["AUSDT"] == [
        (minute(0), minute(1)),
        (minute(5), minute(6)),
        (minute(8), minute(8)),
        (minute(12), minute(13)),
    ]


async def test_daily_rings_step_by_days(make_rings):
    rings = make_rings(16, "1d")
    rows = bars(0, 3)
    rows["open_time_ms"] = 20_000 * DAY_MS + DAY_MS * np.arange(3)
    await rings.write({"AUSDT": rows})
    panel = await rings.load(["AUSDT"], end_ms=20_002 * DAY_MS, bars=3)
    assert panel.interval_ms == DAY_MS
    assert panel.valid.all()


async def test_nan_fields_survive_and_do_not_count_as_a_change(make_rings):
    rings = make_rings()
    rows = bars(0, 1)
    rows["taker_buy_volume"] = np.nan
    assert [await rings.write({"AUSDT": rows}), await rings.write({"AUSDT": rows})] == [Written(1), Written()]
    panel = await rings.load(["AUSDT"], end_ms=minute(0), bars=1)
    assert panel.valid[0, 0]
    assert np.isnan(panel.taker_buy_volume[0, 0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(1), "BAR_RECORD"),
        (np.zeros(1, BAR_RECORD), "positive multiples of 60000"),
        (np.array([(START + 1, *[1.0] * 7, 0, 0, 0, 0)], BAR_RECORD), "positive multiples"),
        (np.zeros((1, 1), BAR_RECORD), "2-d"),
    ],
)
async def test_a_wrong_record_is_refused_and_nothing_is_written(make_rings, rows, message):
    rings = make_rings()
    with pytest.raises(InvalidInput, match=message):
        await rings.write({"AUSDT": bars(0, 1), "BUSDT": rows})
    assert not (await rings.load(["AUSDT"], end_ms=minute(0), bars=1)).valid.any()


async def test_windows_that_no_ring_can_hold_are_refused(make_rings):
    rings = make_rings()
    for end_ms, count in ((minute(0), 0), (minute(0), CAPACITY + 1), (minute(0) + 1, 1)):
        with pytest.raises(InvalidInput):
            await rings.load(["AUSDT"], end_ms, count)
    for start_ms, end_ms in ((minute(1), minute(0)), (minute(0) + 1, minute(2)), (minute(0), minute(CAPACITY))):
        with pytest.raises(InvalidInput):
            await rings.gaps(["AUSDT"], start_ms, end_ms)
    with pytest.raises(InvalidInput, match="timeframe must be one of"):
        make_rings(8, "7m")
    with pytest.raises(InvalidInput, match="capacity"):
        make_rings(0)


async def test_a_ring_expires_by_its_timeframe(redis):
    await BarRings(redis, "1m").write({"AUSDT": bars(0, 1)})
    await BarRings(redis, "1m", ttl_s=7).write({"BUSDT": bars(0, 1)})
    ttl = config.INTERVAL_TTL_MAP["1m"]
    assert ttl - 5 <= await redis.ttl(keys.bar_ring("AUSDT", "1m")) <= ttl
    assert await redis.ttl(keys.bar_ring("BUSDT", "1m")) <= 7


async def test_a_ring_is_never_larger_than_its_capacity(redis):
    rings = BarRings(redis, "1m", CAPACITY)
    await rings.write({"AUSDT": bars(0, 50)})
    assert await redis.strlen(keys.bar_ring("AUSDT", "1m")) == CAPACITY * BAR_RECORD.itemsize


async def test_many_symbols_fit_in_few_round_trips(redis):
    rings = BarRings(redis)
    records = {f"S{index}USDT": bars(index, 1500, price=float(index)) for index in range(100)}
    assert (await rings.write(records)).changed == 150_000
    panel = await rings.load(list(records), end_ms=minute(1499), bars=1500)
    assert_same_panel(panel, BarPanel.from_records(records, end_ms=minute(1499), bars=1500))


async def test_writers_at_the_same_time_leave_the_surest_bar(redis):
    rings = [BarRings(redis, "1m", 64) for _ in range(4)]
    await asyncio.gather(
        *(
            ring.write({"AUSDT": bars(0, 30, finality=level, price=float(level))})
            for ring, level in zip(rings, Finality, strict=True)
        )
    )
    panel = await rings[0].load(["AUSDT"], end_ms=minute(29), bars=30)
    np.testing.assert_array_equal(panel.open[0], Finality.REST_CONFIRMED + np.arange(30) % 7)


async def test_a_redis_that_is_gone_is_said_so():
    client = aioredis.Redis.from_url("redis://127.0.0.1:1/0")
    rings = BarRings(client)
    with pytest.raises(ServiceUnavailable, match="writing bars"):
        await rings.write({"AUSDT": bars(0, 1)})
    with pytest.raises(ServiceUnavailable, match="reading bars"):
        await rings.load(["AUSDT"], end_ms=minute(0), bars=1)
    await client.aclose()


ONE_BAR = st.tuples(st.integers(0, 40), st.sampled_from(list(Finality)), st.integers(1, 4))
WRITES = st.lists(st.lists(ONE_BAR, min_size=1, max_size=20), min_size=1, max_size=6)


def rows_of(batch: list[tuple[int, int, int]]) -> np.ndarray:
    return np.concatenate([bars(index, 1, finality=sure, price=float(price)) for index, sure, price in batch])


def oracle(writes) -> tuple[list[Written], dict[int, np.ndarray], list[tuple[bytes, bytes]]]:
    """Apply the ring's rule in a dict of slot -> record, one bar at a time, older bars first."""
    held: dict[int, np.ndarray] = {}
    counts, corrections = [], []
    for batch in writes:
        changed = corrected = 0
        for row in sorted(rows_of(batch), key=lambda bar: int(bar["open_time_ms"])):
            slot = int(row["open_time_ms"]) // MINUTE_MS % CAPACITY
            old = held.get(slot)
            new = row.copy()
            if old is not None and old["open_time_ms"] == row["open_time_ms"]:
                other = any(row[name] != old[name] for name in VALUE_FIELDS)
                surer = row["finality"] > old["finality"]
                if row["finality"] < old["finality"] or not (surer or other):
                    continue
                new["reserved"] |= old["reserved"] & CORRECTED
                if other and old["finality"] >= Finality.STREAM_CLOSED:
                    corrected += 1
                    corrections.append((old.tobytes(), row.tobytes()))
                    new["reserved"] |= CORRECTED
            elif old is not None and old["open_time_ms"] > row["open_time_ms"]:
                continue
            held[slot] = new
            changed += 1
        counts.append(Written(changed, corrected))
    return counts, held, corrections


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=WRITES)
def test_both_rings_agree_with_a_dict_of_bars(redis_url, writes):
    async def run() -> None:
        client = aioredis.Redis.from_url(redis_url)
        await client.flushdb()
        counts, held, corrections = oracle(writes)
        end = minute(40)
        kept = [row for row in held.values() if row["open_time_ms"] > end - CAPACITY * MINUTE_MS]
        joined = np.array(kept, BAR_RECORD) if kept else np.zeros(0, BAR_RECORD)
        expected = BarPanel.from_records({"AUSDT": joined}, end_ms=end, bars=CAPACITY)
        for rings in (BarRings(client, "1m", CAPACITY), MemoryRings("1m", CAPACITY)):
            assert [await rings.write({"AUSDT": rows_of(batch)}) for batch in writes] == counts
            assert [await rings.write({"AUSDT": np.array([row])}) for row in held.values()] == [Written()] * len(held)
            assert_same_panel(await rings.load(["AUSDT"], end, CAPACITY), expected)
            told = rings.corrections if isinstance(rings, MemoryRings) else (await rings.corrections())[::-1]
            # a change of the clock's past within one batch is journaled run by run, so the order may differ
            assert sorted((c.before.tobytes()[:70], c.after.tobytes()[:70]) for c in told) == sorted(
                (before[:70], after[:70]) for before, after in corrections
            )
        stored = np.frombuffer(await client.get(keys.bar_ring("AUSDT", "1m")), BAR_RECORD)
        assert {row.tobytes() for row in stored if row["open_time_ms"]} == {row.tobytes() for row in held.values()}
        await client.aclose()

    asyncio.run(run())


async def test_a_view_tells_finality_source_and_holes(make_rings):
    rings = make_rings(64)
    rest = bars(0, 10)
    rest["source"] = Source.REST
    stream = bars(3, 6, finality=Finality.SUCCESSOR_SEEN)
    stream["source"] = Source.STREAM
    await rings.write({"WHOLE": rest, "LATE": stream, "HOLED": rest[[2, 3, 6, 9]]})
    await rings.write({"HOLED": absent_bars(np.array([minute(4)]))})
    view = await rings.view(["WHOLE", "NEW", "LATE", "HOLED"], minute(9), 10)
    assert view.finality.tolist() == [3, 0, 0, 3]
    assert view.source.tolist() == [Source.REST, 0, 0, Source.REST]
    assert view.holes.tolist() == [0, 0, 1, 3], "what comes before the first bar held is no hole, nor what is absent"
    assert_same_panel(view.panel, await rings.load(["WHOLE", "NEW", "LATE", "HOLED"], minute(9), 10))
    assert (await rings.view(["LATE"], minute(8), 3)).finality.tolist() == [Finality.SUCCESSOR_SEEN]
    assert (await rings.view([], minute(9), 10)).holes.shape == (0,)


async def test_records_are_what_was_written(make_rings):
    rings = make_rings()
    written = bars(2, 3)
    await rings.write({"AUSDT": written})
    held = await rings.records(["AUSDT", "NEWUSDT"], minute(1), minute(3))
    assert held["AUSDT"].tobytes() == written[:2].tobytes()
    assert held["NEWUSDT"].shape == (0,)


async def test_a_bar_is_unsure_until_its_closing_event_or_rest_has_confirmed_it(make_rings):
    rings = make_rings()
    time = minute(3)
    assert await rings.unsure(["AUSDT", "BUSDT"], time) == ["AUSDT", "BUSDT"]
    for finality, expected in (
        (Finality.PROVISIONAL, ["AUSDT"]),
        (Finality.SUCCESSOR_SEEN, ["AUSDT"]),
        (Finality.STREAM_CLOSED, []),
        (Finality.REST_CONFIRMED, []),
    ):
        row = np.zeros(1, BAR_RECORD)
        row["open_time_ms"], row["finality"] = time, finality
        await rings.write({"AUSDT": row})
        assert await rings.unsure(["AUSDT"], time) == expected
