"""What a person gets wrong is answered by one line and a status that is not 0, never by a traceback."""

import os
import socket
import subprocess
import sys

import pytest


def run(*arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "aione", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def home(tmp_path):
    return str(tmp_path / "home")


@pytest.fixture
def taken_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield str(holder.getsockname()[1])


def check(result, *words):
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("aione: ")
    for word in words:
        assert word in last


def test_a_wrong_constant_in_the_profile(tmp_path, home):
    profile = tmp_path / "mine.yaml"
    profile.write_text("STAGE1_MONITOR_PARAMS: {thresholds: {volume_z: lots}}\n")
    result = run("up", "--sim", AIONE_PROFILE=str(profile), AIONE_HOME=home)
    check(result, "mine.yaml", "STAGE1_MONITOR_PARAMS.thresholds.volume_z", "'lots'")
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unknown_constant_in_the_profile(tmp_path, home):
    profile = tmp_path / "mine.yaml"
    profile.write_text("STAGE9: 1\n")
    check(run("scan", AIONE_PROFILE=str(profile), AIONE_HOME=home), "mine.yaml", "STAGE9")


def test_an_unknown_variable(home):
    check(run("up", AIONE_FOO="1", AIONE_HOME=home), "AIONE_FOO")


def test_a_missing_replay_directory(home):
    check(run("up", "--replay", "/nowhere", "--cycles", "1", AIONE_HOME=home), "--replay", "/nowhere")


def test_an_empty_replay_directory(tmp_path, home):
    check(run("scan", "--replay", str(tmp_path), "--at", "2025-05-20T12:00:00Z", AIONE_HOME=home), str(tmp_path))


def test_a_moment_that_is_none(tmp_path, home):
    check(run("scan", "--replay", str(tmp_path), "--at", "noon", AIONE_HOME=home), "--at", "'noon'")


def test_an_unreachable_redis(home):
    check(run("up", "--sim", REDIS_URL="redis://127.0.0.1:1/0", AIONE_HOME=home), "redis://127.0.0.1:1/0")


def test_an_unreachable_prefect_server(home):
    result = run("up", "--sim", "--symbols", "3", PREFECT_API_URL="http://127.0.0.1:1/api", AIONE_HOME=home)
    check(result, "http://127.0.0.1:1/api")


def test_an_occupied_port_of_the_exchange(taken_port, home):
    check(run("sim", "--port", taken_port, AIONE_HOME=home), taken_port)


def test_an_occupied_metrics_port_that_was_asked_for(taken_port, home):
    check(run("up", "--sim", AIONE_METRICS_PORT=taken_port, AIONE_HOME=home), taken_port)


def test_live_and_sim_together(home):
    check(run("up", "--live", "--sim", AIONE_HOME=home), "--live")


def test_a_wrong_log_level(home):
    check(run("scan", LOG_LEVEL="chatty", AIONE_HOME=home), "LOG_LEVEL", "'CHATTY'")


def test_rules_that_are_wrong(tmp_path, home):
    (tmp_path / "threshold_rules_BTCUSDT.yaml").write_text("rules:\n- {id: a, when: {metric: rsl}, actions: {x: 1}}\n")
    result = run("rules", "check", str(tmp_path), AIONE_HOME=home)
    assert result.returncode == 1
    assert "threshold_rules_BTCUSDT.yaml: rule a: rules[0].when.metric: there is no metric 'rsl'" in result.stdout
    assert "Traceback" not in result.stderr


def test_an_audit_of_a_time_that_is_none(home):
    check(run("audit", "--since", "yesterday", AIONE_HOME=home), "'yesterday'", "15m, 2h, 3d")


def test_an_audit_and_an_explanation_of_no_system(home):
    check(run("audit", AIONE_HOME=home), "no system runs")
    check(run("explain", "BTCUSDT", AIONE_HOME=home), "no system runs")


def test_a_moment_without_a_recording(home):
    check(run("explain", "BTCUSDT", "--at", "2025-05-20T12:00:00Z", AIONE_HOME=home), "--at", "--replay")
