"""The tests' lake as if it were another's."""

from __future__ import annotations

import configparser
from pathlib import Path

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
