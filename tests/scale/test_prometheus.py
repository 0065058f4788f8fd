"""The alert rules ask for metrics that exist, of targets that exist, and each is tested."""

from __future__ import annotations

import re

import pytest
import yaml

from aione.metrics import METRICS

from .compose import PROJECT
from .test_compose import OURS

RULES = PROJECT / "deployments" / "prometheus"
ALERTS = [
    rule
    for group in yaml.safe_load((RULES / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
NAME = re.compile(r"\b((?:aione|stage1|stage2|ws|symbols|prefilter)_\w+)(\{[^}]*\})?")
ADDED_BY_SCRAPING = {"shard", "job", "instance"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_a_metric_that_is_served_and_says_what_to_do(rule):
    for name, labels in NAME.findall(rule["expr"]):
        metric = METRICS[name.removesuffix("_bucket")]
        assert (metric.kind == "histogram") == name.endswith("_bucket")
        assert set(re.findall(r"(\w+)=", labels)) <= {*metric.labels, "le"}
    grouped = {label.strip() for found in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in found.split(",")}
    served = {label for name, _ in NAME.findall(rule["expr"]) for label in METRICS[name.removesuffix("_bucket")].labels}
    assert grouped <= served | ADDED_BY_SCRAPING | {"le"}
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["what_to_do"]


def test_every_alert_is_seen_to_fire():
    tested = (RULES / "rules.test.yaml").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in ALERTS if f'alertname="{rule["alert"]}"' not in tested] == []


def test_every_stream_worker_is_asked_at_the_port_it_serves():
    jobs = yaml.safe_load((RULES / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {target for group in jobs[0]["static_configs"] for target in group["targets"]}
    streams = {name: one["environment"] for name, one in OURS.items() if name.startswith("stream")}
    assert targets == {f"{name}:{environment['AIONE_METRICS_PORT']}" for name, environment in streams.items()}
    assert all(environment["AIONE_METRICS_HOST"] == "0.0.0.0" for environment in streams.values())
    assert jobs[1]["dns_sd_configs"][0]["names"] == ["prefect-server"]
    assert OURS["prefect-server"]["environment"]["PREFECT_SERVER_METRICS_ENABLED"] == "true"
