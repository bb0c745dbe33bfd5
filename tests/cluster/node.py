"""One node of Kubernetes and its control plane, in the namespaces of Linux that they start in."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import kubernetes

ADDRESS = "10.99.0.1"  # of the node: Kubernetes takes no loopback address
PODS = "10.88.0.0/24"  # their addresses
SERVER = "https://127.0.0.1:6443"
STORE = "http://127.0.0.1:2379"
NODE = "node"
PAUSE = "registry.k8s.io/pause:3.2"
UP_WITHIN_S = 120
# Places that cannot be chosen, where the node's programs keep what nobody needs after them.
HIDDEN = (
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
USERS = {
    "admin": "system:masters",
    f"system:node:{NODE}": "system:nodes",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
}


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up; ``folder`` holds all that it writes."""

    folder: Path

    def kubectl(self, *words: str, within_s: float = 60, check: bool = True) -> str:
        """Run kubectl as an administrator; return what it said, raise AssertionError when it failed."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.folder / "admin.conf"), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            check=False,
        )
        assert done.returncode == 0 or not check, f"kubectl {' '.join(words)}\n{done.stdout}"
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        """Return an object, or a list of objects under ``items``."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "--output=json"))
        return found

    def make(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, as an administrator of the cluster does."""
        path = self.folder / "objects.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        self.kubectl("apply", "--filename", str(path))

    def take(self, archive: Path) -> None:
        """Have the node hold an image, as if it had pulled it."""
        socket = str(self.folder / "containerd.sock")
        subprocess.run(
            ["ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", str(archive)],
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=300,
        )


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Bring a cluster up in an empty folder, and take it down.

    The network, process and mount namespace must be of its own, with a loopback that is up.
    """
    programs = kubernetes.install()
    up = Cluster(folder)
    _configure(folder)
    for place in HIDDEN:
        Path(place).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    with ExitStack() as stack:

        def start(name: str, *words: object) -> None:
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.kill)  # nothing that they keep is needed after them

        start(
            "etcd",
            "etcd",
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls={STORE}",
            f"--advertise-client-urls={STORE}",
        )
        start("containerd", "containerd", "--config", folder / "containerd.toml")
        start(
            "apiserver",
            programs / "kube-apiserver",
            f"--etcd-servers={STORE}",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/service-accounts.key",
            f"--service-account-signing-key-file={folder}/service-accounts.key",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--bind-address=127.0.0.1",
            "--secure-port=6443",
            f"--advertise-address={ADDRESS}",
            f"--cert-dir={folder}/certificates",
            "--kubelet-preferred-address-types=InternalIP",
        )
        until("the API server is ready", lambda: "ok" in up.kubectl("get", "--raw", "/readyz", check=False))
        here = ("--leader-elect=false", "--bind-address=127.0.0.1", f"--cert-dir={folder}/certificates")
        start(
            "controller-manager",
            programs / "kube-controller-manager",
            f"--kubeconfig={folder}/system:kube-controller-manager.conf",
            f"--service-account-private-key-file={folder}/service-accounts.key",
            "--use-service-account-credentials",
            *here,
        )
        start(
            "scheduler",
            programs / "kube-scheduler",
            f"--kubeconfig={folder}/system:kube-scheduler.conf",
            *here,
        )
        start(
            "kubelet",
            programs / "kubelet",
            f"--kubeconfig={folder}/system:node:{NODE}.conf",
            f"--config={folder}/kubelet.json",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{folder}/containerd.sock",
            f"--root-dir={folder}/kubelet",
            f"--cert-dir={folder}/certificates/kubelet",
            f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS}",
        )
        until("the node is ready", lambda: " Ready" in up.kubectl("get", "nodes", check=False))
        yield up


def until(what: str, holds: Callable[[], bool], within_s: float = UP_WITHIN_S) -> None:
    """Wait until something holds; raises AssertionError when it does not."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s"
        time.sleep(0.5)


def _configure(folder: Path) -> None:
    """Write what the programs read: the users' tokens, the node's settings, and those of its containers."""
    tokens = {user: secrets.token_hex(16) for user in USERS}
    lines = [f'{tokens[user]},{user},{user},"{group}"' for user, group in USERS.items()]
    _private(folder / "tokens.csv", "\n".join(lines) + "\n")
    for user, token in tokens.items():
        _private(folder / f"{user}.conf", json.dumps(_kubeconfig(token)))
    key = folder / "service-accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
    (folder / "kubelet.json").write_text(json.dumps(_kubelet()))
    (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder, pause=PAUSE))
    networks = folder / "networks"
    networks.mkdir()
    addresses = {"type": "host-local", "ranges": [[{"subnet": PODS}]]}
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "ipam": addresses}
    (networks / "pods.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]})
    )


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _kubeconfig(token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": SERVER, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "me", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "current-context": "it",
    }


def _kubelet() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "100Mi"},  # the disk is this machine's, however full
        "imageGCHighThresholdPercent": 100,
    }


CONTAINERD = """\
version = 2
root = "{folder}/images"
state = "{folder}/containers"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true  # a machine in a sandbox may not lower its own
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/networks"
"""
