"""The file of automations: sound as it is, and every mistake in one is named by file, automation and field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from aione.errors import ConfigError
from config.notify_models import NotifyParams
from deployments import automations
from deployments.automation_file import FILE, read_automations

PROJECT = Path(__file__).resolve().parents[2]
PLAIN = """
- name: "aione: one"
  trigger: {type: event, posture: Reactive, expect: [aione.alert], threshold: 1, within: 0}
  actions:
    - {type: send-notification, block_document_id: "${block}", subject: a, body: "b ${link}"}
"""
VALUES = {"block": "00000000-0000-0000-0000-000000000001", "link": "http://ui", "seconds": 5}


def read(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    def resolve(name):
        if name not in VALUES:
            raise LookupError("no such placeholder")
        return VALUES[name]

    return read_automations(resolve, path)


def test_the_file_is_sound_and_its_limits_are_those_of_the_settings():
    found = {automation.name: automation for automation in automations.check(NotifyParams(no_screening_s=77.0))}
    assert len(found) == 10
    screening = found["aione: no completed screening"]
    assert screening.trigger.within.total_seconds() == 77
    assert screening.actions[0].subject == "NO SCREENING for 77 s"
    assert not found["aione: every alert"].enabled
    assert all(automation.description for automation in found.values())


def test_every_limit_is_used_by_the_file():
    text = FILE.read_text()
    assert all(f"${{{name}}}" in text for name in automations.limits(NotifyParams()))


def test_a_run_that_ended_in_any_way_of_ours_is_no_zombie():
    """A name that is missing would have the server asked to mark a run that has completed as crashed."""
    (zombie,) = [one for one in yaml.safe_load(FILE.read_text()) if one["name"] == "aione: zombie run"]
    sources = "".join(path.read_text() for path in (PROJECT / "flows").glob("*.py"))
    named = re.findall(r"\bname ?=.*", sources)
    ours = {name for line in named for name in re.findall(r'"([A-Z]\w+)"', line)}
    assert ours >= {"Skipped", "Defects", "OverBudget"}
    ends = {"Completed", "Failed", "TimedOut", "Crashed", "Cancelled", "Zombie"} | ours
    assert {f"prefect.flow-run.{name}" for name in ends} <= set(zombie["trigger"]["expect"])


def test_placeholders_are_filled_in_and_one_that_stands_alone_keeps_its_type(tmp_path):
    (one,) = read(tmp_path, PLAIN.replace("within: 0", 'within: "${seconds}"'))
    assert one.trigger.within.total_seconds() == 5
    assert str(one.actions[0].block_document_id) == VALUES["block"]
    assert one.actions[0].body == "b http://ui"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("aione: one", "other", "mine.yaml: other: name: must begin with 'aione: '"),
        ("${link}", "${lnik}", r"mine.yaml: aione: one: actions.0.body: \$\{lnik\}: no such placeholder"),
        ("within:", "withn:", "mine.yaml: aione: one: trigger.withn: Prefect has no such field"),
        ("subject: a", "subjet: a", "mine.yaml: aione: one: actions.0.subjet: Prefect has no such field"),
        ("Reactive", "Sleepy", "mine.yaml: aione: one: trigger.*posture"),
        ('"b ${link}"', '"{{ oops"', "mine.yaml: aione: one: actions.*body.*not a valid template"),
        ("send-notification", "shout", "mine.yaml: aione: one: actions"),
        ("  actions:", "  deeds:", "mine.yaml: aione: one: .*actions"),
    ],
)
def test_a_mistake_is_named(tmp_path, before, after, message):
    assert before in PLAIN
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        read(tmp_path, PLAIN.replace(before, after))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "mine.yaml: while parsing"),
        ("a: 1", "mine.yaml: expected a list of automations"),
        ("- 1", "mine.yaml: expected a list of automations"),
        (PLAIN + PLAIN, "mine.yaml: aione: one: stands there twice"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path):
    text = PLAIN.replace("within:", "withn:") + PLAIN.replace("aione: one", "aione: two").replace("body:", "bdy:")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert "aione: one: trigger.withn" in str(caught.value)
    assert "aione: two: actions" in str(caught.value)


def test_the_command_checks_without_a_server(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["automations", "--check"])
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert automations.main() == 0
    assert capsys.readouterr().out.count("sound") == 10


def test_the_command_ends_with_1_and_says_what_is_wrong(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["automations", "--check"])
    monkeypatch.setenv("AIONE_NOTIFY__silent_s", "1")
    assert automations.main() == 1
    assert "NOTIFY.silent_s" in capsys.readouterr().err
