"""The Dockerfile, followed step by step in a bare Debian root; its fdr rehearses on the embedded lake."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from fdr import __version__
from fdr.connection import read_connection
from fdr.lake.home import LakeHome
from tests import bare_root, compose_file
from tests.bare_root import Image
from tests.compose_file import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a bare root is root's to make")
DOCKERFILE = ROOT / "Dockerfile"
USER = 1000
PLUGIN = "usr/lib/*/gfal2-plugins/libgfal_plugin_xrootd.so"


@pytest.fixture(scope="module")
def image() -> Image:
    """What the Dockerfile makes: two minutes the first time on a machine, then some seconds."""
    return bare_root.build(DOCKERFILE)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that the image's user can write to."""
    with tempfile.TemporaryDirectory(prefix="fdr-image-", dir="/var/tmp") as name:
        os.chown(name, USER, USER)
        yield Path(name)


def test_the_command_is_fdr_as_nobodys_root(image: Image) -> None:
    """Without arguments it prints its help; whoever runs in it is not root, and can write its runs."""
    assert "Full dress rehearsals" in image.start().stdout
    assert image.start(["--version"]).stdout == f"fdr {__version__}\n"
    script = "id -u; id -g; touch /runs/one && echo written; touch /opt/fdr/one"
    asked = image.start([script], entrypoint=["sh", "-c"])
    uid, gid, written, refused = asked.stdout.splitlines()
    assert (uid, gid, written) == (str(USER), str(USER), "written")
    assert "Permission denied" in refused


def test_the_health_check_is_one(image: Image, tmp_path: Path) -> None:
    """It passes with gfal2 and its plugins, and fails without one of them."""
    assert image.start(image.health, entrypoint=[]).returncode == 0
    plugin = next(file for layer in image.layers for file in layer.glob(PLUGIN))
    place = next(f"/{plugin.relative_to(layer)}" for layer in image.layers if plugin.is_relative_to(layer))
    nothing = tmp_path / "nothing"
    nothing.touch()
    done = image.start(image.health, entrypoint=[], mounts={nothing: place})
    assert done.returncode != 0
    assert "install gfal2-plugin-xrootd" in done.stdout


def test_it_works_on_a_read_only_root(image: Image) -> None:
    """Nothing is written outside of volumes and /tmp."""
    done = image.start(["plan", "scenarios/smoke.yaml"], read_only=True)
    assert done.returncode == 0, done.stdout
    assert "It fits" in done.stdout


@pytest.mark.lake
def test_the_fdr_in_it_passes_the_smoke_scenario(image: Image, lake: LakeHome, shared: Path) -> None:
    """With gfal2 and the packages of the image alone, given a rucio.cfg and a volume for runs."""
    connection = read_connection(lake.client_cfg)
    cfg = ConfigParser(interpolation=None)
    cfg.read(lake.client_cfg)
    for option in ("embedded_home", "copy_mode"):  # to the image it is a lake like any other
        del cfg["fdr"][option]
    with (shared / "rucio.cfg").open("w") as file:
        cfg.write(file)
    os.chown(shared / "rucio.cfg", USER, USER)
    (shared / "rucio.cfg").chmod(0o600)
    assert connection.x509_cert_dir is not None
    done = image.start(
        ["run", "scenarios/smoke.yaml", "--scale", "0.25", "--speed", "4", "--lake", "/runs/rucio.cfg"],
        environment={"RES_OPTIONS": "attempts:0", "COLUMNS": "100"},
        mounts={shared: "/runs", connection.x509_cert_dir: str(connection.x509_cert_dir)},
    )
    assert done.returncode == 0, done.stdout[-4000:]
    report = json.loads(next(shared.glob("*/report.json")).read_text())
    assert report["verdict"] == "pass"
    assert report["transfers"]["done"] == 48
    assert {file.stat().st_uid for file in shared.rglob("*")} == {USER}


def test_it_writes_the_configuration_of_a_composed_lake(image: Image, shared: Path) -> None:
    """As the service ``configuration`` of docker-compose.yml, by its own words, into an empty volume."""
    service = compose_file.read()["configuration"]
    done = image.start(entrypoint=service.words, arguments=[], mounts={shared: "/srv/lake"})
    assert done.returncode == 0, done.stdout
    assert (shared / "rucio" / "rucio.cfg").stat().st_uid == USER
    programs = shared / "code" / "fdr" / "lake" / "keeper" / "programs.py"
    assert programs.read_text() == (ROOT / "fdr/lake/keeper/programs.py").read_text()


def test_the_context_lets_in_what_is_copied_and_little_else() -> None:
    """.dockerignore names what the Dockerfile copies, and nothing more."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    steps = bare_root.instructions(DOCKERFILE.read_text())
    copied = {source for word, rest in steps if word == "COPY" for source in rest.split()[:-1]}
    assert let_in == copied


def test_a_step_that_fails_is_said_with_its_output(tmp_path: Path) -> None:
    """And leaves no layer behind that the next build would take for good."""
    text = DOCKERFILE.read_text().partition("\nENV")[0]
    broken = tmp_path / "Dockerfile"
    broken.write_text(f"{text}\nRUN echo because of this; exit 3\n")
    for _ in range(2):
        with pytest.raises(AssertionError, match="because of this"):
            bare_root.build(broken)
