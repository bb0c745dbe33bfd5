"""What every test can rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fdr.storage.gfal_context import gfal_environment

GFAL_TIMEOUT_S = 10


@pytest.fixture(scope="session", autouse=True)
def gfal_settings() -> Iterator[None]:
    """XRootD's client reads its environment once a process: the same short time-outs for every test."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in gfal_environment(GFAL_TIMEOUT_S, loopback_only=True).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session", autouse=True)
def rucio_cfg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A rucio.cfg that says nothing: rucio-clients wants one even to derive a path."""
    path = tmp_path_factory.mktemp("rucio") / "rucio.cfg"
    path.write_text("[common]\nmulti_vo = false\n[client]\nrucio_host = http://127.0.0.1:9\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUCIO_CONFIG", str(path))
        yield path
