"""The notification targets as a Prefect block: a local file, a webhook, and every service that Apprise knows.

Automations send through it from within the Prefect server, flows may do so from their own process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from apprise import Apprise, AppriseAsset, NotifyFormat
from prefect.blocks.abstract import NotificationBlock as PrefectNotificationBlock
from prefect.blocks.abstract import NotificationError
from pydantic import ConfigDict, Field, HttpUrl, SecretStr

from blocks.logos import LOGOS

PAUSES_S: Final = (0.0, 0.5, 2.0)
"""Before each attempt at a target that does not answer."""
WITHIN_S: Final = 10.0
ASSET: Final = AppriseAsset(app_id="AiOne", app_desc="AiOne", app_url="")


_IS_SECRET: ContextVar[bool] = ContextVar("is_secret", default=False)
"""Whether what is done here handles an address that is a secret."""

Send = Callable[[], Awaitable[None]]


class NotificationBlock(PrefectNotificationBlock):
    """Where people are told: lines of JSON in a file, a webhook, and addresses of Apprise, as many as are given."""

    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "AiOne Notification"
    _block_type_slug = "aione-notification"
    _description = (
        "Where people are told of signals and of trouble: a local file, so that it can be tried offline, any webhook "
        "that takes JSON, and Slack, Telegram, e-mail and a hundred others by address."
    )
    _documentation_url = HttpUrl(
        "https://docs.prefect.io/v3/concepts/automations#sending-notifications-with-automations"
    )
    _logo_url = HttpUrl(f"{LOGOS}/email.png")
    _code_example = """
        from blocks import BLOCK_NAME, NotificationBlock

        target = await NotificationBlock.aload(BLOCK_NAME)
        await target.notify("entry 64000 SL 63500", "BTCUSDT ALERT_BUY")
    """

    path: str | None = Field(
        default=None, title="File", description="Each message is appended as one line of JSON, where the sender runs"
    )
    webhook_url: SecretStr | None = Field(
        default=None, title="Webhook", description="Gets a POST of {ts, subject, body, text} for each message"
    )
    urls: SecretStr | None = Field(
        default=None,
        title="Apprise addresses",
        description="slack://..., tgram://..., mailto://..., json://..., separated by spaces",
    )

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Deliver one message to every target, each tried a few times; what fails keeps none of the others from it.

        Raises
        ------
        NotificationError
            A target did not take the message; names every one that did not, and none of their secrets.
        """
        message = {
            "ts": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "subject": subject,
            "body": body,
            "text": f"{subject}\n{body}" if subject else body,
        }
        failures = [why for name, send in self._targets(message) if (why := await _attempt(name, send))]
        if failures:
            raise NotificationError("; ".join(failures))

    def wrong_addresses(self) -> list[str]:
        """Return what is wrong with the Apprise addresses, each by its number and scheme."""
        return [
            f"address {number} ({url.partition(':')[0][:20]}) is none that Apprise knows"
            for number, url in enumerate(self._addresses(), start=1)
            if _target(url) is None
        ]

    def _addresses(self) -> list[str]:
        return self.urls.get_secret_value().split() if self.urls is not None else []

    def _targets(self, message: dict[str, Any]) -> Iterator[tuple[str, Send]]:
        """Yield each target by a name that holds no secret, and what sends to it."""
        if self.path:
            path = Path(self.path)
            yield f"file {path}", lambda: asyncio.to_thread(_append_line, path, orjson.dumps(message))
        if self.webhook_url is not None:
            url = self.webhook_url.get_secret_value()
            yield f"webhook at {httpx.URL(url).host}", lambda: _post(url, message)
        for number, address in enumerate(self._addresses(), start=1):
            name = f"address {number} ({address.partition(':')[0][:20]})"
            yield name, lambda address=address: _apprise(address, message)


async def _attempt(name: str, send: Send) -> str | None:
    """Try a target until it takes the message; return why it did not."""
    why = ""
    for pause_s in PAUSES_S:
        await asyncio.sleep(pause_s)
        try:
            await send()
        except httpx.HTTPStatusError as error:  # its own text holds the address, which is the secret
            why = f"answered {error.response.status_code}"
            if error.response.is_client_error:
                break
        except httpx.HTTPError as error:
            why = type(error).__name__
        except OSError as error:
            why = error.strerror or type(error).__name__
        except NotificationError as error:
            why = error.log
        else:
            return None
    return f"{name}: {why}"


async def _post(url: str, message: dict[str, Any]) -> None:
    with _unlogged():
        async with httpx.AsyncClient(timeout=WITHIN_S) as client:
            (await client.post(url, json=message)).raise_for_status()


async def _apprise(address: str, message: dict[str, Any]) -> None:
    target = await asyncio.to_thread(_target, address)  # the first time it loads every service that Apprise knows
    if target is None:
        raise NotificationError("not an address that Apprise knows")
    sender = Apprise(asset=ASSET)
    sender.add(target)
    if not await sender.async_notify(
        body=message["body"], title=message["subject"] or "", body_format=NotifyFormat.TEXT
    ):
        raise NotificationError("did not take the message")


def _target(address: str) -> Any:
    """Return what sends to an address, None for one that Apprise does not know."""
    with _unlogged():
        return Apprise.instantiate(address, asset=ASSET, suppress_exceptions=True)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep addresses out of the log: httpx logs each that it asks, Apprise each that it does not know."""
    token = _IS_SECRET.set(True)
    try:
        yield
    finally:
        _IS_SECRET.reset(token)


def _may_be_logged(_record: logging.LogRecord) -> bool:
    return not _IS_SECRET.get()


for _name in ("httpx", "apprise"):
    logging.getLogger(_name).addFilter(_may_be_logged)


def _append_line(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(line + b"\n")


__all__ = ["NotificationBlock"]
