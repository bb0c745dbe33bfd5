"""What deploy/kubernetes says is valid, agrees with itself and with fdr's commands, and is safe to run."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from fdr.cli import app
from fdr.errors import ExitCode
from fdr.scenario.load import load_scenario
from fdr.storage.threads import CLOSE_WITHIN_S
from fdr.units import parse_duration
from tests.kubernetes_files import (
    BASES,
    KUBERNETES,
    OVERLAYS,
    ROOT,
    WORKLOADS,
    Workload,
    read,
    resources,
    workload,
)

VERSIONS = ("1.31", kubernetes_validate.latest_version())  # the first with all that is used, and the latest
PERIODS_S = {"17 * * * *": 3600, "3,33 * * * *": 1800}
SECRET = "fdr-lake"
DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text()
USAGE_ERROR = typer.BadParameter.__mro__[1]  # typer has a copy of click's, which it does not show
EVERY_WORKLOAD = pytest.mark.parametrize("work", WORKLOADS, ids=lambda work: work.name)
EVERY_OVERLAY = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")


def rendered(overlay: Path) -> list[dict[str, Any]]:
    """Return what ``kubectl apply --kustomize`` would send."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


def test_there_are_a_rehearsal_noise_and_probes() -> None:
    """The tests below look at all three."""
    assert [work.name for work in WORKLOADS] == ["fdr-noise", "fdr-probe", "fdr-rehearsal"]
    assert [path.name for path in OVERLAYS] == ["every-hour", "one-day"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("base", BASES, ids=lambda path: path.name)
def test_bases_are_valid_by_kubernetes_own_schemas(base: Path, version: str) -> None:
    """Strictly: a key that Kubernetes does not know is a mistake."""
    for resource in resources(base):
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("path", ["spec", "spec/template/spec", "spec/template/spec/containers/0"])
def test_the_validation_is_not_blind(path: str) -> None:
    """A key too many is seen wherever it stands."""
    (job,) = (copy.deepcopy(work.resource) for work in WORKLOADS if not work.is_cron)
    here: Any = job
    for part in path.split("/"):
        here = here[int(part)] if part.isdigit() else here[part]
    here["concurencyPolicy"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[0], strict=True)


@needs_kubectl
@EVERY_OVERLAY
def test_overlays_are_what_kustomize_takes(overlay: Path) -> None:
    """It makes valid resources of them, in one namespace, of images with a registry and a version."""
    made = rendered(overlay)
    for resource in made:
        for version in VERSIONS:
            kubernetes_validate.validate(resource, version, strict=True)
        assert resource["metadata"]["namespace"] == "fdr"
    for work in filter(None, map(workload, made)):
        assert {c["image"] for c in work.containers} == {"registry.example.org/fdr:0.1.0"}
        names = {f"{resource['kind']}/{resource['metadata']['name']}" for resource in made}
        for volume in work.pod["volumes"]:
            if "configMap" in volume:
                assert f"ConfigMap/{volume['configMap']['name']}" in names
            if "persistentVolumeClaim" in volume:
                assert f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}" in names


@needs_kubectl
def test_the_patch_of_the_overlay_says_where_numbers_go() -> None:
    """The commands are still such as fdr takes."""
    (overlay,) = (path for path in OVERLAYS if path.name == "every-hour")
    for work in filter(None, map(workload, rendered(overlay))):
        assert work.fdr["args"][1] == "--pushgateway=http://pushgateway.monitoring:9091"
        assert parse(work.fdr["args"])["pushgateway"] == "http://pushgateway.monitoring:9091"


def test_every_file_is_used_and_every_name_leads_somewhere() -> None:
    """What kustomizations list is there, and what is there is listed."""
    listed = {"kustomization.yaml"}
    for directory in (*BASES, *OVERLAYS):
        told = read(directory / "kustomization.yaml")
        assert (told["apiVersion"], told["kind"]) == ("kustomize.config.k8s.io/v1beta1", "Kustomization")
        files = {file for made in told.get("configMapGenerator", ()) for file in made["files"]}
        for name in (*told["resources"], *files):
            target = directory / name
            assert (target / "kustomization.yaml").is_file() or target.is_file(), target
        here = {path.name for path in directory.iterdir()}
        assert here == listed | {name for name in (*told["resources"], *files) if "/" not in name}
    based = {
        (overlay / name).resolve()
        for overlay in OVERLAYS
        for name in read(overlay / "kustomization.yaml")["resources"]
    }
    assert based == set(BASES)


@EVERY_WORKLOAD
def test_volumes_are_mounted_and_mounts_are_volumes(work: Workload) -> None:
    """Every volume is one that is made here, or the Secret that the documents tell to make."""
    volumes = {volume["name"] for volume in work.pod["volumes"]}
    mounted = [mount["name"] for container in work.containers for mount in container["volumeMounts"]]
    assert set(mounted) == volumes
    claims = {r["metadata"]["name"] for base in BASES for r in resources(base)} - {work.name}
    made = {m["name"] for o in OVERLAYS for m in read(o / "kustomization.yaml").get("configMapGenerator", ())}
    for volume in work.pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in claims | {work.name}
        if "configMap" in volume:
            assert volume["configMap"]["name"] in made
        if "secret" in volume:
            assert volume["secret"]["secretName"] == SECRET
    assert f"create secret generic {SECRET} " in DOCUMENT


@EVERY_WORKLOAD
def test_pods_may_do_nothing_that_they_need_not(work: Workload) -> None:
    """Nobody's root, a root file system that cannot be written, no capability, no token of Kubernetes."""
    pod = work.pod
    assert pod["automountServiceAccountToken"] is False
    assert (pod["restartPolicy"], pod["enableServiceLinks"]) == ("Never", False)
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 1000)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in work.containers:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        asked, allowed = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= asked.keys() & allowed.keys()
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


@EVERY_WORKLOAD
def test_secrets_are_files_that_only_their_user_reads(work: Workload) -> None:
    """Nothing of the Secret is in arguments or the environment, and nothing of it touches a disk."""
    for container in work.containers:
        assert "envFrom" not in container
        for setting in container.get("env", ()):
            assert setting.keys() == {"name", "value"}
            assert setting["value"].startswith("/")
    (credentials,) = work.pod["initContainers"]
    copied, lake = work.mounts(credentials)[PurePosixPath("/srv/lake")], PurePosixPath("/srv/lake")
    assert copied["emptyDir"]["medium"] == "Memory"
    assert work.mounts(work.fdr)[lake] == copied
    assert not any("secret" in volume for volume in work.mounts(work.fdr).values())
    assert "-m 0400" in credentials["command"][-1]
    kinds = {resource["kind"] for base in BASES for resource in resources(base)}
    assert kinds == {"Job", "CronJob", "PersistentVolumeClaim"}
    assert not re.search("secretGenerator|password|BEGIN ", "".join(text(KUBERNETES)))


def text(directory: Path) -> list[str]:
    return [path.read_text() for path in sorted(directory.rglob("*.yaml"))]


def commands() -> dict[str, Any]:
    """Return fdr's commands by name."""
    return typer.main.get_command(app).commands  # type: ignore[attr-defined]


def parse(arguments: list[str]) -> dict[str, Any]:
    """Let fdr's own command line read arguments, and do nothing; raises what it says of wrong ones."""
    return commands()[arguments[0]].make_context(arguments[0], list(arguments[1:])).params


@EVERY_WORKLOAD
def test_commands_are_such_as_fdr_takes(work: Workload) -> None:
    """An option that has another name today would be found out by a user's pod."""
    arguments = work.fdr["args"]
    assert parse(arguments)["lake"] == "/srv/lake/rucio.cfg"
    with pytest.raises(USAGE_ERROR, match="--no-such-option"):
        parse([arguments[0], "--no-such-option", *arguments[1:]])


@EVERY_WORKLOAD
def test_what_commands_name_is_mounted(work: Workload) -> None:
    """Every path in arguments and environment lies on a volume; those that are written are not read-only."""
    for container in work.containers:
        words = [*container.get("command", ()), *container.get("args", ())]
        words += [setting["value"] for setting in container.get("env", ())]
        named = {PurePosixPath(path) for word in words for path in re.findall(r"(?<![\w:/])/[\w./-]+", word)}
        mounts = work.mounts(container)
        assert named
        assert [path for path in named if not {path, *path.parents} & mounts.keys()] == []
    written = {PurePosixPath("/runs"), PurePosixPath("/tmp")}
    read_only = {m["mountPath"] for m in work.fdr["volumeMounts"] if m.get("readOnly")}
    assert written <= work.mounts(work.fdr).keys()
    assert not read_only & set(map(str, written))


def test_a_rehearsal_that_loses_its_pod_goes_on_and_one_with_a_verdict_does_not() -> None:
    """The command goes on with the run on the volume; a verdict ends the Job, whatever tries are left."""
    (work,) = (work for work in WORKLOADS if not work.is_cron)
    arguments = parse(work.fdr["args"])
    assert arguments["resume_if_exists"]
    runs = work.mounts(work.fdr)[PurePosixPath("/runs")]
    assert runs["persistentVolumeClaim"]["claimName"] == work.name
    assert arguments["run_dir"].parent == Path("/runs")
    verdict, disruption = work.work["podFailurePolicy"]["rules"]
    assert verdict["onExitCodes"] == {
        "containerName": work.fdr["name"],
        "operator": "In",
        "values": [ExitCode.OBJECTIVE_FAILED, ExitCode.INCONCLUSIVE],
    }
    assert (verdict["action"], disruption["action"]) == ("FailJob", "Ignore")
    assert work.work["backoffLimit"] > 0
    assert work.pod["terminationGracePeriodSeconds"] > 60  # what is in flight has 30 s, then the report


def test_the_example_scenario_is_good_and_has_the_time_it_takes() -> None:
    """Its run with its grace is over before the Job is, with room for the time that it loses with pods."""
    scenario = load_scenario(KUBERNETES / "overlays" / "one-day" / "scenario.yaml")
    (work,) = (work for work in WORKLOADS if not work.is_cron)
    assert 1.5 * (scenario.duration_s + scenario.grace_s) < work.work["activeDeadlineSeconds"]
    assert parse(work.fdr["args"])["scenario_file"] == Path("/srv/scenario/scenario.yaml")


@pytest.mark.parametrize("work", [w for w in WORKLOADS if w.is_cron], ids=lambda work: work.name)
def test_cron_jobs_do_not_pile_up(work: Workload) -> None:
    """One is over before the next is due, is not tried again before, and never runs beside it."""
    spec = work.resource["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert work.work["backoffLimit"] == 0
    ends_within_s = work.work["activeDeadlineSeconds"] + work.pod["terminationGracePeriodSeconds"]
    assert ends_within_s < PERIODS_S[spec["schedule"]]
    assert spec["startingDeadlineSeconds"] > 0
    assert max(spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) <= 3


def test_a_probe_has_the_time_it_takes_and_that_to_take_away_what_it_made() -> None:
    """Its transfers end before the Job does; one that is stopped waits for a few steps, each in its time."""
    (work,) = (work for work in WORKLOADS if work.name == "fdr-probe")
    arguments = parse(work.fdr["args"])
    transfer_s, step_s = (parse_duration(arguments[name]) for name in ("transfer_timeout", "timeout"))
    assert transfer_s + 6 * step_s < work.work["activeDeadlineSeconds"]
    assert 3 * step_s + CLOSE_WITHIN_S < work.pod["terminationGracePeriodSeconds"]
    assert transfer_s > step_s


@pytest.mark.skipif(not (ROOT / "Dockerfile").exists(), reason="there is no Dockerfile")
def test_pods_run_as_the_image_does() -> None:
    """Its user, and its entrypoint, which the arguments follow."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 1000(:1000)?$", dockerfile, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["fdr"\]$', dockerfile, re.MULTILINE)
    assert all("command" not in work.fdr for work in WORKLOADS)


def test_the_documents_tell_how_to_read_a_report() -> None:
    """The pod that they describe is valid, reads the example's volume, and its command is one of fdr's."""
    (overrides,) = re.findall(r"--overrides='\n(.*?)'", DOCUMENT, re.DOTALL)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fdr-report"}} | json.loads(overrides)
    kubernetes_validate.validate(pod, VERSIONS[0], strict=True)
    (container,) = pod["spec"]["containers"]
    assert parse(container["args"])["form"] == "html"
    (volume,) = pod["spec"]["volumes"]
    suffix = read(KUBERNETES / "overlays" / "one-day" / "kustomization.yaml")["nameSuffix"]
    assert volume["persistentVolumeClaim"]["claimName"] == f"fdr-rehearsal{suffix}"
    assert f"job/fdr-rehearsal{suffix} " in DOCUMENT
