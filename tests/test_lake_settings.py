"""What is chosen once for a lake: ports, addresses, passwords."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeUnusable
from fdr.lake.settings import (
    LOOPBACK,
    new_settings,
    read_settings,
    with_free_ports,
    with_sites,
    write_settings,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_survive_being_written(tmp_path: Path) -> None:
    """What is read is what was written, sites and passwords too."""
    settings = with_sites(
        new_settings("streamed", "http://fts:8446"), {"A": ("root",), "B": ("davs", "root")}
    )
    settings = replace(settings, account_passwords={"cta": "secret"})
    path = tmp_path / "lake.json"
    write_settings(path, settings)
    assert read_settings(path) == settings


def test_only_the_owner_can_read_the_settings(tmp_path: Path) -> None:
    """They hold passwords."""
    path = tmp_path / "lake.json"
    write_settings(path, new_settings("streamed", None))
    assert path.stat().st_mode & 0o777 == 0o600


def test_damaged_settings_are_told_without_a_traceback(tmp_path: Path) -> None:
    """A file that was cut is named, with what to do."""
    path = tmp_path / "lake.json"
    write_settings(path, new_settings("streamed", None))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(LakeUnusable, match=r"lake\.json: cannot be used.*fdr lake reset"):
        read_settings(path)


def test_no_secret_is_shown() -> None:
    """Neither a representation nor redacted text holds a password."""
    settings = replace(new_settings("streamed", None), account_passwords={"cta": "of-cta"})
    secrets = [*settings.secrets.values(), "of-cta"]
    assert not any(secret in repr(settings) for secret in secrets)
    shown = settings.redact(f"login failed with {' and '.join(secrets)} today")
    assert shown == f"login failed with {' and '.join(['***'] * len(secrets))} today"


def test_every_rse_has_an_address_and_ports_of_its_own() -> None:
    """Also beyond 255 RSEs, and those that were there keep theirs."""
    first = with_sites(new_settings("streamed", None), {"R0": ("root",)})
    settings = with_sites(first, {f"R{number}": ("root", "davs") for number in range(1, 300)})
    assert settings.sites["R0"] == first.sites["R0"]
    addresses = [site.address for site in settings.sites.values()]
    assert len(set(addresses)) == 300
    assert not {address for address in addresses if address.endswith((".0", ".255")) or address == LOOPBACK}
    assert len(settings.taken) == 3 + 2 * 300


def test_a_port_that_something_else_took_is_replaced_and_no_other() -> None:
    """Only what is in the way moves."""
    settings = with_sites(new_settings("streamed", None), {"A": ("root", "davs")})
    with socket.socket() as first, socket.socket() as second:
        first.bind((LOOPBACK, settings.ports["server"]))
        first.listen()
        second.bind((settings.sites["A"].address, settings.sites["A"].davs_port))
        second.listen()
        changed = with_free_ports(settings)
    assert changed.ports["server"] != settings.ports["server"]
    assert changed.sites["A"].davs_port != settings.sites["A"].davs_port
    kept = replace(
        changed,
        ports={**changed.ports, "server": settings.ports["server"]},
        sites={"A": replace(changed.sites["A"], davs_port=settings.sites["A"].davs_port)},
    )
    assert kept == settings
