"""The pods of deploy/kubernetes run in the image, mounted as it says; a lost one is taken up by the next."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fdr.lake.home import LakeHome
from fdr.rundir import RunDir
from fdr.scenario.load import effective_yaml
from tests.kubernetes_files import ROOT, WORKLOADS, Workload
from tests.lake import crash
from tests.lake.foreign import fill_secret
from tests.lake.smoke import SMOKE

bare_root = pytest.importorskip("tests.bare_root")
pytestmark = pytest.mark.lake

SHORT = ("duration=8s", "grace=60s", "objectives=['upload.success >= 100%', 'rule.success >= 100%']")
LOST_AFTER_S = 6.0  # less than the run takes, which injects for eight
WITHIN_S = 150


class Node:
    """A machine that starts the pods of a workload in the image, with its volumes and nothing else."""

    def __init__(self, work: Workload, lake: LakeHome, folder: Path) -> None:
        self.work = work
        self.volumes = {volume["name"]: folder / volume["name"] for volume in self.work.pod["volumes"]}
        folder.chmod(0o755)
        for path in self.volumes.values():
            path.mkdir()
            os.chown(path, 1000, 1000)
        if "scenario" in self.volumes:
            (self.volumes["scenario"] / "scenario.yaml").write_text(effective_yaml(SMOKE, SHORT))
        self._fill_secret(lake)
        # Kubernetes makes the places where volumes are mounted; here a layer of the image has them.
        places = folder / "places"
        for container in self.work.containers:
            for mount in container["volumeMounts"]:
                (places / mount["mountPath"].lstrip("/")).mkdir(parents=True, exist_ok=True)
        image = bare_root.build(ROOT / "Dockerfile")
        self.image = replace(image, layers=(*image.layers, places))

    def _fill_secret(self, lake: LakeHome) -> None:
        """Mount the Secret as Kubernetes does: it is root's, and readable by fsGroup."""
        fill_secret(lake, self.volumes["secret"])
        for path in self.volumes["secret"].iterdir():
            path.chmod(0o440)
            os.chown(path, 0, 1000)

    def start_pod(self, within_s: float) -> subprocess.CompletedProcess[str]:
        """Run the containers one after the other; raises TimeoutExpired when the pod is lost."""
        done = None
        for path in self.volumes["lake"].iterdir():
            path.unlink()  # an emptyDir is empty
        for container in self.work.containers:
            mounts = {self.volumes[m["name"]]: m["mountPath"] for m in container["volumeMounts"]}
            mounts.pop(self.volumes["tmp"], None)  # there is one already
            done = self.image.start(
                container.get("args", ()),
                entrypoint=container.get("command"),
                environment={setting["name"]: setting["value"] for setting in container.get("env", ())},
                mounts=mounts,
                read_only=True,
                within_s=within_s,
            )
            if done.returncode != 0:
                break
        assert done is not None
        return done


def workload(name: str) -> Workload:
    """Return the Job or CronJob of a name, to change as a user would."""
    (work,) = (work for work in WORKLOADS if work.name == name)
    return copy.deepcopy(work)


def cron_pod(name: str, lake: LakeHome, folder: Path) -> Node:
    """Return a node for a CronJob's pod, with the RSEs that a user names in its last argument."""
    work = workload(name)
    assert work.fdr["args"][-1] == "*"
    work.fdr["args"][-1] = "DESY-DCACHE|SARA-DCACHE"  # other tests add RSEs
    return Node(work, lake, folder)


def test_a_pod_probes(lake: LakeHome, tmp_path: Path) -> None:
    """With the command line of the CronJob: both links, every step; nothing is left on its record."""
    node = cron_pod("fdr-probe", lake, tmp_path)
    done = node.start_pod(WITHIN_S)
    assert done.returncode == 0, done.stdout
    assert "transfers: 2 of 2 ok" in done.stdout
    assert not list(node.volumes["runs"].glob("probe-*.json"))


def test_a_pod_makes_noise(lake: LakeHome, tmp_path: Path) -> None:
    """With the command line of the CronJob."""
    node = cron_pod("fdr-noise", lake, tmp_path)
    done = node.start_pod(WITHIN_S)
    assert done.returncode == 0, done.stdout
    assert "2 of 2 pairs ok" in done.stdout
    assert "nothing left" in done.stdout
    (told,) = (json.loads(path.read_text()) for path in node.volumes["runs"].glob("*/noise.json"))
    assert (told["account"], told["left"], told["file_bytes"]) == ("ska", {}, 10**8)


def test_a_rescheduled_pod_goes_on_with_the_run(lake: LakeHome, tmp_path: Path) -> None:
    """Its node is lost in the middle; another one starts the same pod: nothing is lost or doubled."""
    work = workload("fdr-rehearsal")
    node = Node(work, lake, tmp_path)
    runs = node.volumes["runs"] / "rehearsal"
    lost_after_s = LOST_AFTER_S
    while not (runs / "journal.sqlite").exists():  # on a slow machine it is lost before it has begun, too
        with pytest.raises(subprocess.TimeoutExpired):
            node.start_pod(lost_after_s)
        lost_after_s *= 1.5
    for _ in range(work.work["backoffLimit"]):
        done = node.start_pod(WITHIN_S)
        if "alive in another process" not in done.stdout:  # the lost one takes a moment to die
            break
        assert done.returncode == 2
    assert done.returncode == 0, done.stdout
    assert "was cut short: it goes on" in done.stdout
    report = json.loads((runs / "report.json").read_text())
    assert report["verdict"] == "pass"
    assert crash.damage(lake, RunDir(runs)) == crash.Damage((), ())
    again = node.start_pod(WITHIN_S)
    assert again.returncode == 0
    assert "has ended: it is reported again" in again.stdout
    assert oct((node.volumes["lake"] / "rucio.cfg").stat().st_mode)[-3:] == "400"
