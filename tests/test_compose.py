"""docker-compose.yml: valid, pinned, and of one mind with the configuration that its services get."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from fdr.lake.compose import places
from fdr.lake.compose.places import Places, Software
from fdr.lake.compose.write import write_all
from fdr.lake.keeper.programs import DAEMONS
from fdr.rucio_door import THREADS
from fdr.scenario.load import load_scenario
from tests import compose_file
from tests.compose_file import FILE, ROOT, ComposedService

SERVICES = compose_file.read()
ONCE = {"configuration", "rucio-package", "bootstrap", "delegation"}
PATH = re.compile(r"/srv/[\w./-]*[\w]")
PORTS = dict([places.DATABASE, places.BROKER, places.RUCIO, places.FTS, places.FTS_DATABASE])
PORTS |= dict.fromkeys(places.STORAGES, places.STORAGE_PORT)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service ``configuration`` writes."""
    directory = tmp_path_factory.mktemp("lake")
    write_all(directory, Places(), Software())
    return directory


def validated(file: Path) -> subprocess.CompletedProcess[str]:
    """Hold a file against the JSON Schema of the compose specification."""
    tool = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(tool, capture_output=True, text=True, check=False, timeout=60)


def test_the_file_is_valid_by_the_compose_specification() -> None:
    """Its published JSON Schema takes it."""
    done = validated(FILE)
    assert done.returncode == 0, done.stdout


def test_the_validation_is_not_blind(tmp_path: Path) -> None:
    """A key that the specification does not know is refused."""
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(FILE.read_text().replace("    attach: false\n", "    atach: false\n", 1))
    done = validated(broken)
    assert done.returncode == 1
    assert "atach" in done.stdout


def mentioned(service: ComposedService) -> set[str]:
    """Return every path below /srv that a service's own lines name, with its variables filled in."""
    text = " ".join((*service.words, *service.environment.values(), *service.health))
    for name, value in service.environment.items():
        text = text.replace(f"${name}", value)
    text = text.replace("$own", f"/srv/storage/{service.name}")
    return set(PATH.findall(text))


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_path_is_written_and_mounted(service: ComposedService, written: Path) -> None:
    """What a service reads below /srv/lake has been written there, and the volume is mounted."""
    for path in mentioned(service):
        mounted = [where for where in service.mounts if path == where or path.startswith(f"{where}/")]
        if path.startswith("/srv/lake/"):
            assert mounted == ["/srv/lake"], f"{service.name} does not see {path}"
            assert (written / path.removeprefix("/srv/lake/")).exists(), f"nobody writes {path}"
        elif path.startswith("/srv/storage"):
            assert mounted == ["/srv/storage"]
        else:
            assert path.startswith(str(Places().server)), f"{service.name}: what is {path}?"


CONFIGURED = {
    "rucio/rucio.cfg": "daemons",
    "rucio/alembic.ini": "bootstrap",
    "rucio/httpd.conf": "rucio",
    "client/rucio.cfg": "fdr",
    "activemq/activemq.xml": "activemq",
    "fts/fts3config": "fts",
    "fts/fts3restconfig": "fts",
    **{f"{name}/xrootd.cfg": name for name in places.STORAGES},
}


@pytest.mark.parametrize("file", CONFIGURED)
def test_every_path_in_a_configuration_is_seen_by_who_reads_it(file: str, written: Path) -> None:
    """A path that one service is told is a file that was written, or a place that its own lines make."""
    service = SERVICES[CONFIGURED[file]]
    text = (written / file).read_text()
    for path in set(PATH.findall(text)):
        if path.startswith("/srv/lake/"):
            assert "/srv/lake" in service.mounts
            assert (written / path.removeprefix("/srv/lake/")).exists(), f"{file}: nobody writes {path}"
        else:
            made = {parent for one in mentioned(service) for parent in (one, str(Path(one).parent))}
            assert path in made or path.startswith(f"{Places().server}/"), f"{file}: nobody makes {path}"


def test_all_that_is_written_is_read_by_a_service_that_is_known() -> None:
    """No configuration is written for nobody."""
    assert set(CONFIGURED.values()) <= set(SERVICES)
    assert all(any(name in path for path in mentioned(SERVICES["rucio"])) for name in ("httpd.conf",))


def test_hosts_and_ports_are_those_of_the_configuration(written: Path) -> None:
    """Every host that a configuration names is a service, and it is named with the port it listens at."""
    assert set(PORTS) <= set(SERVICES)
    for file in CONFIGURED:
        for host, port in re.findall(r"(?<![\w.])(\w+):(\d{2,5})\b", (written / file).read_text()):
            if host in SERVICES:
                assert int(port) == PORTS[host], f"{file}: {host}:{port}"
    apache = (written / "rucio/httpd.conf").read_text()
    assert f"Listen {places.RUCIO[1]}" in apache
    assert f"<VirtualHost *:{places.RUCIO[1]}>" in apache
    assert f"stomp://0.0.0.0:{places.BROKER[1]}" in (written / "activemq/activemq.xml").read_text()
    for name in places.STORAGES:
        assert f"xrd.port {places.STORAGE_PORT}\n" in (written / name / "xrootd.cfg").read_text()


@pytest.mark.parametrize("host", PORTS)
def test_a_health_check_asks_at_the_port_that_others_use(host: str) -> None:
    """And by the service's own name, as the others do."""
    service = SERVICES[host]
    text = " ".join(service.health).replace("$XRDHOST", service.environment.get("XRDHOST", ""))
    assert str(PORTS[host]) in text
    assert host in text


def test_every_certificate_is_for_a_service(written: Path) -> None:
    """Each host with a certificate is a service, and the certificate names it as others call it."""
    from cryptography import x509

    for host in places.HOSTS:
        assert host in SERVICES
        made = x509.load_pem_x509_certificate((written / "certificates" / f"{host}.pem").read_bytes())
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert host in names.get_values_for_type(x509.DNSName)


def test_databases_are_who_they_are_said_to_be(written: Path) -> None:
    """User, database and password of both databases are those that Rucio and FTS log in with."""
    database, fts = SERVICES["ruciodb"].environment, SERVICES["ftsdb"].environment
    password = (written / "passwords/database").read_text()
    parser = ConfigParser(interpolation=None)
    parser.read(written / "rucio/rucio.cfg")
    assert parser["database"]["default"] == (
        f"postgresql+psycopg://{database['POSTGRES_USER']}:{password}@ruciodb:5432/{database['POSTGRES_DB']}"
    )
    assert parser["alembic"]["cfg"] in {f"/srv/lake/{name}" for name in CONFIGURED}
    assert database["POSTGRES_PASSWORD_FILE"] == "/srv/lake/passwords/database"
    password = (written / "passwords/fts-database").read_text()
    for name in ("fts3config", "fts3restconfig"):
        lines = (written / "fts" / name).read_text().splitlines()
        assert f"DbUserName={fts['MYSQL_USER']}" in lines
        assert f"DbPassword={password}" in lines
        assert f"DbConnectString=ftsdb/{fts['MYSQL_DATABASE']}" in lines
    assert fts["MYSQL_PASSWORD_FILE"] == "/srv/lake/passwords/fts-database"


def test_the_broker_takes_whom_rucio_and_fdr_send(written: Path) -> None:
    """One user, one password, one topic."""
    server, client = ConfigParser(interpolation=None), ConfigParser(interpolation=None)
    server.read(written / "rucio/rucio.cfg")
    client.read(written / "client/rucio.cfg")
    hermes, fdr = server["messaging-hermes"], client["fdr"]
    assert hermes["destination"] == fdr["broker_topic"]
    assert (hermes["brokers"], hermes["nonssl_port"]) == (fdr["broker_host"], fdr["broker_port"])
    assert (hermes["username"], hermes["password"]) == (fdr["broker_user"], fdr["broker_password"])
    xml = (written / "activemq/activemq.xml").read_text()
    assert f'username="{fdr["broker_user"]}" password="{fdr["broker_password"]}"' in xml


def test_rucio_is_of_one_version() -> None:
    """The image, the package put into it, and the embedded lake have the same Rucio."""
    embedded = re.search(r"^rucio==(\S+)", (ROOT / "fdr/lake/requirements.txt").read_text(), re.MULTILINE)
    assert embedded is not None
    assert SERVICES["rucio"].image.endswith(f":release-{embedded[1]}")
    assert f"rucio=={embedded[1]}" in " ".join(SERVICES["rucio-package"].words)


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_image_is_pinned(service: ComposedService) -> None:
    """A tag with a version, or the image that is built from this tree."""
    name, _, tag = service.image.rpartition(":")
    assert name == "fdr" or re.search(r"\d+\.\d+", tag), service.image


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_volume_and_dependency_is_there(service: ComposedService) -> None:
    """The schema does not look at names; what ends is waited for to its end, what stays to its health."""
    assert {volume for volume, _ in service.mounts.values()} <= compose_file.volumes()
    for other, condition in service.depends_on.items():
        assert (condition == "service_completed_successfully") == (other in ONCE)
        assert condition != "service_healthy" or SERVICES[other].health


def test_what_ends_of_itself_ends_nothing_else() -> None:
    """--abort-on-container-exit looks at services that are attached to: that is fdr alone."""
    assert {name for name, service in SERVICES.items() if service.is_attached} == {"fdr"}


def test_only_the_configuration_writes_what_all_read() -> None:
    """Every other service sees the lake's configuration read-only."""
    writers = {name for name, one in SERVICES.items() if one.mounts.get("/srv/lake", ("", False))[1]}
    assert writers == {"configuration"}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_command_is_one_that_can_be_read(service: ComposedService) -> None:
    """Scripts are good shell, and modules of fdr that are run are there."""
    script = service.words[2] if service.words[:1] in {("bash",), ("sh",)} else ""
    done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for module in re.findall(r"-m (fdr[\w.]*)", " ".join(service.words)):
        path = ROOT / Path(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_what_the_rucio_image_runs_of_fdr_is_copied_and_is_python_39(written: Path) -> None:
    """That image has the Python of its distribution, 3.9, and only what is copied into the volume."""
    files = sorted((written / "code").rglob("*.py"))
    assert {"daemons.py", "bootstrap.py", "programs.py"} <= {file.name for file in files}
    for file in files:
        ast.parse(file.read_text(), feature_version=(3, 9))
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import fdr.lake.keeper.programs as p; print(len(p.DAEMONS))"],
        env={"PYTHONPATH": str(written / "code")},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == len(DAEMONS)


def test_the_server_is_never_asked_for_more_than_it_serves(written: Path) -> None:
    """It serves 16 requests at a time, as Rucio's development image does; fdr stays under that."""
    found = re.search(r"processes=(\d+) threads=(\d+)", (written / "rucio/httpd.conf").read_text())
    assert found is not None
    assert int(found[1]) * int(found[2]) == 16 > THREADS


def test_the_scenario_fits_the_storages() -> None:
    """scenarios/smoke.yaml, which is run unless SCENARIO says otherwise, has no more RSEs than there are."""
    scenario = load_scenario(ROOT / "scenarios" / f"{SERVICES['fdr'].environment['SCENARIO']}.yaml")
    assert len(scenario.rses) == len(places.STORAGES)


def test_no_secret_is_in_the_repository_and_each_lake_has_its_own(written: Path, tmp_path: Path) -> None:
    """Keys and passwords are made; made again they stay; they are readable by their owner only."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    marks = [f"-----BEGIN {kind}PRIVATE KEY-----" for kind in ("", "RSA ", "EC ")]
    for name in tracked.stdout.splitlines():
        text = (ROOT / name).read_bytes()
        assert not [mark for mark in marks if f"\n{mark}\n".encode() in text], name
    write_all(tmp_path, Places(), Software())
    names = ("passwords/database", "passwords/broker", "certificates/ca.key")
    assert all((tmp_path / name).read_bytes() != (written / name).read_bytes() for name in names)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    write_all(tmp_path, Places(), Software())
    assert before == {name: (tmp_path / name).read_bytes() for name in names}
    private = {file for file in written.rglob("*") if file.is_file() and file.stat().st_mode & 0o077 == 0}
    assert {written / name for name in names} | {written / "rucio/rucio.cfg"} <= private
