"""What the services, the RSEs and fdr itself used. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdr.metrics import Generator, ServiceUse

if TYPE_CHECKING:
    from fdr.model import GeneratorUsage, RseUsage, ServiceSample


@dataclass(slots=True)
class _Service:
    samples: int = 0
    cpu_sum: float = 0.0
    cpu_peak: float = 0.0
    memory_sum: int = 0
    memory_peak: int = 0
    restarts: int = 0


class Resources:
    """Takes samples; keeps sums and peaks only."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._services: dict[str, _Service] = defaultdict(_Service)
        self.rse_used_peak: dict[str, int] = {}
        self.generator = Generator()

    def sample(self, sample: ServiceSample) -> None:
        """Take what a service used since its last sample."""
        seen = self._services[sample.service]
        seen.samples += 1
        seen.cpu_sum += sample.cpu
        seen.cpu_peak = max(seen.cpu_peak, sample.cpu)
        seen.memory_sum += sample.memory_bytes
        seen.memory_peak = max(seen.memory_peak, sample.memory_bytes)
        seen.restarts = max(seen.restarts, sample.restarts)

    def use(self, usage: RseUsage) -> None:
        """Take what Rucio says is used at an RSE."""
        self.rse_used_peak[usage.rse] = max(usage.used_bytes, self.rse_used_peak.get(usage.rse, 0))

    def generate(self, usage: GeneratorUsage) -> None:
        """Take what fdr has used so far."""
        self.generator = Generator(usage.cpu_seconds, usage.memory_peak_bytes, usage.requests)

    def services(self) -> tuple[ServiceUse, ...]:
        """Return the use of every service, in order of names."""
        return tuple(
            ServiceUse(
                service=name,
                cpu_mean=seen.cpu_sum / seen.samples,
                cpu_peak=seen.cpu_peak,
                memory_mean=seen.memory_sum / seen.samples,
                memory_peak=seen.memory_peak,
                restarts=seen.restarts,
            )
            for name, seen in sorted(self._services.items())
        )
