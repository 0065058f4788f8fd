"""The calls of Prefect's REST API, against a server that answers as told."""

from __future__ import annotations

import pytest
from aiohttp import web

from aione.errors import InvalidInput, ServiceUnavailable
from aione.run import prefect_api


@pytest.fixture
async def server():
    """Answers each request with the next of ``replies``; keeps what was asked."""
    replies, asked = [], []

    async def answer(request):
        asked.append((request.method, request.path, await request.text(), request.headers.get("Authorization")))
        status, body = replies.pop(0)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}/api", replies, asked
    await runner.cleanup()


async def test_a_run_is_requested_with_its_parameters(server):
    url, replies, asked = server
    replies += [(200, {"id": "d1"}), (201, {"id": "r1"})]
    assert await prefect_api.request_run(url, "rescan/rescan", {"force": True}) == "r1"
    assert asked[0][:2] == ("GET", "/api/deployments/name/rescan/rescan")
    assert asked[1][:3] == ("POST", "/api/deployments/d1/create_flow_run", '{"parameters":{"force":true}}')


async def test_a_server_that_asks_for_a_password_gets_the_one_of_the_environment(server, monkeypatch):
    url, replies, asked = server
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:pass")
    replies.append((200, {"state": {"type": "RUNNING", "name": "Running"}}))
    await prefect_api.run_state(url, "r1")
    assert asked[0][3] == "Basic YWRtaW46cGFzcw=="


async def test_an_unknown_deployment_is_named(server):
    url, replies, _ = server
    replies.append((404, {"detail": "Deployment not found"}))
    with pytest.raises(InvalidInput, match="not found"):
        await prefect_api.request_run(url, "no/such")


async def test_a_busy_server_is_asked_again(server, monkeypatch):
    url, replies, asked = server
    monkeypatch.setattr(prefect_api, "BUSY_PAUSES_S", (0.0, 0.0))
    replies += [(503, {}), (503, {}), (200, {"state": {"type": "RUNNING", "name": "Running"}})]
    assert (await prefect_api.run_state(url, "r1")).kind == "RUNNING"
    assert len(asked) == 3


async def test_a_server_that_stays_busy_is_reported(server, monkeypatch):
    url, replies, _ = server
    monkeypatch.setattr(prefect_api, "BUSY_PAUSES_S", (0.0,))
    replies += [(503, {}), (503, {})]
    with pytest.raises(ServiceUnavailable, match="503"):
        await prefect_api.run_state(url, "r1")


async def test_a_run_is_watched_to_its_end(server):
    url, replies, _ = server
    replies += [
        (200, {"state": {"type": "PENDING", "name": "Pending"}}),
        (200, {"state": {"type": "COMPLETED", "name": "Skipped", "message": "published already"}}),
    ]
    state = await prefect_api.wait_for_run(url, "r1", 10.0)
    assert (state.is_final, state.name, state.message) == (True, "Skipped", "published already")


async def test_a_run_that_does_not_end_is_given_up(server):
    url, replies, _ = server
    replies += [(200, {"state": {"type": "RUNNING", "name": "Running"}})] * 3
    with pytest.raises(ServiceUnavailable, match="still Running"):
        await prefect_api.wait_for_run(url, "r1", 0.0)


async def test_nobody_at_the_address():
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:1"):
        await prefect_api.run_state("http://127.0.0.1:1/api", "r1")
