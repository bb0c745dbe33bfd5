"""Write the configuration of every service of docker-compose.yml, certificates and passwords included."""

from __future__ import annotations

import shutil
from pathlib import Path

import fdr
from fdr.errors import LakeUnusable
from fdr.lake import keeper, rucio_cfg, xrootd_cfg
from fdr.lake.certificates import UserCertificates, make_certificates, make_user
from fdr.lake.compose import texts
from fdr.lake.compose.places import (
    BROKER,
    DATABASE,
    HOSTS,
    ROBOT,
    RUCIO,
    STORAGE_PORT,
    STORAGES,
    Passwords,
    Places,
    Software,
)
from fdr.lake.rucio_cfg import BrokerAccess, ServerParts, client_sections, server_sections
from fdr.lake.settings import new_password, write_private
from fdr.lake.signing import KeyKind

PULLER = "/usr/bin/xrdcp --server"
READ_BY_OTHERS = {"xrootd.cfg"}  # by the user that XRootD runs as; there is no secret in it


def write_all(directory: Path, places: Places, software: Software) -> None:
    """Write everything into a directory that the containers know as ``places.lake``.

    Doing it again keeps passwords and certificates that are good. Raises LakeUnusable when it cannot be
    written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        passwords = _passwords(directory / "passwords")
        robot = _certificates(directory / "certificates")
        for name, content in _contents(places, software, passwords, robot.name).items():
            file = directory / name
            file.parent.mkdir(exist_ok=True)
            write_private(file, content)
            if file.name in READ_BY_OTHERS:
                file.chmod(0o644)
        _copy_code(directory / "code")
    except OSError as error:
        raise LakeUnusable(f"{directory}: the lake's configuration cannot be written: {error}") from error


def _contents(places: Places, software: Software, passwords: Passwords, robot: str) -> dict[str, str]:
    """Return what each file holds, by its name below the lake's directory."""
    broker = BrokerAccess(*BROKER, ROBOT, passwords.broker, BROKER[0])
    host, port = DATABASE
    url = f"postgresql+psycopg://rucio:{passwords.database}@{host}:{port}/rucio"
    certificates = places.certificates
    ca_dir = certificates / "ca"
    server = ServerParts(
        database_url=url,
        alembic=str(places.lake / "rucio" / "alembic.ini"),
        traces="/tmp",
        broker=broker,
        bootstrap={"x509_identity": robot, "x509_email": "fdr@localhost"},
        conveyor={
            "scheme": "root",
            "usercert": str(certificates / f"{ROBOT}.both"),
            "cacert": str(ca_dir / "fdr-lake-ca.pem"),
        },
    )
    identity = {
        "auth_type": "x509",
        "client_cert": str(certificates / f"{ROBOT}.pem"),
        "client_key": str(certificates / f"{ROBOT}.key"),
        "ca_cert": str(ca_dir / "fdr-lake-ca.pem"),
    }
    client = client_sections(
        f"https://{RUCIO[0]}:{RUCIO[1]}", identity, broker, {}, {"x509_cert_dir": str(ca_dir)}
    )
    return {
        "rucio/rucio.cfg": rucio_cfg.text(server_sections(server)),
        "rucio/alembic.ini": rucio_cfg.alembic(str(software.rucio / "db/sqla/migrate_repo"), url),
        "rucio/httpd.conf": texts.apache(places, software),
        "client/rucio.cfg": rucio_cfg.text(client),
        "activemq/activemq.xml": texts.activemq(broker),
        "fts/fts3config": texts.fts_server(passwords.fts_database),
        "fts/fts3restconfig": texts.fts_rest(passwords.fts_database),
        **{f"{name}/xrootd.cfg": _storage(places, name) for name in STORAGES},
    }


def _storage(places: Places, name: str) -> str:
    own = places.storage / name
    ca_dir = places.certificates / "ca"
    return xrootd_cfg.text(
        xrootd_cfg.storage(own, own / "admin", STORAGE_PORT),
        xrootd_cfg.third_party(PULLER, with_credentials=True),
        xrootd_cfg.gsi(places.certificates / f"{name}.pem", own / "host.key", ca_dir),
    )


def _certificates(directory: Path) -> UserCertificates:
    for host in HOSTS:
        made = make_certificates(directory, [host, "localhost"], host=host, kind=KeyKind.RSA)
    return make_user(directory, made, ROBOT)


def _passwords(directory: Path) -> Passwords:
    """Return the passwords that are there, or new ones; each stands in a file of its own."""
    directory.mkdir(exist_ok=True)
    names = Passwords("", "", "").files()
    for name in names:
        if not (directory / name).is_file():
            write_private(directory / name, new_password())
    database, broker, fts_database = ((directory / name).read_text() for name in names)
    return Passwords(database, broker, fts_database)


def _copy_code(directory: Path) -> None:
    """Copy what the Rucio image runs of fdr, with the empty packages it lies in."""
    source, parts = Path(fdr.__file__).parent, ("", "lake")
    shutil.rmtree(directory, ignore_errors=True)
    package = directory / "fdr"
    for part in parts:
        (package / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(source / part / "__init__.py", package / part)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(keeper.__file__).parent, package / "lake" / "keeper", ignore=ignored)
