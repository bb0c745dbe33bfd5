"""The documents say what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAP = (ROOT / "docs" / "whats-here.md").read_text()
MODULES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "fdr").rglob("*.py") if path.read_text().strip()
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_module_is_on_the_map() -> None:
    """A module that is new, moved or gone changes docs/whats-here.md too."""
    told = set(re.findall(r"`(fdr/[\w/]+\.py)`", MAP))
    assert told == set(MODULES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link within the project names a file that is there."""
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_names_every_command() -> None:
    """What fdr --help lists stands in the README."""
    done = subprocess.run(
        [sys.executable, "-m", "fdr", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    commands = set(re.findall(r"^│ ([a-z]+) ", done.stdout, re.MULTILINE))
    assert {"run", "plan", "report", "lake"} <= commands
    readme = (ROOT / "README.md").read_text()
    assert [command for command in sorted(commands) if f"fdr {command}" not in readme] == []


FAULTS = re.findall(r"^\|(.*)\|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)[2:]


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.split("|")[0].strip())
def test_every_fault_names_a_test_that_exists(row: str) -> None:
    """A row of docs/faults.md says what happens, what is reported, what is lost, and where that is tested."""
    cells = [cell.strip() for cell in row.split("|")]
    assert len(cells) == 5
    assert all(cells)
    tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", cells[-1])
    assert tests
    for file, name in tests:
        text = (ROOT / "tests" / "lake" / file).read_text()
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{file} has no {name}"
