"""What stands in deploy/kubernetes: its bases, its overlays, and the pods that they start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
BASES = sorted(path for path in (KUBERNETES / "bases").iterdir())
OVERLAYS = sorted(path for path in (KUBERNETES / "overlays").iterdir())


@dataclass(frozen=True)
class Workload:
    """A Job or a CronJob, as its file says it."""

    resource: dict[str, Any]

    @property
    def name(self) -> str:
        return self.resource["metadata"]["name"]

    @property
    def is_cron(self) -> bool:
        return self.resource["kind"] == "CronJob"

    @property
    def work(self) -> dict[str, Any]:
        """The specification of the Job, or of the Jobs that a CronJob makes."""
        spec = self.resource["spec"]
        return spec["jobTemplate"]["spec"] if self.is_cron else spec

    @property
    def pod(self) -> dict[str, Any]:
        return self.work["template"]["spec"]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of its containers, in the order in which they run."""
        return [*self.pod["initContainers"], *self.pod["containers"]]

    @property
    def fdr(self) -> dict[str, Any]:
        """The container that does the work."""
        (found,) = self.pod["containers"]
        return found

    def mounts(self, container: dict[str, Any]) -> dict[PurePosixPath, dict[str, Any]]:
        """Return the volumes of a container by where they are mounted."""
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        return {PurePosixPath(m["mountPath"]): volumes[m["name"]] for m in container["volumeMounts"]}


def read(file: Path) -> Any:
    """Return the one document of a YAML file."""
    return yaml.safe_load(file.read_text())


def resources(directory: Path) -> list[dict[str, Any]]:
    """Return what a base says, as it says it."""
    return [read(directory / name) for name in read(directory / "kustomization.yaml")["resources"]]


def workload(resource: dict[str, Any]) -> Workload | None:
    """Return a resource that starts pods, None of another one."""
    return Workload(resource) if resource["kind"] in {"Job", "CronJob"} else None


WORKLOADS = [found for base in BASES for resource in resources(base) if (found := workload(resource))]
