"""The way to Redis: it answers, or one clear error says why not."""

import asyncio
import time

import pytest
from redis import exceptions

from aione.errors import ConfigError, ServiceUnavailable
from aione.store.connect import connect, redacted, redis_errors


async def test_a_live_redis_answers(redis_url):
    client = await connect(redis_url)
    assert await client.ping()
    await client.aclose()


async def test_nothing_there_is_one_clear_error_in_time():
    started = time.perf_counter()
    with pytest.raises(ServiceUnavailable, match=r"Redis at redis://:\*\*\*@127.0.0.1:1/0 does not answer: .") as error:
        await connect("redis://:secret@127.0.0.1:1/0")
    assert time.perf_counter() - started < 3.0
    assert "secret" not in str(error.value)


async def test_a_server_that_accepts_and_never_answers_is_given_up():
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    started = time.perf_counter()
    with pytest.raises(ServiceUnavailable, match="no reply within 2 s"):
        await connect(f"redis://127.0.0.1:{port}/0")
    assert time.perf_counter() - started < 3.0
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://127.0.0.1:notaport/0"])
async def test_an_address_that_is_none_is_a_configuration_error(url):
    with pytest.raises(ConfigError, match="REDIS_URL must be redis://host:port/db, was"):
        await connect(url)


async def test_a_wrong_database_number_is_said(redis_url):
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        await connect(redis_url.rsplit("/", 1)[0] + "/9999")


def test_an_address_without_password_is_shown_whole():
    assert redacted("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"


def test_redis_errors_are_translated_and_chained():
    with (
        pytest.raises(ServiceUnavailable, match="while saving the universe: gone") as error,
        redis_errors("saving the universe"),
    ):
        raise exceptions.ConnectionError("gone")
    assert isinstance(error.value.__cause__, exceptions.ConnectionError)


def test_a_mistake_in_a_command_is_not_hidden():
    with pytest.raises(exceptions.ResponseError), redis_errors("reading"):
        raise exceptions.ResponseError("WRONGTYPE")
