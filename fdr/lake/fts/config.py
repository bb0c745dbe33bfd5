"""What the stand-in is told at its start: one small JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fdr.errors import LakeUnusable

COPY_MODES = ("third-party", "streamed")


@dataclass(frozen=True, slots=True)
class Config:
    """The stand-in's configuration.

    ``copy_mode`` is ``third-party`` (the storages move the bytes between them) or ``streamed`` (the
    bytes pass through here). ``workers`` processes copy one file each at a time. ``link_active`` and
    ``storage_active`` are the most transfers at once on one link, and into or out of one storage;
    ``web_storage_active`` is the latter for davs:// (one core serves no more, and XRootD 5.5.3 crashes now
    and then when many https connections come and go at once).
    ``operation_timeout_s`` bounds every step before and after a copy, ``transfer_timeout_s`` the copy
    of an empty file; 2 s are added per MiB, as FTS3 does. A job is forgotten ``keep_s`` after its end,
    or when ``keep_jobs`` younger ones have ended. ``bearer_token`` is never shown.
    """

    port: int
    state_dir: Path
    copy_mode: str = "third-party"
    x509_cert_dir: Path | None = None
    bearer_token: str | None = field(default=None, repr=False)
    workers: int = 32
    link_active: int = 16
    storage_active: int = 24
    web_storage_active: int = 2
    operation_timeout_s: int = 15
    transfer_timeout_s: int = 600
    keep_s: int = 86_400
    keep_jobs: int = 100_000
    vo: str = "fdr"
    user_dn: str = "/DC=fdr/CN=embedded lake"
    seed: int = 0


def config_text(config: Config) -> str:
    """Return a configuration as the text of its file. It may hold a secret: keep it private."""
    return json.dumps(asdict(config), indent=1, default=str)


def read_config(path: Path) -> Config:
    """Read a configuration file. Raises LakeUnusable with what is wrong, never with what it holds."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        unknown = content.keys() - {known.name for known in fields(Config)}
        if unknown:
            raise LakeUnusable(f"{path}: unknown keys: {', '.join(sorted(unknown))}")
        for name in ("state_dir", "x509_cert_dir"):
            if content.get(name) is not None:
                content[name] = Path(content[name])
        config = Config(**content)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LakeUnusable(
            f"{path}: is no configuration of the FTS stand-in ({type(error).__name__})"
        ) from error
    if config.copy_mode not in COPY_MODES:
        raise LakeUnusable(f"{path}: copy_mode: write one of {', '.join(COPY_MODES)}")
    return config
