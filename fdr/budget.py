"""The impact budget of a run: how much may be begun before it must stop. Pure."""

from __future__ import annotations

from fdr.model import Limits


class Budget:
    """Counts uploads against a scenario's limits; what a resumed run began before counts too."""

    def __init__(self, limits: Limits) -> None:
        """Take the limits; None means no limit."""
        self._limits = limits
        self._files = 0
        self._bytes = 0

    def refusal(self, size_bytes: int) -> str:
        """Return which limit one more upload would break; nothing, and count it in, when it fits."""
        limits = self._limits
        if limits.files is not None and self._files + 1 > limits.files:
            return f"limits.files: {limits.files} files have been begun"
        if limits.volume_bytes is not None and self._bytes + size_bytes > limits.volume_bytes:
            return f"limits.volume: {self._bytes} of {limits.volume_bytes} bytes have been begun"
        self.spend(size_bytes)
        return ""

    def spend(self, size_bytes: int) -> None:
        """Count in an upload that has been begun, now or before the run was resumed."""
        self._files += 1
        self._bytes += size_bytes
