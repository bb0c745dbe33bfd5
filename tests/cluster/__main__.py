"""Do on a real cluster what README and docs/kubernetes.md say, and look whether it comes out so.

``python -m tests.cluster``, or ``make cluster-test``, as root: the first time it builds Kubernetes. The
cluster, a lake, and all that they start are in namespaces of Linux of their own, which end with the trial;
nothing of it can be reached from elsewhere. Users' commands are taken from the documents.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bare_root import build
from tests.cluster import kubernetes
from tests.cluster.archive import settings, write_archive
from tests.cluster.node import PAUSE
from tests.cluster.trial import IMAGE, Trial
from tests.kubernetes_files import ROOT

NEEDED = {  # programs, and the packages of Debian 12 that have them
    "containerd": "containerd",
    "ctr": "containerd",
    "etcd": "etcd-server",
    "go": "golang-go",
    "jq": "jq",
    "kubectl": "kubectl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "rsync": "rsync",
    "runc": "runc",
}
# A shell is the first process there: it takes care of the children that others leave behind.
ALONE = ["unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
SHELL = ["bash", "-c", 'ip link set lo up && "$@"; exit $?', "bash"]


def main() -> int:
    """Prepare what needs the network, and make the trial where there is none; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--alone-in", type=Path, help=argparse.SUPPRESS)
    folder: Path | None = parser.parse_args().alone_in
    if folder is not None:
        Trial(folder).make()
        return 0
    if missing := [package for program, package in NEEDED.items() if shutil.which(program) is None]:
        sys.exit(f"these are missing: {' '.join(missing)} (kubectl is to be 1.31 or newer, as in Debian 13)")
    kubernetes.install()
    folder = Path(tempfile.mkdtemp(prefix="fdr-cluster-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        image = build(ROOT / "Dockerfile")
        write_archive(IMAGE, image.layers, settings(image), folder / "fdr.tar")
        write_archive(PAUSE, image.layers, {"Cmd": ["/bin/sleep", "infinity"]}, folder / "pause.tar")
        trial = [sys.executable, "-m", "tests.cluster", "--alone-in", str(folder)]
        return subprocess.run([*ALONE, *SHELL, *trial], check=False).returncode
    finally:
        for path in sorted(Path("/sys/fs/cgroup").glob("*/kubepods/**/"), reverse=True):
            path.rmdir()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
