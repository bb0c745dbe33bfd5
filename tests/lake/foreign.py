"""The tests' lake as if it were another's."""

from __future__ import annotations

import configparser
from pathlib import Path

from fdr.connection import read_connection
from fdr.lake.home import LakeHome


def foreign_cfg(lake: LakeHome, path: Path, **client: str) -> Path:
    """Write the lake's rucio.cfg as if the lake were another's, with changes in ``[client]``."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(lake.client_cfg)
    parser.remove_option("fdr", "embedded_home")
    parser["client"].update(client)
    if "password" in client:
        for section in [name for name in parser.sections() if name.startswith("fdr-account-")]:
            parser.remove_section(section)
    with path.open("w") as file:
        parser.write(file)
    return path


def fill_secret(lake: LakeHome, secret: Path) -> None:
    """Keep in a directory what fdr needs of a lake that is not its own: rucio.cfg, and the storages' CA."""
    certificates = Path(read_connection(lake.client_cfg).x509_cert_dir or "")
    for ca in certificates.iterdir():
        (secret / ca.name).write_bytes(ca.read_bytes())
    cfg = foreign_cfg(lake, secret / "rucio.cfg", account="ska")
    cfg.write_text(cfg.read_text().replace(str(certificates), "/srv/lake"))
