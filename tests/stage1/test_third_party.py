"""A trigger of somebody else's package, really installed: found by its entry point by a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ENTRY_POINTS = """
[aione.triggers]
moon_phase = moonlight.phase
moon_glow = moonlight.glow:evaluate
moon_fall = moonlight.fall:evaluate
moon_gone = moonlight.nowhere:evaluate
"""
MODULES = {
    "__init__": "",
    "phase": """
        import numpy as np
        from aione.stage1 import TriggerInput, TriggerResult

        def evaluate(inputs: TriggerInput) -> TriggerResult:
            rsi, most = inputs.readings["rsi"], inputs.thresholds["rsi_oversold"]
            fired = rsi < most
            return TriggerResult(fired, fired.astype(np.int8), fired * 0.5, rsi, most, names=("rsi_oversold",))
    """,
    "glow": """
        import numpy as np
        from aione.stage1 import TriggerResult

        def evaluate(inputs):
            size = len(inputs.readings.symbols)
            return TriggerResult(
                np.ones(size, dtype=bool), np.zeros(size, dtype=np.int8), np.ones(size), np.ones(size), np.zeros(size)
            )
    """,
    "fall": """
        def evaluate(inputs):
            raise RuntimeError("the moon fell down")
    """,
}
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from conftest import Market
from aione.stage1 import canonical_name, run_stage1
from config.settings import load_settings

def run(**parts):
    one = Market().set("BUSDT", rsi=10.0)
    settings = load_settings(environ={}, overrides=parts)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    return {"active": list(found.triggers), "why": found.explain(1), "reasons": found.reasons(1)}

print(json.dumps({
    "plain": run(),
    "off": run(STAGE2_CONFIG={"switches": {"triggers": {"moon_glow": False, "moon_fall": False}}}),
    "weighted": run(STAGE1_MONITOR_PARAMS={"trigger_weights": {"moon_glow": 0.9}}),
    "name": canonical_name("moon_phase", load_settings(environ={})),
}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What a process says in which the distribution ``moonlight`` is installed."""
    site = tmp_path_factory.mktemp("site")
    package, info = site / "moonlight", site / "moonlight-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    for name, source in MODULES.items():
        (package / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moonlight\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{PROJECT}"},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def of(run, name):
    return next(trigger for trigger in run["why"]["triggers"] if trigger["name"] == name)


def test_it_is_found_by_its_name_and_takes_part(ran):
    assert ran["name"] == "moon_phase"
    assert {"moon_phase", "moon_glow"} <= set(ran["plain"]["active"])
    assert ran["plain"]["reasons"] == ["moon_glow", "rsi_oversold", "moon_phase"]


def test_it_is_explained_like_any_other(ran):
    phase, glow = of(ran["plain"], "moon_phase"), of(ran["plain"], "moon_glow")
    assert (phase["fired"], phase["counted"], phase["side"], phase["strength"]) == (True, True, 1, 0.5)
    assert (phase["value"], phase["threshold"], phase["layer"], phase["weight"]) == (10.0, 30.0, "global", 0.3)
    assert (glow["value"], glow["threshold"], glow["layer"]) == (1.0, 0.0, "trigger")


def test_it_has_a_switch(ran):
    assert "moon_glow" not in ran["off"]["active"]
    assert ran["off"]["reasons"] == ["rsi_oversold", "moon_phase"]
    assert list(ran["off"]["why"]["failures"]) == ["moon_gone"]


def test_it_has_a_weight(ran):
    assert of(ran["weighted"], "moon_glow")["weight"] == 0.9
    assert ran["weighted"]["why"]["evidence"] > ran["plain"]["why"]["evidence"]


def test_one_that_fails_and_one_that_is_not_there_are_named_and_the_run_goes_on(ran):
    failures = ran["plain"]["why"]["failures"]
    assert failures["moon_fall"] == "RuntimeError: the moon fell down"
    assert failures["moon_gone"].startswith("moonlight.nowhere:evaluate cannot be loaded: ModuleNotFoundError")
    assert not {"moon_fall", "moon_gone"} & set(ran["plain"]["active"])
    assert "rsi_oversold" in ran["plain"]["active"]
