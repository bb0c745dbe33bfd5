"""What CI servers are told agrees with their schemas, with fdr's commands, and with docker-compose.yml."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junit2htmlreport.parser import Junit

from fdr.journal.writer import Journal
from tests.made_up_run import make_up
from tests.small_scenario import SCENARIOS

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github" / "workflows" / "smoke.yml"
GITLAB = ROOT / "deploy" / "ci" / "gitlab-ci.yml"
COMPOSE = ROOT / "docker-compose.yml"
REPORT = ROOT / "deploy" / "ci" / "report"
SCHEMAS = {GITHUB: "vendor.github-workflows", GITLAB: "vendor.gitlab-ci"}
REHEARSE = "docker compose up --build --quiet-pull --abort-on-container-exit --exit-code-from fdr"

# Stands for Docker with the run's volume at $VOLUME: what deploy/ci/report asks of it, and nothing else.
DOCKER = f"""#!/bin/sh
case "$*" in
  "compose logs "*) echo "rucio-1  | started" ;;
  "compose cp fdr:/runs/. "*) cp -a "$VOLUME/." "$4" ;;
  "compose run --rm --no-deps -T --entrypoint fdr fdr "*)
    shift 8; echo "Creating a container" >&2
    FDR_RUNS=$VOLUME exec {shlex.quote(sys.executable)} -m fdr "$@" ;;
  *) echo "docker: unknown: $*" >&2; exit 64 ;;
esac
"""


def github() -> dict[str, Any]:
    """Return the one job of the workflow."""
    (found,) = yaml.safe_load(GITHUB.read_text())["jobs"].values()
    return found


def gitlab() -> dict[str, Any]:
    """Return the one job of the pipeline."""
    (found,) = yaml.safe_load(GITLAB.read_text()).values()
    return found


def validated(file: Path, schema: str) -> subprocess.CompletedProcess[str]:
    tool = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    return subprocess.run(tool, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_files_are_valid_by_their_servers_schemas(file: Path, tmp_path: Path) -> None:
    """By those that the servers publish; a key that is written wrong is seen."""
    told = validated(file, SCHEMAS[file])
    assert told.returncode == 0, told.stdout
    wrong = tmp_path / file.name
    wrong.write_text(re.sub(r"^( +)(timeout[a-z-]*):", r"\1time-outs:", file.read_text(), flags=re.MULTILINE))
    assert validated(wrong, SCHEMAS[file]).returncode == 1


def test_actions_and_images_are_pinned() -> None:
    """Actions to a commit, with its version beside it; images to a version."""
    uses = re.findall(r"uses: (.*)", GITHUB.read_text())
    assert len(uses) == 2
    for action in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action)
    for image in (gitlab()["image"], *gitlab()["services"]):
        assert re.fullmatch(r"docker\.io/library/docker:\d+\.\d+\.\d+(-dind)?", image)


def test_the_exit_code_is_the_verdict() -> None:
    """The rehearsal is a step of its own that nothing follows, and that nothing excuses."""
    steps = {step.get("name"): step for step in github()["steps"]}
    assert steps["Rehearse"]["run"] == REHEARSE
    assert "continue-on-error" not in GITHUB.read_text()
    assert gitlab()["script"] == [REHEARSE]
    assert "allow_failure" not in gitlab()


def test_what_was_measured_is_published_whatever_it_was() -> None:
    """JUnit, summary, page and journal, above all of a run that failed."""
    _, _, report, publish = github()["steps"]
    assert report["if"] == publish["if"] == "${{ !cancelled() }}"
    assert report["run"].splitlines() == [
        "deploy/ci/report runs/smoke",
        'cat runs/smoke/summary.md >>"$GITHUB_STEP_SUMMARY"',
    ]
    assert publish["with"]["path"] == "runs/smoke"
    assert gitlab()["after_script"][0] == "deploy/ci/report runs/smoke"
    artifacts = gitlab()["artifacts"]
    assert artifacts["when"] == "always"
    assert (artifacts["paths"], artifacts["reports"]) == (["runs/smoke/"], {"junit": "runs/smoke/junit.xml"})


def test_the_workflow_may_read_only() -> None:
    """It gets no more of the token than it needs."""
    assert yaml.safe_load(GITHUB.read_text())["permissions"] == {"contents": "read"}
    assert "secrets." not in GITHUB.read_text()


@pytest.fixture
def docker(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``docker`` is what this file says, and its volume is empty."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    (tmp_path / "volume").mkdir()
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "VOLUME": str(tmp_path / "volume"), "PYTHONPATH": str(ROOT)}


def test_the_report_is_taken_out_of_the_containers(docker: dict[str, str], tmp_path: Path) -> None:
    """Every file that is published is there, and nothing but the report is in it."""
    run = make_up(seed=2, trouble=0.3)
    directory = Path(docker["VOLUME"]) / "20261122T203015-7f3a"
    directory.mkdir()
    (directory / "scenario.yaml").write_bytes((SCENARIOS / "smoke.yaml").read_bytes())

    async def write() -> None:
        journal = Journal.create(directory / "journal.sqlite", run.started)
        journal.record(*run.events)
        await journal.close()

    asyncio.run(write())
    out = tmp_path / "out"
    done = subprocess.run(
        [str(REPORT), str(out)], env=docker, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        directory.name, "junit.xml", "report.html", "services.log", "summary.md"
    ]  # fmt: skip
    (suite,) = Junit(filename=str(out / "junit.xml")).suites
    assert suite.name == "smoke"
    assert (out / "summary.md").read_text().startswith("## smoke: ")
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert (out / directory.name / "journal.sqlite").exists()


def test_no_run_is_no_report(docker: dict[str, str], tmp_path: Path) -> None:
    """Where the lake did not come up, no server is shown an empty report that passes."""
    out = tmp_path / "out"
    done = subprocess.run(
        [str(REPORT), str(out)], env=docker, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "holds no run yet" in done.stderr
    assert not (out / "junit.xml").exists()


@pytest.mark.skipif(not COMPOSE.exists(), reason="there is no docker-compose.yml")
def test_the_service_is_the_one_of_the_compose_file() -> None:
    """Its runs lie on a volume that outlives it, and are found where fdr looks."""
    service = yaml.safe_load(COMPOSE.read_text())["services"]["fdr"]
    assert service["environment"]["FDR_RUNS"] == "/runs"
    (volume,) = (mount.split(":")[0] for mount in service["volumes"] if mount.split(":")[1] == "/runs")
    assert volume in yaml.safe_load(COMPOSE.read_text())["volumes"]
