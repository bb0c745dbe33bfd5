"""gfal2 as fdr uses it: the module, its environment and its contexts."""

from __future__ import annotations

import importlib
import math
import os
from pathlib import Path
from typing import Any

from fdr.errors import LakeUnusable

PLUGINS = {"file": "gfal2-plugin-file", "http": "gfal2-plugin-http", "xrootd": "gfal2-plugin-xrootd"}
CONNECT_WITHIN_S = 10


def load_gfal2(environment: dict[str, str] | None = None) -> Any:
    """Return the module gfal2, with this environment set before its libraries are loaded.

    Variables of ``environment`` that are set already stay as they are, except those that name
    certificates. Raises LakeUnusable when gfal2 or one of its plugins is not installed.
    """
    for name, value in (environment or {}).items():
        if name.startswith(("X509_", "SSL_")):
            os.environ[name] = value
        else:
            os.environ.setdefault(name, value)
    try:
        gfal2 = importlib.import_module("gfal2")
    except ImportError as error:
        raise LakeUnusable(
            "gfal2 is not installed, and without it no file can be put: install python3-gfal2, "
            f"{', '.join(PLUGINS.values())} (Debian, Ubuntu) or python3-gfal2, gfal2-all (EL 9, from EPEL)"
        ) from error
    found = {name.split("-")[0] for name in gfal2.creat_context().get_plugin_names()}
    for plugin, package in PLUGINS.items():
        if plugin not in found:
            raise LakeUnusable(f"gfal2 has no plugin for {plugin}: install {package} (EL 9: gfal2-all)")
    return gfal2


def gfal_environment(
    timeout_s: float = 60, x509_cert_dir: Path | None = None, *, loopback_only: bool = False
) -> dict[str, str]:
    """Return the environment in which gfal2 gives a storage up after ``timeout_s``.

    It must be set before gfal2 is loaded. ``x509_cert_dir`` holds the CAs of the storages; then no other
    bundle of CAs is read: by default davix parses the system's for every request, which made 180 ms of CPU
    out of 5 for a file of 1 kB. ``loopback_only`` is for storages on this machine: nothing is asked of the
    DNS, which XRootD's client otherwise does for every address, waiting where the DNS is silent.
    """
    environment = {
        "XRD_CONNECTIONWINDOW": str(_seconds(min(timeout_s, CONNECT_WITHIN_S))),
        "XRD_CONNECTIONRETRY": "1",
        "XRD_STREAMERRORWINDOW": "0",
        "XRD_REQUESTTIMEOUT": str(_seconds(timeout_s)),
        "XRD_STREAMTIMEOUT": str(_seconds(timeout_s)),
        "XRD_TIMEOUTRESOLUTION": "1",
    }
    if x509_cert_dir is not None:
        environment |= {"X509_CERT_DIR": str(x509_cert_dir), "SSL_CERT_FILE": os.devnull}
    if loopback_only:
        environment["RES_OPTIONS"] = "attempts:0"
    return environment


def gfal_context(gfal2: Any, timeout_s: float = 60, bearer_token: str | None = None) -> Any:
    """Return a new gfal2 context that gives a storage up after ``timeout_s``.

    ``bearer_token`` goes to every davs:// and https:// storage; http third-party copies need one. A context
    is for one thread.
    """
    context = gfal2.creat_context()
    for group, option in (
        ("HTTP PLUGIN", "OPERATION_TIMEOUT"),
        ("CORE", "NAMESPACE_TIMEOUT"),
        ("CORE", "CHECKSUM_TIMEOUT"),
    ):
        context.set_opt_integer(group, option, _seconds(timeout_s))
    context.set_opt_boolean("HTTP PLUGIN", "RETRIEVE_BEARER_TOKEN", False)
    if bearer_token is not None:
        for prefix in ("davs://", "https://"):
            context.cred_set(prefix, context.cred_new("BEARER", bearer_token))
    return context


def _seconds(value: float) -> int:
    return max(1, math.ceil(value))
