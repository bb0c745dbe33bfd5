"""The ESCAPE rehearsal of 2020, made small, runs on the embedded lake with all of its RSEs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fdr.lake.home import LakeHome
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import fdr

ESCAPE = SMOKE.with_name("escape-fdr-2020.yaml")

pytestmark = pytest.mark.lake


def test_nine_sciences_rehearse_on_fourteen_rses(lake: LakeHome, tmp_path: Path) -> None:
    """Every science's files are registered and every rule is kept, half a minute for the day."""
    changes = ["--scale", "0.0002", "--size-scale", "0.0001", "--speed", "2880"]
    done = fdr(lake, tmp_path, "run", ESCAPE, "--run-dir", tmp_path / "run", *changes)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    experiments = report["experiments"]
    assert len(experiments) == 9, done.stdout
    assert len(report["rses"]) == 14
    told = {service["service"] for service in report["services"]}
    assert {f"xrootd-{use['rse']}" for use in report["rses"]} <= told
    for name, experiment in experiments.items():
        files, rules = experiment["files"], experiment["rules"]
        assert files["registered"] == files["planned"] > 0, name
        assert rules["ok"] == rules["planned"] > 0, name
    assert done.returncode == 0, done.stdout
