"""What a shell needs for the stock ``rucio`` command, and gfal2's, to talk to an embedded lake."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fdr.errors import LakeUnusable
from fdr.lake.install import lake_environment
from fdr.lake.storages import client_environment, lake_certificates

if TYPE_CHECKING:
    from fdr.lake.home import LakeHome


def exports(home: LakeHome) -> str:
    """Return shell commands to be evaluated. Raises LakeUnusable when there is no lake.

    No password is among them: the rucio.cfg they name holds it, and only its owner can read that.
    """
    if not home.client_cfg.exists():
        raise LakeUnusable(f"{home.directory}: there is no lake: run 'fdr lake up'")
    variables = {
        "RUCIO_HOME": str(home.client_home),
        "RUCIO_CONFIG": str(home.client_cfg),
        "RUCIO_ACCOUNT": "root",
        "FDR_LAKE_DIR": str(home.directory),
        **client_environment(lake_certificates(home)),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f"export PATH={shlex.quote(str(lake_environment() / 'bin'))}:$PATH")
    lines.append('export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1"')
    return "\n".join(lines)
