"""Sizes, growth and bounds; what is not seen is not zero."""

from __future__ import annotations

from aione.housekeeping.redis_care import RedisFacts
from aione.housekeeping.report import Report
from aione.housekeeping.sizes import compare, measure, past_reports, remember
from aione.housekeeping.sqlite_file import SqliteFacts
from config.housekeeping_models import DiskBudget

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000
BUDGET = DiskBudget(logs_mb=1.0, archive_mb_a_day=2.0)
REDIS = RedisFacts(memory=5_000_000, aof=700, aof_base=100, is_rewriting=False)


def by_name(parts):
    return {part.name: part for part in parts}


def test_every_part_of_a_home_is_counted(tmp_path):
    for name, size in (("logs/a.log", 10), ("redis/appendonlydir/x", 20), ("audit/audit.jsonl", 30), ("data/t/y", 40)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    sizes = measure(
        tmp_path, tmp_path / "data", REDIS, tmp_path / "redis", SqliteFacts(100, 50, 11), [tmp_path / "logs" / "a.log"]
    )
    assert sizes == {
        "prefect": 111,
        "redis_memory": 5_000_000,
        "redis_disk": 20,
        "logs": 10,
        "audit": 30,
        "archive": 40,
    }


def test_what_lies_on_another_machine_is_not_seen_and_not_zero():
    sizes = measure(None, None, REDIS, None, None, [])
    assert sizes == {
        "prefect": None,
        "redis_memory": 5_000_000,
        "redis_disk": 700,
        "logs": None,
        "audit": None,
        "archive": None,
    }
    report = Report(compare(sizes, [], BUDGET, NOW_MS), {}, [])
    assert "| audit | - | - | - | 560.00 MB | not seen |" in report.markdown()
    assert report.breaches == []
    assert {sample.labels["part"] for sample in report.samples()} == {"redis_memory", "redis_disk"}


def test_growth_is_since_the_last_report_and_scaled_to_a_day_from_the_oldest_of_a_day():
    past = [
        {"at_ms": NOW_MS - HOUR_MS, "sizes": {"logs": 900}},
        {"at_ms": NOW_MS - 12 * HOUR_MS, "sizes": {"logs": 400}},
        {"at_ms": NOW_MS - 30 * HOUR_MS, "sizes": {"logs": 0}},
    ]
    part = by_name(compare({"logs": 1000}, past, BUDGET, NOW_MS))["logs"]
    assert (part.since_last, part.a_day) == (100, 1200)


def test_growth_of_a_moment_is_not_scaled():
    past = [{"at_ms": NOW_MS - 60_000, "sizes": {"logs": 900}}]
    part = by_name(compare({"logs": 1000}, past, BUDGET, NOW_MS))["logs"]
    assert (part.since_last, part.a_day) == (100, None)


def test_a_breach_is_said_with_both_numbers():
    past = [{"at_ms": NOW_MS - 12 * HOUR_MS, "sizes": {"archive": 0}}]
    parts = compare({"logs": 1_000_001, "archive": 1_100_000}, past, BUDGET, NOW_MS)
    report = Report(parts, {"runs": {"deleted": 3, "crashed": 0}}, ["something else"])
    assert report.breaches == [
        "logs takes 1.00 MB, the bound is 1.00 MB",
        "archive grows by 2.20 MB a day, the bound is 2.00 MB",
    ]
    assert report.message.endswith("something else")
    page = report.markdown()
    assert "| logs | 1.00 MB | - | - | 1.00 MB | **no** |" in page
    assert "- deleted: 3" in page
    assert "crashed" not in page
    assert report.facts()["warnings"][0].startswith("logs")


def test_at_the_bound_is_within_it():
    assert by_name(compare({"logs": 1_000_000}, [], BUDGET, NOW_MS))["logs"].is_within


async def test_reports_are_remembered_newest_first_and_not_for_ever(redis):
    for number in range(205):
        await remember(redis, {"logs": number, "audit": None}, NOW_MS + number)
    past = await past_reports(redis)
    assert len(past) == 200
    assert past[0] == {"at_ms": NOW_MS + 204, "sizes": {"logs": 204, "audit": None}}
