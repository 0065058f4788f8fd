"""The page of Stage2 names everything that Stage2 has, with the defaults that are in force."""

from __future__ import annotations

import re
from pathlib import Path

from aione.stage2 import ANOMALIES, FACTORS, GATES, SCENARIOS
from aione.stage2.confidence import QUALITIES
from aione.stage2.inputs import FACTOR_INPUTS
from aione.stage2.recommend import TABLE, WORDS
from config.models import FactorWeights, RecoThresholds, RiskParams, Stage2Config
from config.settings import RECOMMENDATIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "stage2.md").read_text("utf-8")


def rows(heading):
    """The cells of each line of the first table below a heading."""
    part = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines][2:]


def test_every_name_is_on_the_page():
    for name in (*SCENARIOS, *RECOMMENDATIONS, *FACTORS, *QUALITIES, *ANOMALIES, *GATES):
        assert name in PAGE


def test_every_factor_has_a_row_with_its_inputs():
    table = {cells[0].strip("`"): cells[-1] for cells in rows("Factors")}
    assert tuple(table) == FACTORS
    for factor, names in FACTOR_INPUTS.items():
        for name in names:
            kind, plain = name.split(".")
            shown = re.sub(r"range_(high|low)", "range_*", plain)
            assert ("levels" if kind == "levels" else f"`{shown}`") in table[factor], name


def test_defaults_are_those_in_force():
    for model in (RecoThresholds(), RiskParams()):
        for name, value in model.model_dump().items():
            for told in re.findall(rf"`{name}`\s\((\d[^)]*)\)", PAGE):
                numbers = [float(part) for part in re.findall(r"\d+\.?\d*", told)]
                assert numbers == list(value if isinstance(value, tuple) else [value]), name
    told = {name for name in RecoThresholds.model_fields if re.search(rf"`{name}`\s\(\d", PAGE)}
    assert told == set(RecoThresholds.model_fields)


def test_weights_are_those_in_force():
    own = Stage2Config().scenario_weights
    columns = ("BULLISH_BREAKOUT", "BULLISH_REVERSAL", "RANGE_BOUND")
    table = {cells[0]: cells[1:] for cells in rows("Direction and confidence")[: len(FACTORS)]}
    assert tuple(table) == FACTORS
    for name, cells in table.items():
        assert float(cells[0]) == getattr(FactorWeights(), name)
        for scenario, cell in zip(columns, cells[1:], strict=True):
            assert (float(cell) if cell else None) == own[scenario].get(name), (name, scenario)


def test_the_table_is_the_table():
    table = rows("The table")[: len(TABLE)]
    assert [int(cells[0]) for cells in table] == list(range(len(TABLE)))
    for row, cells in zip(TABLE, table, strict=True):
        assert cells[-1].split(", ") == list(dict.fromkeys(WORDS[row.word]))
        assert ("against" in cells[2]) == row.against
        assert ("risk" in cells[2]) == (row.risk != ("low", "extreme"))


def test_decisions_it_points_to_exist():
    for path in re.findall(r"\]\(([^)]+\.md)\)", PAGE):
        assert (DOCS / path).is_file(), path
