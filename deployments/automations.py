"""Tell a Prefect server which automations there are: those of `automations.yaml`, created, changed and removed by name.

``python -m deployments.automations [--check]``; with ``--check`` the file is only read, and no server is asked.

1. Placeholders are filled in: ``${notification_block}`` and ``${deployment FLOW/NAME}`` are ids on the server,
   ``${link}`` is where links in messages begin, the others are limits of ``NOTIFY``.
2. What the server lacks is created, what differs is changed under its id, what is equal is left alone.
3. Automations of ours (their names begin with ``aione: ``) that are not in the file any more are removed.

Whether an automation that exists is on or off is left as it is: that is switched in the UI.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings

from aione.errors import AioneError, ConfigError
from config.notify_models import NotifyParams
from config.settings import SettingsError, load_settings
from deployments.automation_file import FILE, PREFIX, Resolve, read_automations

NOBODY = UUID(int=0)
DEPLOYMENT = "deployment "
SLACK_S = 1.0
"""So much sooner than the stream worker a trigger takes the same alert again: their times do not begin alike."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each automation, by name."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return one line for each."""
        words = (("created", self.created), ("changed", self.changed), ("as it was", self.equal))
        return [f"{word:<10} {name}" for word, names in (*words, ("removed", self.removed)) for name in names]


def limits(params: NotifyParams) -> dict[str, Any]:
    """Return the placeholders that need no server."""
    numbers = ("failure_cooldown_s", "no_screening_s", "zombie_s", "silent_s", "rescan_pause_s")
    values = {name: _plain(getattr(params, name)) for name in numbers}
    return values | {"alert_within_s": _plain(max(0.0, params.alert_cooldown_s - SLACK_S)), "link": _link(params)}


def check(params: NotifyParams) -> list[AutomationCore]:
    """Read the file without a server; `ConfigError` names every mistake."""
    values = limits(params)

    def resolve(name: str) -> Any:
        if name == "notification_block" or name.startswith(DEPLOYMENT):
            return str(NOBODY)
        return _of(values, name)

    return read_automations(resolve)


async def upsert(params: NotifyParams, client: PrefectClient) -> Outcome:
    """Bring the server's automations in line with the file.

    Raises
    ------
    ConfigError
        The file is wrong, the server refuses one of them, or it knows no such block or deployment.
    """
    wanted = read_automations(await _resolver(params, client))
    held = {automation.name: automation for automation in await _ours(client)}
    outcome: dict[str, list[str]] = {"created": [], "changed": [], "equal": [], "removed": []}
    for automation in wanted:
        before = held.pop(automation.name, None)
        try:
            if before is None:
                await client.create_automation(automation)
                outcome["created"].append(automation.name)
                continue
            automation.enabled = before.enabled
            if comparable(before) == comparable(automation):
                outcome["equal"].append(automation.name)
                continue
            await client.update_automation(before.id, automation)
            outcome["changed"].append(automation.name)
        except PrefectHTTPStatusError as error:
            raise ConfigError(f"{FILE.name}: {automation.name}: Prefect refused it: {error.response.text}") from error
    for name, automation in held.items():
        await client.delete_automation(automation.id)
        outcome["removed"].append(name)
    return Outcome(**{word: tuple(names) for word, names in outcome.items()})


def comparable(automation: AutomationCore) -> dict[str, Any]:
    """Return what makes two automations the same: everything but their ids."""
    return dict(_sorted(AutomationCore.model_validate(automation.model_dump()).model_dump(mode="json")))


async def _ours(client: PrefectClient) -> list[Any]:
    return [automation for automation in await client.read_automations() if automation.name.startswith(PREFIX)]


async def _resolver(params: NotifyParams, client: PrefectClient) -> Resolve:
    """Return what fills in a placeholder; ids are asked for once, before."""
    values = limits(params)
    slug, _, name = params.block.partition("/")
    try:
        values["notification_block"] = str((await client.read_block_document_by_name(name, slug)).id)
    except ObjectNotFound as error:
        raise ConfigError(f"NOTIFY.block: Prefect has no block {params.block}") from error
    for deployment in await client.read_deployments():
        flow = await client.read_flow(deployment.flow_id)
        values[f"{DEPLOYMENT}{flow.name}/{deployment.name}"] = str(deployment.id)
    return lambda placeholder: _of(values, placeholder)


def _of(values: dict[str, Any], name: str) -> Any:
    if name not in values:
        raise LookupError("Prefect has no such deployment" if name.startswith(DEPLOYMENT) else "no such placeholder")
    return values[name]


def _link(params: NotifyParams) -> str:
    """Return where links begin: ``NOTIFY.link``, else the UI that Prefect's settings name."""
    settings = get_current_settings()
    address = params.link or settings.ui_url or (settings.api.url or "").removesuffix("/api")
    return address.rstrip("/")


def _plain(seconds: float) -> float:
    """Return seconds that a message can show: 180 and not 180.0."""
    return int(seconds) if seconds.is_integer() else seconds


def _sorted(value: Any) -> Any:
    """Return a value whose sets of names stand in order, as far as JSON has made lists of them."""
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted(value) if all(isinstance(one, str) for one in value) else [_sorted(one) for one in value]
    return value


async def _upsert(params: NotifyParams) -> Outcome:
    async with get_client() as client:
        return await upsert(params, client)


def main() -> int:
    """Check or upsert; the exit status is 0 unless something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="read the file, and ask no server")
    arguments = parser.parse_args()
    try:
        params = load_settings().NOTIFY
        if arguments.check:
            lines = [f"sound      {automation.name}" for automation in check(params)]
        else:
            lines = asyncio.run(_upsert(params)).lines()
    except (AioneError, SettingsError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # the command's answer
        return 1
    print("\n".join(lines))  # noqa: T201  # the command's answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
