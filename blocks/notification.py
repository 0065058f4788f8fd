"""The notification target as a Prefect block: a local file, or any webhook."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson
from prefect.blocks.abstract import NotificationBlock as PrefectNotificationBlock
from pydantic import Field, SecretStr


class NotificationBlock(PrefectNotificationBlock):
    """Where people are told of signals: lines of JSON in a file, and a webhook where one is given."""

    _block_type_name = "AiOne Notification"
    _block_type_slug = "aione-notification"
    _description = "A local file by default, so that it can be tried offline; any webhook that takes a JSON body."

    path: str | None = Field(default=None, title="File", description="Each message is appended as one line of JSON")
    webhook_url: SecretStr | None = Field(
        default=None, title="Webhook", description="Gets a POST of {subject, body, text} for each message"
    )

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Deliver one message to every target.

        Raises
        ------
        OSError
            The file cannot be written.
        httpx.HTTPError
            The webhook did not take the message.
        """
        message = {
            "ts": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "subject": subject,
            "body": body,
            "text": f"{subject}\n{body}" if subject else body,
        }
        if self.path:
            await asyncio.to_thread(_append_line, Path(self.path), orjson.dumps(message))
        if self.webhook_url is not None:
            async with httpx.AsyncClient(timeout=10.0) as client:
                (await client.post(self.webhook_url.get_secret_value(), json=message)).raise_for_status()


def _append_line(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(line + b"\n")


__all__ = ["NotificationBlock"]
