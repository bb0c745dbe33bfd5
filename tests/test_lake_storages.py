"""Proving storages: one that fails once is asked again, one that goes on failing is named."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fdr.errors import LakeUnusable
from fdr.lake import storages
from fdr.lake.home import LakeHome
from fdr.lake.settings import Site, new_settings

SITE = Site("PIC-DCACHE", "127.0.1.1", 1, 2, ("davs",))
SETTINGS = replace(new_settings("third-party", None), sites={SITE.rse: SITE})
FAILURE = '{"davs://127.0.1.1:2/rucio/fdr-probe/davs": "read: SSL error"}'
SILENCE = '{"davs://127.0.1.1:2/rucio/fdr-probe/davs": null}'


@pytest.fixture
def home() -> Iterator[LakeHome]:
    """A lake that was made."""
    with tempfile.TemporaryDirectory(prefix="fdr-home-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        lake = LakeHome(Path(name) / "lake")
        lake.make()
        yield lake


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Let the probe fail so many times, then succeed; return the file that holds its calls, a line each."""

    def install(times: int, failure: str = FAILURE) -> Path:
        calls = tmp_path / "calls"
        python = tmp_path / "bin" / "python"
        python.parent.mkdir()
        python.write_text(
            f'#!/bin/sh\necho "$@" >>{calls}\n'
            f"[ $(wc -l <{calls}) -le {times} ] && echo '{failure}' || echo '{{}}'\n"
        )
        python.chmod(0o755)
        monkeypatch.setenv("FDR_LAKE_VENV", str(tmp_path))
        return calls

    return install


def test_a_storage_that_fails_once_is_asked_again(home: LakeHome, failing: Callable[[int], Path]) -> None:
    """XRootD may break off one answer on a busy machine; that is no reason to give a lake up."""
    calls = failing(1)
    storages.prove(home, SETTINGS, [SITE])
    assert len(calls.read_text().splitlines()) == 2


def test_a_storage_that_does_not_answer_is_started_anew(
    home: LakeHome, failing: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that listens and says nothing would hang every client; it is restarted and asked again."""
    restarted: list[str] = []
    monkeypatch.setattr(storages.Keeper, "restart", lambda _, names: restarted.extend(names))
    monkeypatch.setattr(storages, "_await_listening", lambda *_: None)
    failing(1, SILENCE)
    storages.prove(home, SETTINGS, [SITE])
    assert restarted == ["xrootd-PIC-DCACHE"]


def test_a_storage_that_goes_on_failing_is_named(home: LakeHome, failing: Callable[[int], Path]) -> None:
    """The message has its URL, what it said and the end of its log."""
    calls = failing(99)
    (home.logs / "xrootd-PIC-DCACHE.log").write_text("the last line\n")
    with pytest.raises(LakeUnusable, match=r"(?s)fdr-probe/davs: read: SSL error.*the last line"):
        storages.prove(home, SETTINGS, [SITE])
    assert len(calls.read_text().splitlines()) == storages.PROBE_TRIES
