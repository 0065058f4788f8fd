"""The doctor itself: every part is looked at, none hides another, and the worst decides the exit status."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from itertools import permutations

import orjson
import pytest

from aione.errors import AlreadyRunning, InvalidInput, ServiceUnavailable
from aione.run import doctor
from aione.run.doctor import Finding, Health, as_facts, as_text, examine, worst

OK, WARN, FAIL = Health.OK, Health.WARN, Health.FAIL


def found(*findings):
    async def check():
        return findings

    return check


def raising(error):
    async def check():
        raise error

    return check


# ── Looking ──


async def test_all_findings_come_in_the_order_of_the_table_whoever_is_quicker():
    async def slow():
        await asyncio.sleep(0.02)
        return [Finding("slow", OK, "1"), Finding("slow", WARN, "2")]

    checks = {"slow": slow, "none": found(), "quick": found(Finding("quick", OK, "3"))}
    assert [one.text for one in await examine(checks)] == ["1", "2", "3"]
    assert await examine({}) == []


async def test_the_checks_run_at_once():
    meeting = asyncio.Barrier(3)

    async def check():
        await meeting.wait()
        return []

    async with asyncio.timeout(2.0):
        assert await examine(dict.fromkeys("abc", check)) == []


async def test_a_check_that_does_not_answer_fails_in_time_and_hides_no_other(monkeypatch):
    monkeypatch.setattr(doctor, "CHECK_WITHIN_S", 0.02)

    async def silent():
        await asyncio.sleep(60)

    fine = Finding("fine", OK, "well")
    started_s = time.perf_counter()
    late, well = await examine({"late": silent, "fine": found(fine)})
    assert time.perf_counter() - started_s < 1.0
    assert late == Finding("late", FAIL, "no answer within 0.02 s", "look at the log of late")
    assert well is fine


@pytest.mark.parametrize(
    "error", [ServiceUnavailable("gone"), InvalidInput("odd"), AlreadyRunning("taken"), ConnectionRefusedError("no")]
)
async def test_what_a_check_cannot_reach_is_what_it_found(error):
    broken, well = await examine({"broken": raising(error), "fine": found(Finding("fine", OK, "well"))})
    assert broken == Finding("broken", FAIL, str(error), "start it, or correct its address")
    assert well.part == "fine"


@pytest.mark.parametrize("error", [KeyError("updated_ms"), TypeError("not a list"), ValueError("not JSON"), OSError()])
async def test_a_check_that_stumbles_is_a_finding_of_its_part_and_hides_no_other(error):
    """Whatever stands in Redis, or answers at an address, was written by others."""
    broken, well = await examine({"broken": raising(error), "fine": found(Finding("fine", OK, "well"))})
    assert (broken.part, broken.health, well.part) == ("broken", FAIL, "fine")
    assert type(error).__name__ in broken.text
    assert broken.advice


async def test_who_cancels_the_doctor_is_obeyed():
    with pytest.raises(asyncio.CancelledError):
        await examine({"cancelled": raising(asyncio.CancelledError())})


# ── Telling ──


def test_the_worst_of_all_counts_in_any_order():
    for order in permutations([Finding("a", OK, ""), Finding("b", WARN, ""), Finding("c", FAIL, "")]):
        assert worst(order) is FAIL
        assert worst([one for one in order if one.health is not FAIL]) is WARN
    assert worst([Finding("a", OK, "")]) is OK
    assert worst([]) is OK


FINDINGS = [
    Finding("redis", OK, "answers", "never shown: all is well"),
    Finding("exchange", WARN, "off by 2 s", "set the clock"),
    Finding("bars", FAIL, "none", "wait"),
    Finding("cycle", FAIL, "late"),
]


def test_findings_are_aligned_lines_with_what_to_do_below():
    assert as_text(FINDINGS, is_coloured=False).splitlines() == [
        "ok    redis     answers",
        "warn  exchange  off by 2 s",
        "                → set the clock",
        "fail  bars      none",
        "                → wait",
        "fail  cycle     late",
    ]
    assert as_text([], is_coloured=False) == ""


def test_colours_change_the_marks_alone():
    coloured = as_text(FINDINGS, is_coloured=True)
    assert re.sub("\x1b" + r"\[\d*m", "", coloured) == as_text(FINDINGS, is_coloured=False)
    marks = [re.match("\x1b" + r"\[(\d+)m(\w+) *" + "\x1b" + r"\[0m", line) for line in coloured.splitlines()]
    assert [mark.groups() for mark in marks if mark] == [("32", "ok"), ("33", "warn"), ("31", "fail"), ("31", "fail")]


def test_facts_are_plain_values_with_each_parts_own_beside():
    before_ms = int(1000 * time.time())
    facts = as_facts([Finding("redis", OK, "answers", facts={"latency_ms": 1.5}), FINDINGS[2]])
    assert before_ms <= facts.pop("at_ms") <= int(1000 * time.time())
    assert facts == {
        "health": "fail",
        "findings": [
            {"part": "redis", "health": "ok", "text": "answers", "advice": "", "latency_ms": 1.5},
            {"part": "bars", "health": "fail", "text": "none", "advice": "wait"},
        ],
    }
    assert orjson.loads(orjson.dumps(facts)) == facts
    assert as_facts([])["health"] == "ok"


# ── The command ──


def run(tmp_path, *arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "aione", "doctor", *arguments],
        env={**os.environ, "AIONE_HOME": str(tmp_path / "home"), **environ},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_nothing_of_it_running_is_a_failure_of_each_part_and_status_1(tmp_path):
    nobody = {
        "REDIS_URL": "redis://:secret@127.0.0.1:1/0", "PREFECT_API_URL": "http://127.0.0.1:1/api",
        "AIONE_REST_URL": "http://127.0.0.1:1",
    }  # fmt: skip
    result = run(tmp_path, "--json", **nobody)
    assert result.returncode == 1, result.stderr
    assert "secret" not in result.stdout + result.stderr
    facts = orjson.loads(result.stdout)
    assert facts["health"] == "fail"
    health = {row["part"]: row["health"] for row in facts["findings"]}
    assert health == {
        "redis": "fail", "exchange": "fail", "budget": "fail", "prefect": "fail", "stream": "fail", "bars": "fail",
        "universe": "fail", "quarantine": "fail", "archive": "warn", "cycle": "fail", "incidents": "fail",
    }  # fmt: skip
    assert all(row["advice"] for row in facts["findings"])


def test_a_home_in_which_nothing_runs_is_one_line_and_status_2(tmp_path):
    result = run(tmp_path)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("aione: no system runs in")
    assert "Traceback" not in result.stderr
