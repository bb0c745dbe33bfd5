"""The virtual environment of the lake's services: Rucio, gunicorn, coilmq and supervisor."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.errors import LakeUnusable

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
COMPLETE = ".fdr-complete"
LINES_SHOWN = 15


def lake_environment() -> Path:
    """Return where the lake's virtual environment is, or would be.

    FDR_LAKE_VENV names it; otherwise it lies in a cache directory, under a name that follows the
    requirements and the Python that runs it, so that a new fdr never runs on an old environment.
    """
    named = os.environ.get("FDR_LAKE_VENV")
    if named:
        return Path(named).absolute()
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode() + str(_base_python()).encode())
    if os.geteuid() == 0:
        cache = Path("/var/cache/fdr")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fdr"
    return cache / f"lake-{key.hexdigest()[:16]}"


def lake_python() -> Path:
    """Return the Python of the lake's environment."""
    return lake_environment() / "bin" / "python"


def is_installed() -> bool:
    """Tell whether the environment is there and complete."""
    return (lake_environment() / COMPLETE).is_file()


def install(say: Callable[[str], None]) -> Path:
    """Make the environment unless it is there, and return its Python. Raises LakeUnusable.

    It is complete only when a mark in it says so; what an earlier, broken attempt left is removed.
    """
    environment = lake_environment()
    if is_installed():
        return lake_python()
    gfal2 = _gfal2_module()
    try:
        environment.parent.mkdir(parents=True, exist_ok=True)
        lock = environment.with_name(environment.name + ".lock").open("w")
    except OSError as error:
        raise LakeUnusable(
            f"{environment.parent}: cannot be written: {error.strerror}: name another place in FDR_LAKE_VENV"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # somebody else may be at it: then it is there afterwards
        if not is_installed():
            _make(environment, gfal2, say)
    return lake_python()


def _make(environment: Path, gfal2: Path, say: Callable[[str], None]) -> None:
    if environment.exists():
        if not (environment / "pyvenv.cfg").exists():
            raise LakeUnusable(
                f"{environment}: is not a virtual environment: name another one in FDR_LAKE_VENV"
            )
        shutil.rmtree(environment)
    say(f"installing the lake's software in {environment} (about a minute, once)")
    _run([str(_base_python()), "-m", "venv", str(environment)], "making a virtual environment")
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    _run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)], "installing the lake's Python packages")
    _link(gfal2, environment)
    (environment / COMPLETE).touch()


def _base_python() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable))


def _gfal2_module() -> Path:
    found = importlib.util.find_spec("gfal2")
    candidates = [Path(found.origin)] if found and found.origin else []
    candidates += sorted(Path("/usr/lib/python3/dist-packages").glob("gfal2.*.so"))
    if not candidates:
        raise LakeUnusable("the Python module gfal2 is missing: run tools/install-system")
    return candidates[0].resolve()


def _link(module: Path, environment: Path) -> None:
    """Make one module of the system visible in the environment, and nothing else of the system."""
    for packages in environment.glob("lib/python*/site-packages"):
        link = packages / module.name
        link.unlink(missing_ok=True)
        link.symlink_to(module)


def _run(command: list[str], doing: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LakeUnusable(f"{doing}: {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-LINES_SHOWN:]
        raise LakeUnusable("\n".join([f"{doing} failed; the last lines said:", *lines]))
