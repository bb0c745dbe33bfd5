"""The FTS stand-in as the supervisor runs it."""

from __future__ import annotations

import sys
from pathlib import Path

from fdr.errors import LakeUnusable
from fdr.lake.fts.config import Config, config_text
from fdr.lake.service import Service
from fdr.lake.settings import write_private


def fts_service(config_path: Path, python: str = sys.executable, priority: int = 100) -> Service:
    """Return the stand-in, run by fdr's own Python with a configuration that ``write_fts_config`` wrote."""
    return Service(name="fts", command=(python, "-m", "fdr.lake.fts", str(config_path)), priority=priority)


def write_fts_config(
    path: Path,
    *,
    port: int,
    state_dir: Path,
    copy_mode: str,
    x509_cert_dir: Path | None = None,
    bearer_token: str | None = None,
) -> None:
    """Write the stand-in's configuration so that only its owner can read it.

    ``port`` is one of 127.0.0.1; ``state_dir`` keeps the jobs; ``copy_mode`` is ``third-party`` or
    ``streamed``; ``x509_cert_dir`` holds the CA of the storages, ``bearer_token`` is what they take. Other
    settings keep the defaults of ``fdr.lake.fts.config.Config``. Raises LakeUnusable when it cannot be
    written.
    """
    config = Config(
        port=port,
        state_dir=state_dir,
        copy_mode=copy_mode,
        x509_cert_dir=x509_cert_dir,
        bearer_token=bearer_token,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, config_text(config))
    except OSError as error:
        raise LakeUnusable(f"{path}: cannot be written: {error.strerror}") from error
