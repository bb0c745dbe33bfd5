"""Images of containers as archives, which containerd imports: no engine makes them here."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bare_root import Image


def settings(image: Image) -> dict[str, Any]:
    """Return how an image's containers start, in the words of image archives."""
    return {
        "Env": [f"{name}={value}" for name, value in image.environment.items()],
        "WorkingDir": image.directory,
        "User": image.user,
        "Entrypoint": list(image.entrypoint),
        "Cmd": list(image.command),
    }


def write_archive(name: str, layers: Sequence[Path], config: dict[str, Any], to: Path) -> None:
    """Write an image of some layers, the lowest first, as an archive of the form that ``docker save`` has.

    Layers of ``tests.bare_root`` hide files in the way of overlay file systems, which archives have another
    way for: they become one layer here.
    """
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        layer = Path(folder) / "layer.tar"
        _flatten(layers, layer)
        digest = hashlib.sha256(layer.read_bytes()).hexdigest()
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
        described = _json({"architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs})
        config_name = f"{hashlib.sha256(described).hexdigest()}.json"
        manifest = _json([{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}])
        with tarfile.open(to, "w") as archive:
            for member, content in ((config_name, described), ("manifest.json", manifest)):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            archive.add(layer, f"{digest}/layer.tar")


def _flatten(layers: Sequence[Path], to: Path) -> None:
    """Archive what layers are together, by a mount that nobody else sees."""
    script = 'mount -t overlay overlay -o "lowerdir=$1" "$2"; tar --numeric-owner -C "$2" -cf "$3" .'
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as place:
        lower = ":".join([*(str(layer) for layer in reversed(layers)), empty])  # one alone cannot be mounted
        subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script, "sh", lower, place, str(to)], check=True, timeout=300
        )


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
