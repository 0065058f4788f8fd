"""What saving the blocks keeps and puts in, and that no secret of theirs shows anywhere on a real server."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest
from aiohttp import web
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.states import Failed

from aione.errors import ConfigError
from blocks import BLOCK_NAME, ExchangeBlock, NotificationBlock, RedisBlock
from config.settings import load_settings
from deployments.automations import upsert
from deployments.saved_blocks import save_blocks

from .automations_parts import SOON, found
from .automations_parts import server as server  # noqa: PLC0414  # a fixture
from .test_automations import run_of

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("server"),
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
        "ignore:'imghdr' is deprecated:DeprecationWarning",
    ),
]
SECRET = "s3cr3t-of-ours"


@pytest.fixture(autouse=True)
def _home(server, monkeypatch):
    monkeypatch.setenv("AIONE_HOME", str(server.home))


async def save(**environ):
    await save_blocks(load_settings(environ=environ), environ)


async def edit(kind, **fields):
    """Change a block as a person does in the UI."""
    block = await kind.aload(BLOCK_NAME)
    for name, value in fields.items():
        setattr(block, name, value)
    await block.save(BLOCK_NAME, overwrite=True)


async def test_what_a_person_changed_stays_where_the_environment_names_nothing():
    await save()
    await edit(ExchangeBlock, rest_url="https://mine.example", timeout_s=3.0, environment="testnet")
    await edit(RedisBlock, url="redis://:mine@redis.example/3")
    await edit(NotificationBlock, path="/tmp/mine.jsonl", webhook_url="https://hooks.example/mine")
    await save()
    exchange = await ExchangeBlock.aload(BLOCK_NAME)
    assert (exchange.rest_url, exchange.timeout_s, exchange.environment) == ("https://mine.example", 3.0, "testnet")
    assert (await RedisBlock.aload(BLOCK_NAME)).url.get_secret_value() == "redis://:mine@redis.example/3"
    told = await NotificationBlock.aload(BLOCK_NAME)
    assert (told.path, told.webhook_url.get_secret_value()) == ("/tmp/mine.jsonl", "https://hooks.example/mine")


async def test_what_the_environment_names_replaces_what_a_person_changed(server):
    await edit(ExchangeBlock, rest_url="https://mine.example", timeout_s=3.0)
    await save(
        AIONE_EXCHANGE="simulated",
        AIONE_REST_URL="http://127.0.0.1:5",
        AIONE_WS_URL="ws://127.0.0.1:5",
        REDIS_URL="redis://127.0.0.1:6/1",
        BINANCE_API_KEY="key",
        BINANCE_API_SECRET=SECRET,
        NOTIFICATION_FILE=str(server.home / "told.jsonl"),
        NOTIFICATION_URLS="json://127.0.0.1:1",
    )
    exchange = await ExchangeBlock.aload(BLOCK_NAME)
    assert (exchange.rest_url, exchange.ws_url) == ("http://127.0.0.1:5", "ws://127.0.0.1:5")
    assert (exchange.environment, exchange.timeout_s) == ("simulated", 3.0)
    assert exchange.api_secret.get_secret_value() == SECRET
    assert (await RedisBlock.aload(BLOCK_NAME)).url.get_secret_value() == "redis://127.0.0.1:6/1"
    assert (await NotificationBlock.aload(BLOCK_NAME)).urls.get_secret_value() == "json://127.0.0.1:1"


async def test_a_variable_that_is_set_and_empty_empties_its_field():
    await save(NOTIFICATION_WEBHOOK_URL="https://hooks.example/x", NOTIFICATION_URLS="json://127.0.0.1")
    await save(
        NOTIFICATION_WEBHOOK_URL="", NOTIFICATION_URLS="", NOTIFICATION_FILE="", REDIS_URL="", AIONE_EXCHANGE="",
        BINANCE_API_KEY="", BINANCE_API_SECRET="",
    )  # fmt: skip
    told = await NotificationBlock.aload(BLOCK_NAME)
    assert (told.path, told.webhook_url, told.urls) == (None, None, None)
    assert (await RedisBlock.aload(BLOCK_NAME)).url.get_secret_value() == "redis://127.0.0.1:6379/0"
    exchange = await ExchangeBlock.aload(BLOCK_NAME)
    assert (exchange.environment, exchange.api_key) == ("live", None)


async def test_an_address_that_apprise_does_not_know_is_named_without_its_secret():
    with pytest.raises(ConfigError, match=r"NOTIFICATION_URLS: address 1 \(tgra\)") as caught:
        await save(NOTIFICATION_URLS=f"tgra://{SECRET}")
    assert SECRET not in str(caught.value)
    await save(NOTIFICATION_URLS="")


async def test_no_secret_shows_in_anything_that_the_server_hands_out_or_logs(server):
    file = server.home / "notifications.jsonl"
    await save(
        AIONE_REST_URL="https://exchange.example",
        REDIS_URL=f"redis://:{SECRET}@127.0.0.1:1/0",
        BINANCE_API_KEY=SECRET,
        BINANCE_API_SECRET=SECRET,
        NOTIFICATION_FILE=str(file),
        NOTIFICATION_WEBHOOK_URL=f"http://127.0.0.1:1/{SECRET}",
        NOTIFICATION_URLS=f"json://127.0.0.1:1/{SECRET}",
    )
    async with get_client() as client:
        await run_of(client, "preload", Failed(message="no"))
    failed = await found(lambda: server.events("prefect.automation.action.failed"))
    async with httpx.AsyncClient(base_url=server.api_url) as client:
        said = "".join(
            [
                (await client.post(f"/{path}/filter", json={})).text
                for path in ("block_documents", "block_schemas", "block_types", "flow_runs", "artifacts", "logs",
                             "events", "automations", "variables")
            ]
        )  # fmt: skip
    assert orjson.loads(file.read_bytes().splitlines()[-1])["subject"] == "FLOW preload Failed", "the file got it"
    assert failed[0]["payload"]["notification_log"] == (
        "webhook at 127.0.0.1: ConnectError; address 1 (json): did not take the message"
    )
    assert "aione-notification" in said
    assert "exchange.example" in said
    assert SECRET not in said
    assert SECRET not in (server.home / "server.log").read_text()
    await save(NOTIFICATION_WEBHOOK_URL="", NOTIFICATION_URLS="", BINANCE_API_KEY="", BINANCE_API_SECRET="")


async def test_a_block_of_prefects_own_may_be_the_target():
    told = asyncio.Queue()

    async def take(request):
        await told.put(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    block = CustomWebhookNotificationBlock(name="mine", url=url, json_data={"text": "{{subject}}: {{body}}"})
    await block.save("mine", overwrite=True)
    async with get_client() as client:
        mine = SOON.model_copy(update={"block": "custom-webhook/mine", "failure_cooldown_s": 0.0})
        assert len((await upsert(mine, client)).changed) == 8, "all that notify"
        await run_of(client, "preload", Failed(message="refused"))
        async with asyncio.timeout(30):
            assert (await told.get())["text"].startswith("FLOW preload Failed: preload: refused")
        with pytest.raises(ConfigError, match=r"NOTIFY\.block: Prefect has no block slack-webhook/none"):
            await upsert(SOON.model_copy(update={"block": "slack-webhook/none"}), client)
    await runner.cleanup()
