"""Files of rules: every mistake is told with its place, and the shipped ones are right."""

from __future__ import annotations

import json
import re

import jsonschema
import numpy as np
import pytest
import yaml

from aione.errors import RuleError
from aione.indicators.readings import compute_readings
from aione.panel import MINUTE_MS, BarPanel, MarketSnapshot
from aione.run.rules import as_json, as_text, check_paths, schema_text
from aione.thresholds.actions import ACTIONS
from aione.thresholds.book import RuleBook
from aione.thresholds.files import BASE, EXAMPLE, FileName, json_schema, parse_rules, read_sources
from aione.thresholds.metrics import METRICS, rule_metrics
from aione.thresholds.run import SHIPPED
from config.settings import load_settings

GOOD = "rules:\n- {id: a, when: {metric: rsi, op: '>', value: 50}, actions: {stage1.volume_z: 3}}\n"


def wrong(rule=None, **file):
    content = {
        "rules": [{"id": "r", "when": {"metric": "rsi", "op": ">", "value": 1}, "actions": {"stage1.vwap_z": 2}}]
    }
    content["rules"][0] |= rule or {}
    with pytest.raises(RuleError) as caught:
        parse_rules(yaml.safe_dump(content | file), "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"when": {"metric": "rsl", "op": ">", "value": 1}}, "f.yaml: rule r: rules[0].when.metric: there is no metric 'rsl'; near: rsi"),
        ({"when": {"all": [{"metric": "rsi", "op": "=>", "value": 1}]}}, "rules[0].when.all[0].op: Input should be"),
        ({"when": {"metric": "rsi", "op": "between", "value": [3, 1]}}, "rules[0].when: between needs [low, high] with low <= high, was [3.0, 1.0]"),
        ({"when": {"metric": "rsi", "op": "in", "value": 1}}, "in needs a list of at least one number, was 1.0"),
        ({"when": {"metric": "rsi", "op": ">", "value": [1, 2]}}, "> needs one number, was [1.0, 2.0]"),
        ({"when": {"metric": "rsi", "op": ">", "value": "high"}}, "rules[0].when.value"),
        ({"when": {"metric": "rsi", "op": ">", "value": float("nan")}}, "rules[0].when.value"),
        ({"when": {"all": []}}, "rules[0].when: at least one condition is needed"),
        ({"when": {}}, "rules[0].when: is empty: expected a condition"),
        ({"actions": {"stage1.volume": 3}}, "there is no key 'stage1.volume'; near: stage1.volume_z"),
        ({"actions": {"stage1.rsi_overbought": 101}}, "stage1.rsi_overbought must be above 50 and at most 100, was 101"),
        ({"actions": {"stage2.sl_mult_factor": 0}}, "stage2.sl_mult_factor must be at least 0.1 and at most 10, was 0"),
        ({"actions": {}}, "rules[0].actions"),
        ({"prioritty": 3}, "rules[0].prioritty: there is no such key; near: priority"),
        ({"limits": {"hold_s": -1}}, "rules[0].limits.hold_s"),
        ({"id": "a b"}, "rules[0].id: expected letters, digits, dots, dashes and underscores, was 'a b'"),
        ({"when": {"metric": "rsi", "op": ">", "value": "3"}}, "rules[0].when.value: Input should be a valid number, was '3'"),
        ({"when": {"metric": "rsi", "op": ">", "value": True}}, "rules[0].when.value: Input should be a valid number, was True"),
        ({"when": {"any": [{"metrc": "rsi", "op": ">", "value": 1}]}}, "rules[0].when.any[0].metrc: there is no such key; near: metric"),
        ({"when": {"metric": "zzz", "op": ">", "value": 1}}, "there is no metric 'zzz'; docs/threshold-rules.md lists the"),
        ({"actions": {"stage1.rsi_oversold": 50}}, "stage1.rsi_oversold must be at least 0 and below 50, was 50"),
        ({"actions": {"stage1.vwap_z_factor": 11}}, "stage1.vwap_z_factor must be at least 0.1 and at most 10, was 11"),
        ({"priority": "high"}, "rules[0].priority: Input should be a valid integer, was 'high'"),
        ({"limits": {"window_s": 60}}, "rules[0].limits: window_s limits nothing without max_apply_per_window"),
        ({"limits": {"hold_s": 86_401}}, "rules[0].limits.hold_s: Input should be less than or equal to 86400"),
        ({"limits": {"hold": 1}}, "rules[0].limits.hold: there is no such key; near: hold_s"),
        ({"xyz": 1}, "rules[0].xyz: there is no such key, expected one of id, priority, enabled, when, actions"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_rule_is_told_with_file_rule_path_and_reason(rule, told):
    message = wrong(rule)
    assert message.startswith("f.yaml: rule ")
    assert told in message


def test_every_mistake_is_told_not_the_first_alone():
    message = wrong({"when": {"metric": "x", "op": "?", "value": 1}, "actions": {"y": 1}}, merge={"z": "last"})
    assert len(message.splitlines()) == 4
    assert "merge.z" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [", "f.yaml: line 1, column 9: while parsing"),
        ("- 1", "f.yaml: expected a mapping with rules, was list"),
        ("rules: 3", "f.yaml: rules: expected a list, was 3"),
        ("rules: [3]", "rules[0]: expected a mapping, was 3"),
        ("rule: []", "f.yaml: rule: there is no such key; near: rules"),
        (GOOD + "- {id: a, when: {metric: adx, op: '>', value: 5}, actions: {stage1.vwap_z: 3}}\n", "rules[1] has the id 'a' of rules[0]"),
        ("rules: []\nrules: []\n", "the key 'rules' stands twice"),
        ("smoothing: {stage1.volume_z: 0}", "smoothing.stage1.volume_z"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_file_of_rules_is_refused(text, told):
    with pytest.raises(RuleError) as caught:
        parse_rules(text, "f.yaml")
    assert told in str(caught.value)


def test_an_empty_file_holds_no_rule():
    assert parse_rules("# nothing yet\n", "f.yaml").rules == []
    assert parse_rules("rules: []", "f.yaml").rules == []


@pytest.mark.parametrize("op", [">=", "!=", ">"])
@pytest.mark.parametrize("form", ["{metric: rsi, op: %s, value: 3}", "\n    metric: rsi\n    op: %s\n    value: 3\n "])
def test_an_operator_without_quotes_is_told_how_to_be_written(op, form):
    text = f"rules:\n- id: a\n  when: {form % op}\n  actions: {{stage1.vwap_z: 2}}"
    with pytest.raises(RuleError, match=r'write op: ">="|op: Input should be'):
        parse_rules(text, "f.yaml")


def test_a_file_of_no_text_is_half_saved_and_not_the_wish_to_have_no_rules():
    with pytest.raises(RuleError, match="the file is empty; `rules: \\[\\]` says that there are none"):
        parse_rules(" \n", "f.yaml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (BASE, FileName()),
        (EXAMPLE, FileName()),
        ("threshold_rules_BTCUSDT.yaml", FileName("BTCUSDT")),
        ("threshold_rules_币安人生USDT_15m.yaml", FileName("币安人生USDT", "15m")),
        ("threshold_rules_BTC_USDT_x.yaml", None),
        ("threshold_rules_btcusdt.yaml", None),
        ("threshold_rules_exmaple.yaml", None),
        ("rules.yaml", None),
    ],
)
def test_a_files_name_says_whom_it_is_for(name, expected):
    assert FileName.of(name) == expected


def test_your_own_base_takes_the_place_of_the_example(tmp_path):
    (tmp_path / EXAMPLE).write_text("rules: [")
    (tmp_path / BASE).write_text(GOOD)
    (tmp_path / "threshold_rules_BTCUSDT.yaml").write_text(GOOD)
    assert sorted(read_sources(tmp_path)) == [BASE, "threshold_rules_BTCUSDT.yaml"]
    assert [laid.key for laid in RuleBook.parse(read_sources(tmp_path)).rules] == [
        f"{BASE}#a", "threshold_rules_BTCUSDT.yaml#a",
    ]  # fmt: skip


def test_a_directory_or_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(RuleError, match="no such directory"):
        read_sources(tmp_path / "none")
    (tmp_path / "threshold_rules_x_y_z.yaml").write_text("")
    with pytest.raises(RuleError, match=r"threshold_rules_x_y_z.yaml: the name tells whom the rules are for"):
        read_sources(tmp_path)
    (tmp_path / "threshold_rules_x_y_z.yaml").unlink()
    (tmp_path / BASE).write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError, match="can't decode"):
        read_sources(tmp_path)


# ── What is shipped ──


def test_the_shipped_rules_are_right_and_one_file_is_there_for_each_layer():
    found = check_paths([], load_settings(environ={}))
    assert found.errors == ()
    assert [FileName.of(laid.source) for laid in found.rules if laid.rule.id == "volume_wakes_up"] == [
        FileName("BTCUSDT", "1m")
    ]
    assert {file.rsplit("/", 1)[1] for file in found.files} == {
        EXAMPLE, "threshold_rules_BTCUSDT.yaml", "threshold_rules_BTCUSDT_1m.yaml",
    }  # fmt: skip


def test_the_schema_for_editors_is_current_and_says_the_same_as_the_checker():
    path = SHIPPED / "threshold_rules.schema.json"
    assert path.read_text() == schema_text(), "aione rules schema > config/rules/threshold_rules.schema.json"
    schema = json_schema()
    for file in SHIPPED.glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(file.read_text()), schema)
    for broken in ({"rules": [{"id": "a"}]}, {"rule": []}, {"merge": {"stage1.volume_z": "mean"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_every_metric_that_may_be_asked_for_is_supplied():
    one = np.ones((2, 3))
    panel = BarPanel(
        ("BTCUSDT", "A"), MINUTE_MS * np.arange(3), *(one.copy() for _ in range(8)), np.ones((2, 3), dtype=bool)
    )
    readings = compute_readings(panel, load_settings(environ={}).STAGE1_MONITOR_PARAMS.indicators)
    supplied = rule_metrics(readings, MarketSnapshot.of(panel.symbols))
    assert set(supplied) == set(METRICS)
    assert all(column.shape == (2,) for column in supplied.values())


def test_the_depth_is_unknown_where_one_side_of_it_is():
    panel = BarPanel(("A", "B"), MINUTE_MS * np.arange(3), *np.ones((8, 2, 3)), np.ones((2, 3), dtype=bool))
    readings = compute_readings(panel, load_settings(environ={}).STAGE1_MONITOR_PARAMS.indicators)
    sides = {"depth_bid_quote": np.array([5e4, 5e4]), "depth_ask_quote": np.array([2e4, np.nan])}
    supplied = rule_metrics(readings, MarketSnapshot.of(panel.symbols, **sides))
    np.testing.assert_array_equal(supplied["book.depth_quote"], [2e4, np.nan])


def test_the_page_tells_every_metric_and_every_key():
    page = (SHIPPED.parents[1] / "docs" / "threshold-rules.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[\w.]+", page))
    assert [name for name in METRICS if name not in words] == []
    keys = {key.removeprefix("stage1.") if key.startswith("stage1.") else key for key in ACTIONS}
    keys = {key.removeprefix("stage2.") if "_factor" not in key else key for key in keys}
    factors = {key for key in keys if key.endswith("_factor") and "." not in key}
    assert sorted(key for key in keys - factors if key not in words) == []
    assert {key.removesuffix("_factor") for key in factors} <= keys


# ── aione rules check ──


def test_check_tells_every_error_of_every_file(tmp_path):
    (tmp_path / BASE).write_text(GOOD)
    (tmp_path / "threshold_rules_AUSDT.yaml").write_text(GOOD.replace("rsi", "rsl").replace("volume_z", "volume_y"))
    found = check_paths([tmp_path], load_settings(environ={}))
    text = as_text(found)
    assert len(found.errors) == 2
    assert f"{tmp_path}/threshold_rules_AUSDT.yaml: rule a: rules[0].when.metric" in text
    assert "2 errors in 2 files" in text
    assert len(json.loads(as_json(found))["errors"]) == 2
    assert check_paths([tmp_path / "none.yaml"], load_settings(environ={})).errors
    (tmp_path / "empty").mkdir()
    assert "holds no threshold_rules" in check_paths([tmp_path / "empty"], load_settings(environ={})).errors[0]


def test_check_shows_what_the_rules_are(tmp_path):
    (tmp_path / BASE).write_text(GOOD)
    text = as_text(check_paths([tmp_path / BASE], load_settings(environ={})))
    assert "rsi -> stage1.volume_z 3" in text
    assert "1 rule in 1 file, no error" in text
