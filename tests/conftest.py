"""What every test can rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def rucio_cfg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A rucio.cfg that says nothing: rucio-clients wants one even to derive a path."""
    path = tmp_path_factory.mktemp("rucio") / "rucio.cfg"
    path.write_text("[common]\nmulti_vo = false\n[client]\nrucio_host = http://127.0.0.1:9\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUCIO_CONFIG", str(path))
        yield path
