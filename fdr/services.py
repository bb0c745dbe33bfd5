"""Turn the status of the embedded lake's services into samples of what each uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fdr.lake.home import LakeHome
from fdr.lake.status import ServiceStatus, status
from fdr.model import ServiceSample


class ServiceSampler:
    """Samples every service of an embedded lake; the first sample only sets the marks."""

    def __init__(
        self,
        home: LakeHome,
        look: Callable[[LakeHome], list[ServiceStatus]] = status,
        restarts: Mapping[str, int] | None = None,
    ) -> None:
        """Take the lake, and the restarts that earlier sessions of the run saw; nothing is looked at yet."""
        self._home = home
        self._look = look
        self._restarts_seen = restarts or {}
        self._marks: dict[tuple[str, int], tuple[float, float]] = {}
        self._restarts_before: dict[str, int] = {}

    def __call__(self, at: float) -> list[ServiceSample]:
        """Return a sample of every service that ran before too; ``at`` in Unix seconds.

        CPU is in cores, the mean since the call before. Raises LakeUnusable when the lake is down.
        """
        samples = []
        marks = {}
        services = self._look(self._home)
        if not self._marks:
            self._restarts_before = {
                service.service: service.restarts - self._restarts_seen.get(service.service, 0)
                for service in services
            }
        for service in services:
            key = service.service, service.pid
            marks[key] = at, service.cpu_seconds
            # A process that was not there before has used all its CPU since.
            since, used = self._marks.get(key, (at - service.uptime_s, 0.0))
            if self._marks and at > since:
                cpu = max(0.0, service.cpu_seconds - used) / (at - since)
                restarts = service.restarts - self._restarts_before.get(service.service, 0)
                samples.append(ServiceSample(at, service.service, cpu, service.memory_bytes, restarts))
        self._marks = marks
        return samples
