"""Notification targets, against a real file and a real HTTP sink."""

from __future__ import annotations

import logging

import orjson
import pytest
from aiohttp import web
from prefect.blocks.abstract import NotificationError

from blocks import NotificationBlock, notification

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it

SECRET = "T0KEN-of-the-hook"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(notification, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
async def sink():
    """``(address, statuses, messages)``: answers each POST with the next status, 200 without one."""
    statuses, messages = [], []

    async def take(request):
        status = statuses.pop(0) if statuses else 200
        if status == 200:
            messages.append((request.path, orjson.loads(await request.read())))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}", statuses, messages
    await runner.cleanup()


def lines(path):
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_a_message_reaches_the_file_the_webhook_and_every_apprise_address(sink, tmp_path):
    address, _, messages = sink
    path = tmp_path / "deep" / "notifications.jsonl"
    block = NotificationBlock(
        path=str(path), webhook_url=f"http://{address}/hook", urls=f"json://{address}/one  json://{address}/two"
    )
    await block.notify("entry 100", "BTCUSDT ALERT_BUY")
    (line,) = lines(path)
    assert (line["subject"], line["body"], line["text"]) == (
        "BTCUSDT ALERT_BUY",
        "entry 100",
        "BTCUSDT ALERT_BUY\nentry 100",
    )
    (hook, sent), (first, one), (second, two) = messages
    assert (hook, first, second) == ("/hook", "/one", "/two")
    assert sent == line
    assert (one["title"], one["message"]) == (two["title"], two["message"]) == ("BTCUSDT ALERT_BUY", "entry 100")


async def test_a_target_that_fails_keeps_no_other_from_the_message_and_is_named_without_its_secret(
    sink, tmp_path, caplog
):
    address, statuses, messages = sink
    statuses += [404]
    block = NotificationBlock(
        path=str(tmp_path / "file"),
        webhook_url=f"http://{address}/{SECRET}",
        urls=f"tgra://{SECRET} json://127.0.0.1:1/{SECRET} json://{address}/last",
    )
    with caplog.at_level(logging.INFO), pytest.raises(NotificationError) as caught:
        await block.notify("body", "subject")
    assert caught.value.log == (
        "webhook at 127.0.0.1: answered 404; address 1 (tgra): not an address that Apprise knows; "
        "address 2 (json): did not take the message"
    )
    assert SECRET not in caplog.text
    assert len(lines(tmp_path / "file")) == 1
    assert [path for path, _ in messages] == ["/last"]


async def test_a_target_that_is_busy_for_a_moment_gets_the_message_once(sink, tmp_path):
    address, statuses, messages = sink
    statuses += [503, 500]
    block = NotificationBlock(path=str(tmp_path / "file"), webhook_url=f"http://{address}/hook")
    await block.notify("body")
    assert len(messages) == len(lines(tmp_path / "file")) == 1
    assert messages[0][1]["text"] == "body"


async def test_a_target_that_stays_busy_is_told(sink):
    address, statuses, messages = sink
    statuses += [503] * 9
    with pytest.raises(NotificationError) as caught:
        await NotificationBlock(webhook_url=f"http://{address}/hook").notify("body")
    assert caught.value.log == "webhook at 127.0.0.1: answered 503"
    assert len(statuses) == 6
    assert messages == []


async def test_a_file_that_cannot_be_written_and_a_webhook_that_nobody_serves_are_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    block = NotificationBlock(path=str(tmp_path / "file" / "below"), webhook_url="http://127.0.0.1:1/hook")
    with pytest.raises(NotificationError) as caught:
        await block.notify("body")
    assert caught.value.log == f"file {tmp_path}/file/below: File exists; webhook at 127.0.0.1: ConnectError"


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "tgram://123456789:abcdefg_hijklmnop/12315544",
        "mailto://user:pass@gmail.com",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "json://127.0.0.1/hook",
    ],
)
def test_the_services_that_the_documentation_names_are_known(url):
    assert NotificationBlock(urls=url).wrong_addresses() == []


def test_an_address_that_is_none_is_named_by_its_number_and_scheme(caplog):
    with caplog.at_level(logging.DEBUG):
        wrong = NotificationBlock(urls=f"json://127.0.0.1 tgra://{SECRET}").wrong_addresses()
    assert wrong == ["address 2 (tgra) is none that Apprise knows"]
    assert SECRET not in caplog.text
