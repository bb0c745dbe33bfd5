"""What services use is sampled since the sample before, and restarts since the run began."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdr.lake.home import LakeHome
from fdr.lake.status import ServiceStatus
from fdr.services import ServiceSampler

HOME = LakeHome(Path("/nowhere"))


def status(pid: int, cpu_seconds: float, restarts: int, uptime_s: float = 100.0) -> ServiceStatus:
    return ServiceStatus(
        service="hermes",
        state="RUNNING",
        pid=pid,
        processes=1,
        cpu_seconds=cpu_seconds,
        memory_bytes=1000,
        restarts=restarts,
        uptime_s=uptime_s,
        why="",
    )


def sampler(*looks: ServiceStatus) -> ServiceSampler:
    ahead = iter(looks)
    return ServiceSampler(HOME, lambda home: [next(ahead)])


def test_cpu_is_the_mean_since_the_sample_before() -> None:
    """The first look only sets the marks; half a second of CPU in five is 0.1 cores."""
    sample = sampler(status(7, 50.0, 0), status(7, 50.5, 0))
    assert sample(1000.0) == []
    (seen,) = sample(1005.0)
    assert (seen.service, seen.cpu, seen.memory_bytes) == ("hermes", pytest.approx(0.1), 1000)


def test_a_new_process_has_used_its_cpu_since_it_began() -> None:
    """After a restart the old process's seconds are not taken off the new one's."""
    sample = sampler(status(7, 50.0, 0), status(8, 1.0, 1, uptime_s=2.0))
    sample(1000.0)
    (seen,) = sample(1005.0)
    assert seen.cpu == pytest.approx(0.5)


def test_restarts_from_before_the_run_are_not_the_runs() -> None:
    """Three before, one during: one; also when it came before the first sample that tells."""
    sample = sampler(status(7, 50.0, 3), status(8, 1.0, 4, uptime_s=2.0))
    sample(1000.0)
    (seen,) = sample(1005.0)
    assert seen.restarts == 1
