"""Architecture is a test: who may import whom, and how large a module may grow."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("aione", "flows", "tasks", "blocks", "config", "deployments")
MODULES = sorted(path for name in PACKAGES for path in (PROJECT / name).rglob("*.py"))


def test_imports_go_downward_only():
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_module_stays_readable(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_repository_names_no_machine_and_no_registry():
    """Lock files, docs and configuration work anywhere."""
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if name == "tests/test_architecture.py":
            continue
        text = (PROJECT / name).read_bytes()
        for word in (b"--index-url", b"--extra-index-url", b"files.pythonhosted", b"/root/", b"/work/"):
            assert word not in text, f"{name} holds {word!r}"
