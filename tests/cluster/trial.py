"""The trial: a rehearsal that loses its pod, one that is moved and stopped, noise and probes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from fdr.journal.reader import read_journal
from fdr.lake import embedded
from fdr.lake.home import LakeHome
from fdr.lake.prepare import prepare_embedded
from fdr.model import Outcome
from fdr.rundir import RunDir
from fdr.scenario.load import effective_yaml
from tests.cluster.node import NODE, cluster, until
from tests.kubernetes_files import KUBERNETES, ROOT
from tests.lake import crash
from tests.lake.foreign import fill_secret
from tests.lake.recount import run_id
from tests.lake.smoke import SMOKE, smoke

IMAGE = "registry.example.org/fdr:0.1.0"
VOLUMES = 4  # two rehearsals, noise, probes
DOCUMENT = ROOT / "docs" / "kubernetes.md"
LONG = ("duration=40s", "grace=60s", "objectives=['upload.success >= 100%', 'rule.success >= 100%']")
END_WITHIN_S = 240
PUTS = 20  # of 132, before something happens
KUBECTL = """\
#!/bin/sh
# Kubernetes 1.20 has CronJobs as batch/v1beta1 only, and no podFailurePolicy.
if [ "$1 $2" = "apply --kustomize" ]; then
  {kubectl} kustomize "$3" |
    sed '/^apiVersion: batch.v1$/ {{N; s/v1\\nkind: CronJob/v1beta1\\nkind: CronJob/}}' |
    exec {kubectl} apply --validate=ignore --filename -
else
  exec {kubectl} "$@"
fi
"""


class Trial:
    """One trial, in a folder that has the images and gets all else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = LakeHome(folder / "lake")
        self.checkout = folder / "checkout"  # what a user has before them: commands begin here
        self.volumes = [folder / f"volume-{number}" for number in range(VOLUMES)]

    def make(self) -> None:
        """Make the trial, saying what has come out as it should; raises AssertionError at what has not."""
        (self.folder / "cluster").mkdir()
        with self._a_lake(), cluster(self.folder / "cluster") as up:
            self.up = up
            up.take(self.folder / "pause.tar")
            up.take(self.folder / "fdr.tar")
            try:
                self._give_volumes()
                self._check_out()
                self._loses_its_pod()
                self._is_moved_and_stopped()
                self._noise_and_probes()
            except (AssertionError, subprocess.TimeoutExpired):
                every = "logs --selector=app.kubernetes.io/name=fdr --all-containers"
                for look in ("get all,pvc,events", every):
                    print(up.kubectl("--namespace=fdr", *look.split(), check=False))
                raise

    @contextmanager
    def _a_lake(self) -> Iterator[None]:
        embedded.up(self.lake)
        try:
            prepare_embedded(self.lake, smoke())
            yield
        finally:
            embedded.down(self.lake)

    def _give_volumes(self) -> None:
        """Give the cluster volumes on the node's disk, as its administrator would."""
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
        for path in self.volumes:
            path.mkdir()
        self.up.make(
            *(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": path.name},
                    "spec": {
                        "capacity": {"storage": "2Gi"},
                        "accessModes": ["ReadWriteOnce"],
                        "local": {"path": str(path)},
                        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                    },
                }
                for path in self.volumes
            )
        )

    def _check_out(self) -> None:
        """Lay out what a user has: the deployment with overlays changed for this lake, rucio.cfg, the CA."""
        shutil.copytree(KUBERNETES, self.checkout / "deploy" / "kubernetes")
        fill_secret(self.lake, self.checkout)
        programs = self.folder / "programs"
        programs.mkdir()
        (programs / "kubectl").write_text(KUBECTL.format(kubectl=shutil.which("kubectl")))
        (programs / "kubectl").chmod(0o755)
        one_day = self._overlay("one-day")
        (one_day / "scenario.yaml").write_text(effective_yaml(SMOKE, LONG))
        # The lake is this machine's, on loopback.
        self._change(one_day, patches=[_set("Job", {"/spec/template/spec/hostNetwork": True})])
        on_the_node = {"/spec/jobTemplate/spec/template/spec/hostNetwork": True}
        often = _set("CronJob", {**on_the_node, "/spec/schedule": "* * * * *"})
        self._change(self._overlay("every-hour"), patches=[often])

    # --- what users do ----------------------------------------------------------------------------

    def _loses_its_pod(self) -> None:
        """README's commands; the process is killed in the middle, and the run's page is read afterwards."""
        *begin, wait, follow = _commands(ROOT / "README.md", "create secret generic").splitlines()
        names = " ".join(f"--from-file={path.name}" for path in self.checkout.iterdir() if path.is_file())
        self._run("\n".join([*begin, wait]).replace("--from-file=rucio.cfg", names))
        run = self._run_of("fdr-rehearsal-1")
        until("files are put", lambda: _puts(run) >= PUTS)
        following = self._begin(follow)
        _kill("--resume-if-exists")
        print(following.communicate(timeout=END_WITHIN_S)[0].splitlines()[-1])
        self._run("kubectl --namespace fdr wait job/fdr-rehearsal-1 --for=condition=Complete --timeout=4m")
        log = self._log("job-name=fdr-rehearsal-1")
        assert "was cut short: it goes on" in log, log
        report = json.loads(run.json.read_text())
        assert (report["verdict"], len(report["run"]["sessions"])) == ("pass", 2), report["verdict"]
        assert crash.damage(self.lake, run) == crash.Damage((), ())
        self._run(_commands(DOCUMENT, "run fdr-report"))
        page = (self.checkout / "report.html").read_text()
        assert page.startswith("<!"), page[:500]
        assert run_id(run) in page
        print("a rehearsal whose process was killed: the next pod went on; nothing is lost or doubled")

    def _is_moved_and_stopped(self) -> None:
        """A pod that is told to go ends orderly, the next goes on, and is stopped from outside."""
        self._change(self._overlay("one-day"), nameSuffix="-2")
        self._run("kubectl apply --kustomize deploy/kubernetes/overlays/one-day")
        run = self._run_of("fdr-rehearsal-2")
        until("files are put", lambda: _puts(run) >= PUTS)
        self._run("kubectl --namespace fdr delete pod --selector=job-name=fdr-rehearsal-2")
        put = _puts(run)
        assert {"interrupted", "ended"} <= set(_notes(run)), _notes(run)
        until("the next pod goes on", lambda: _puts(run) > put)
        (stop,) = re.findall(r"`(kubectl [^`]* fdr stop [^`]*)`", DOCUMENT.read_text())
        print(self._run(stop.replace("rehearsal-1", "rehearsal-2")))
        until("the run ends", lambda: _notes(run).count("ended") == 2)
        self._until_said("has ended: it is reported again", "job-name=fdr-rehearsal-2")
        self._run("kubectl --namespace fdr delete job/fdr-rehearsal-2")
        print(
            "a rehearsal whose pod was moved: it ended orderly, the next pod went on, and fdr stop ended it"
        )

    def _noise_and_probes(self) -> None:
        """The documents' commands; the CronJobs' clock starts the pods."""
        begin, look = _commands(DOCUMENT, "overlays/every-hour").splitlines()
        self._run(begin)
        self._until_said("6 of 6 pairs ok", "app.kubernetes.io/component=noise")
        self._until_said("transfers: 6 of 6 ok", "app.kubernetes.io/component=probe")
        print(self._run(look))

    # ----------------------------------------------------------------------------------------------

    def _run(self, script: str, within_s: float = END_WITHIN_S) -> str:
        """Run a user's commands, and return what they said; raises AssertionError when one fails."""
        going = self._begin(script)
        said, _ = going.communicate(timeout=within_s)
        assert going.returncode == 0, f"{script}\n{said}"
        return said

    def _begin(self, command: str) -> subprocess.Popen[str]:
        """Begin a user's command, and go on beside it."""
        return subprocess.Popen(
            ["bash", "-ec", command],
            cwd=self.checkout,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        path = f"{self.folder / 'programs'}:{os.environ['PATH']}"
        return os.environ | {"PATH": path, "KUBECONFIG": str(self.up.folder / "admin.conf")}

    def _log(self, pods: str) -> str:
        """Return what the newest pod with a label has said, nothing where it has not started."""
        by_age = "--sort-by=.metadata.creationTimestamp"
        found = self.up.get("--namespace=fdr", "pods", f"--selector={pods}", by_age)["items"]
        if not found:
            return ""
        return self.up.kubectl("--namespace=fdr", "logs", found[-1]["metadata"]["name"], check=False)

    def _until_said(self, words: str, pods: str) -> None:
        """Wait until the newest pod with a label has said something."""
        until(f"a pod says '{words}'", lambda: words in self._log(pods), END_WITHIN_S)

    def _run_of(self, claim: str) -> RunDir:
        """Return the run directory on the volume that the cluster has bound to a claim."""

        def volume() -> str:
            name: str = self.up.get("--namespace=fdr", "pvc", claim)["spec"].get("volumeName", "")
            return name

        until("the volume is bound", lambda: bool(volume()))
        return RunDir(self.folder / volume() / "rehearsal")

    def _overlay(self, name: str) -> Path:
        return self.checkout / "deploy" / "kubernetes" / "overlays" / name

    def _change(self, overlay: Path, **changes: Any) -> None:
        """Change an overlay, as its comments tell users to do."""
        path = overlay / "kustomization.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def _set(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the patch that sets values in all objects of a kind."""
    operations = [{"op": "add", "path": path, "value": value} for path, value in values.items()]
    return {"target": {"kind": kind}, "patch": yaml.safe_dump(operations)}


def _puts(run: RunDir) -> int:
    """Return how many puts of a run have ended by now."""
    if not run.journal.exists():
        return 0
    with read_journal(run.journal) as reader:
        return sum(isinstance(event, Outcome) and event.step == "put" for event in reader.events())


def _notes(run: RunDir) -> list[str]:
    """Return the kinds of the moments that a run has noted by now."""
    with read_journal(run.journal) as reader:
        return [note.kind for note in reader.notes()]


def _kill(word: str) -> None:
    """Kill the process whose command line has a word in it, as a kernel does that is short of memory."""
    (one,) = (process for process in psutil.process_iter() if word in process.cmdline())
    one.kill()


def _commands(document: Path, word: str) -> str:
    """Return the block of commands in a document that has a word in it."""
    blocks = re.split(r"^```.*\n", document.read_text(), flags=re.MULTILINE)[1::2]
    (found,) = (block for block in blocks if word in block)
    return found.strip()
