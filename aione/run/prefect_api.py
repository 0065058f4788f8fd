"""The few calls of Prefect's REST API that the supervisor and the command line need.

The engine does not import Prefect: a run is requested and watched over HTTP, as any other program would.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from aione.errors import InvalidInput, ServiceUnavailable
from aione.stream.event_sender import credentials

BUSY_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
_FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a flow run stands."""

    run_id: str
    kind: str
    name: str
    message: str

    @property
    def is_final(self) -> bool:
        """Return whether the run has ended."""
        return self.kind in _FINAL


async def request_run(api_url: str, deployment: str, parameters: Mapping[str, Any] | None = None) -> str:
    """Ask for a run of ``flow/deployment`` now and return its id.

    Raises
    ------
    InvalidInput
        The server knows no such deployment, or refuses the parameters.
    ServiceUnavailable
        The server does not answer.
    """
    found = await _call(api_url, "GET", f"/deployments/name/{deployment}")
    created = await _call(
        api_url, "POST", f"/deployments/{found['id']}/create_flow_run", {"parameters": dict(parameters or {})}
    )
    return str(created["id"])


async def run_state(api_url: str, run_id: str) -> RunState:
    """Return where a run stands; errors as `request_run`."""
    state = (await _call(api_url, "GET", f"/flow_runs/{run_id}")).get("state") or {}
    return RunState(run_id, state.get("type", "PENDING"), state.get("name", ""), state.get("message") or "")


async def wait_for_run(api_url: str, run_id: str, timeout_s: float) -> RunState:
    """Watch a run until it ends and return its last state.

    Raises
    ------
    ServiceUnavailable
        The run has not ended after ``timeout_s``.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not (state := await run_state(api_url, run_id)).is_final:
        if asyncio.get_running_loop().time() > deadline:
            raise ServiceUnavailable(f"flow run {run_id} was still {state.name or state.kind} after {timeout_s:.0f} s")
        await asyncio.sleep(0.5)
    return state


async def _call(api_url: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    url = f"{api_url.rstrip('/')}{path}"
    try:
        async with httpx.AsyncClient(timeout=20.0, trust_env=False, headers=credentials(os.environ)) as client:
            reply = await client.request(method, url, json=body)
            for pause_s in BUSY_PAUSES_S:
                if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                await asyncio.sleep(pause_s)  # its database is busy, and it asks to be asked again
                reply = await client.request(method, url, json=body)
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"Prefect at {api_url} does not answer: {error or type(error).__name__}") from error
    if reply.status_code in {404, 409, 422}:
        raise InvalidInput(f"Prefect refused {method} {path}: {reply.text[:200]}")
    if not reply.is_success:
        raise ServiceUnavailable(f"Prefect answered {reply.status_code} to {method} {path}")
    result: dict[str, Any] = reply.json()
    return result


__all__ = ["RunState", "request_run", "run_state", "wait_for_run"]
