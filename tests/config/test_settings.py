from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from config import config
from config.settings import Settings, SettingsError, load_settings


@pytest.fixture
def profile(tmp_path):
    def write(content):
        path = tmp_path / "profile.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


# ── Profile ──


def test_a_profile_overrides_a_constant_and_leaves_the_others(profile):
    settings = load_settings(profile({"DEFAULT_LOOKBACK": 321}), environ={})
    assert settings.DEFAULT_LOOKBACK == 321
    assert settings.SCREENING_LOOKBACK == config.SCREENING_LOOKBACK


def test_a_profile_is_merged_into_a_constant_key_by_key(profile):
    path = profile({"STAGE1_MONITOR_PARAMS": {"thresholds": {"volume_z": 4.0}, "trigger_weights": {"near_low": 0.1}}})
    params = load_settings(path, environ={}).STAGE1_MONITOR_PARAMS
    assert (params.thresholds.volume_z, params.thresholds.vwap_z) == (4.0, 2.0)
    assert (params.trigger_weights["near_low"], params.trigger_weights["near_high"]) == (0.1, 0.25)


def test_a_list_is_replaced_and_not_merged(profile):
    settings = load_settings(profile({"MANUAL_FAST_SYMBOLS_SEED": ["币安人生USDT"]}), environ={})
    assert settings.MANUAL_FAST_SYMBOLS_SEED == ["币安人生USDT"]


def test_the_profile_may_be_named_by_the_environment(profile):
    path = profile({"DEFAULT_LOOKBACK": 123})
    assert load_settings(environ={"AIONE_PROFILE": str(path)}).DEFAULT_LOOKBACK == 123


def test_an_empty_profile_changes_nothing(profile):
    assert load_settings(profile(""), environ={}) == load_settings(environ={})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"DEFAULT_LOOKBAK": 1}, "unknown constant DEFAULT_LOOKBAK"),
        ({"DEFAULT_LOOKBACK": "many"}, "DEFAULT_LOOKBACK: .*was 'many'"),
        ({"DEFAULT_LOOKBACK": 0}, "DEFAULT_LOOKBACK: .*was 0"),
        ({"MIN_READY_PCT": 1.5}, "MIN_READY_PCT: .*was 1.5"),
        ({"STAGE1_MONITOR_PARAMS": {"thresholds": {"volum_z": 3}}}, r"STAGE1_MONITOR_PARAMS\.thresholds\.volum_z: "),
        ({"STAGE1_MONITOR_PARAMS": {"thresholds": {"volume_z": -3}}}, r"thresholds\.volume_z: .*was -3"),
        ({"STAGE1_MONITOR_PARAMS": 3}, "STAGE1_MONITOR_PARAMS: .*was 3"),
        ({"BUY_SET": ["BUY_NOW"]}, r"BUY_SET.*was 'BUY_NOW'"),
        ({"UI_LOCALE": "de"}, "UI_LOCALE: .*was 'de'"),
        ({"VENUE": {"timeout_s": float("inf")}}, r"VENUE\.timeout_s: .*was inf"),
    ],
)
def test_what_is_wrong_in_a_profile_is_named_with_the_file(profile, content, message):
    path = profile(content)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(path, environ={})
    assert str(caught.value).startswith(f"profile {path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [1", "profile .*expected"), ("- 1\n- 2", "expected a mapping of constants, was list"), ("7", "was int")],
)
def test_a_profile_that_is_no_mapping_is_refused(profile, content, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(profile(content), environ={})
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(tmp_path / "none.yaml", environ={})


def test_a_profile_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "profile.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="profile "):
        load_settings(path, environ={})


# ── Environment ──


@pytest.mark.parametrize(
    ("variable", "text", "read"),
    [
        ("AIONE_DEFAULT_LOOKBACK", "77", lambda s: s.DEFAULT_LOOKBACK == 77),
        ("AIONE_MANUAL_FAST_SYMBOLS_SEED", "[AUSDT]", lambda s: s.MANUAL_FAST_SYMBOLS_SEED == ["AUSDT"]),
        ("AIONE_STAGE2_CONFIG__switches__use_qde", "false", lambda s: s.STAGE2_CONFIG.switches.use_qde is False),
        (
            "AIONE_STAGE1_MONITOR_PARAMS__thresholds__vwap_z",
            "2.5",
            lambda s: (s.STAGE1_MONITOR_PARAMS.thresholds.vwap_z, s.STAGE1_MONITOR_PARAMS.alert_on) == (2.5, 0.6),
        ),
        ("AIONE_REST_URL", "http://127.0.0.1:1/", lambda s: s.VENUE.rest_url == "http://127.0.0.1:1"),
        ("AIONE_WS_URL", "ws://127.0.0.1:2", lambda s: s.VENUE.ws_url == "ws://127.0.0.1:2"),
    ],
)
def test_the_environment_overrides(variable, text, read):
    assert not read(load_settings(environ={}))
    assert read(load_settings(environ={variable: text}))


def test_the_environment_is_stronger_than_the_profile(profile):
    path = profile({"DEFAULT_LOOKBACK": 1, "STAGE2_CONFIG": {"switches": {"use_qde": False}}})
    settings = load_settings(path, environ={"AIONE_DEFAULT_LOOKBACK": "2"})
    assert settings.DEFAULT_LOOKBACK == 2
    assert settings.STAGE2_CONFIG.switches.use_qde is False


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("AIONE_DEFALT_LOOKBACK", "1", "unknown constant DEFALT_LOOKBACK"),
        ("AIONE_DEFAULT_LOOKBACK", "lots", "DEFAULT_LOOKBACK: .*was 'lots'"),
        ("AIONE_DEFAULT_LOOKBACK", "[1", "AIONE_DEFAULT_LOOKBACK: .*expected"),
        ("AIONE_STAGE2_CONFIG__switches__use_qd", "true", r"STAGE2_CONFIG\.switches\.use_qd: "),
        ("AIONE_DEFAULT_LOOKBACK__inner", "1", "DEFAULT_LOOKBACK: "),
    ],
)
def test_what_is_wrong_in_the_environment_is_named_with_the_variable(variable, text, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(environ={variable: text})
    assert str(caught.value).startswith(f"environment variable {variable}: ")


def test_variables_of_the_process_and_of_others_are_no_constants():
    assert load_settings(environ={"AIONE_HOME": "/x", "PATH": "/bin", "LOG_LEVEL": "DEBUG"}) == load_settings(
        environ={}
    )


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("AIONE_DEFAULT_LOOKBACK", "99")
    assert load_settings().DEFAULT_LOOKBACK == 99


# ── The constants themselves ──


def test_a_constant_changed_at_run_time_is_in_force_from_the_next_call(monkeypatch):
    before = load_settings(environ={})
    monkeypatch.setitem(config.STAGE2_CONFIG["switches"]["triggers"], "near_low", False)
    assert before.STAGE2_CONFIG.switches.triggers["near_low"] is True
    assert load_settings(environ={}).STAGE2_CONFIG.switches.triggers["near_low"] is False


def test_a_wrong_constant_in_the_program_is_named_with_its_file(monkeypatch):
    monkeypatch.setattr(config, "MIN_READY_PCT", 7)
    with pytest.raises(SettingsError, match=r"^config/config\.py: MIN_READY_PCT: "):
        load_settings(environ={})


def test_merging_leaves_the_defaults_alone(profile):
    path = profile({"STAGE2_CONFIG": {"switches": {"triggers": {"near_low": False}}}})
    load_settings(path, environ={"AIONE_STAGE1_MONITOR_PARAMS__thresholds__vwap_z": "9"})
    assert config.STAGE2_CONFIG["switches"]["triggers"]["near_low"] is True
    assert config.STAGE1_MONITOR_PARAMS["thresholds"]["vwap_z"] == 2.0


def test_settings_cannot_be_changed_and_survive_a_dump():
    settings = load_settings(environ={})
    with pytest.raises(ValidationError):
        settings.DEFAULT_LOOKBACK = 1
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
