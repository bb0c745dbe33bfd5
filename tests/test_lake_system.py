"""tools/install-system: quick when all is there, and one message when it cannot help."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

TOOL = Path(__file__).parents[1] / "tools" / "install-system"
BASICS = ("bash", "cat", "chmod", "env", "mktemp", "mkdir", "rm", "rmdir", "tail")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the tool on a machine that has only a shell and the programs given as text."""

    def run(**programs: str) -> subprocess.CompletedProcess[str]:
        bin_ = tmp_path / "bin"
        bin_.mkdir()
        for name in BASICS:
            (bin_ / name).symlink_to(shutil.which(name) or name)
        for name, text in programs.items():
            program = bin_ / name.replace("_", "-")
            program.write_text(f"#!{shutil.which('bash')}\n{text}\n")
            program.chmod(0o755)
        return subprocess.run(
            [str(TOOL)],
            env={"PATH": str(bin_), "PYTHON": "/nonexistent/python", "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_nothing_is_done_where_all_is_there() -> None:
    """This machine has it all, or the other tests of the lake could not run."""
    done = subprocess.run([str(TOOL)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_root_one_message_names_what_is_missing(
    machine: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """With the commands for Debian, Ubuntu and EL 9, and exit code 5."""
    done = machine(id="echo 1000", apt_get="echo must not be run >&2; exit 1")
    assert done.returncode == 5
    assert done.stderr.startswith("fdr: these system packages are missing: python3 ")
    assert "xrootd-server" in done.stderr
    assert all(system in done.stderr for system in ("Debian 12", "Ubuntu", "EL 9"))
    assert "must not be run" not in done.stderr


def test_as_root_with_apt_the_missing_packages_are_installed(
    machine: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """No others, and without questions."""
    log = tmp_path / "apt.log"
    done = machine(id="echo 0", apt_get=f'echo "$DEBIAN_FRONTEND $*" >>{log}')
    assert done.returncode == 0, done.stderr
    update, install = log.read_text().splitlines()
    assert update == "noninteractive update"
    assert install.startswith("noninteractive install --yes --no-install-recommends python3 ")
    assert "xrootd-client" in install


def test_when_apt_fails_the_end_of_its_output_is_shown(
    machine: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Exit code 5: the machine, not fdr, is at fault."""
    done = machine(id="echo 0", apt_get="echo E: no network; exit 100")
    assert done.returncode == 5
    assert done.stderr.rstrip().endswith("E: no network")
