"""The way to Redis: it answers, or one clear error says why not."""

import asyncio
import re
import time

import pytest
from redis import exceptions
from redis._parsers import BaseParser

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


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "its memory is full"),
        ("READONLY You can't write against a read only replica.", "it is a replica"),
        ("MISCONF Valkey is configured to save RDB snapshots", "it cannot persist to its disk"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "its keys are being moved"),
        ("CLUSTERDOWN The cluster is down", "its cluster is down"),
        ("MASTERDOWN Link with MASTER is down", "it has lost its master"),
        ("NOREPLICAS Not enough good replicas to write.", "it has too few replicas"),
        ("BUSY Valkey is busy running a script.", "a script keeps it busy"),
        ("ERR Error running script (call to f_1): @user_script:14: -OOM command not allowed", "its memory is full"),
    ],
)
@pytest.mark.parametrize("before", ["", "Command # 1 (SET a 1) of pipeline caused error: "])
def test_a_reply_that_says_not_now_is_told_with_its_reason(reply, why, before):
    error = BaseParser.parse_error(reply)
    if before and type(error) is exceptions.ResponseError:
        error = exceptions.ResponseError(before + str(error))
    expected = re.escape(f"Redis refuses while writing bars, because {why}")
    with pytest.raises(ServiceUnavailable, match=expected) as raised, redis_errors("writing bars"):
        raise error
    assert raised.value.__cause__ is error


def test_a_redis_that_is_loading_is_waited_for():
    with pytest.raises(ServiceUnavailable, match="loading the dataset"), redis_errors("reading"):
        raise BaseParser.parse_error("LOADING Valkey is loading the dataset in memory")


async def test_a_full_redis_says_so_to_a_command_a_pipeline_and_a_script(redis):
    async def pipeline():
        async with redis.pipeline(transaction=True) as pipe:
            pipe.set("a", "1")
            pipe.set("b", "1")
            await pipe.execute()

    await redis.config_set("maxmemory", 1)
    try:
        for ask in (
            lambda: redis.set("a", "1"),
            pipeline,
            lambda: redis.eval("redis.call('SET', KEYS[1], '1')", 1, "a"),
        ):
            with pytest.raises(ServiceUnavailable, match="its memory is full"), redis_errors("writing"):
                await ask()
    finally:
        await redis.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    "reply",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR wrong number of arguments for 'get' command",
        "ERR unknown command 'BUSY '",
        "NOPERM User x has no permissions to run the 'set' command",
        "NOSCRIPT No matching script.",
    ],
)
def test_a_mistake_in_a_command_is_not_hidden(reply):
    with pytest.raises(exceptions.ResponseError), redis_errors("reading"):
        raise BaseParser.parse_error(reply)
