"""What the lake listens on can be reached from this machine only."""

from __future__ import annotations

import ipaddress

import psutil
import pytest

from fdr.lake.home import LakeHome
from fdr.lake.orphans import processes_of

pytestmark = pytest.mark.lake


def test_only_storages_listen_beyond_loopback(lake: LakeHome) -> None:
    """Every other service is bound to loopback; storages turn others away (see test_isolation)."""
    listening: dict[str, set[str]] = {}
    for process in processes_of(lake):
        name = process.name()
        for socket in process.net_connections(kind="inet"):
            if socket.status == psutil.CONN_LISTEN:
                listening.setdefault(name, set()).add(socket.laddr.ip)
    assert "xrootd" in listening
    assert len(listening) >= 3
    beyond = {
        name
        for name, addresses in listening.items()
        if not all(ipaddress.ip_address(address).is_loopback for address in addresses)
    }
    assert beyond <= {"xrootd"}
