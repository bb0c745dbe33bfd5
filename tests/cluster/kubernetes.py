"""Kubernetes 1.20.2, built from the sources of Debian 12; those of later Debians hold kubectl alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

KEPT = Path("/var/cache/fdr/kubernetes-1.20.2")
SOURCES = "http://deb.debian.org/debian/pool/main/k/kubernetes/kubernetes_1.20.5+really1.20.2.orig.tar.gz"
SHA256 = "b83c0780efb182d928dc63d46488a847f161f04e40a94b96bf5247dd671ecdfc"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
BUILD_WITHIN_S = 3600


def install() -> Path:
    """Return the directory of Kubernetes' own programs; the first time, fetch and build them.

    Raises CalledProcessError when they cannot be built, ValueError when the sources are not those meant.
    """
    if KEPT.exists():
        return KEPT
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="fdr-kubernetes-") as folder:
        archive = Path(folder) / "sources.tar.gz"
        with urllib.request.urlopen(SOURCES, timeout=300) as sources, archive.open("wb") as file:
            shutil.copyfileobj(sources, file)
        if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != SHA256:
            raise ValueError(f"{SOURCES} has the sha256 {found}, not {SHA256}")
        subprocess.run(["tar", "-C", folder, "-xzf", archive], check=True)
        (sources_at,) = (path for path in Path(folder).iterdir() if path.is_dir())
        subprocess.run(
            ["make", "WHAT=" + " ".join(f"cmd/{program}" for program in PROGRAMS)],
            cwd=sources_at,
            env=os.environ | {"HOME": folder, "CGO_ENABLED": "0"},
            timeout=BUILD_WITHIN_S,
            check=True,
        )
        half = KEPT.with_suffix(".new")
        half.mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS:
            shutil.copy2(sources_at / "_output" / "bin" / program, half)
        half.rename(KEPT)
    return KEPT
