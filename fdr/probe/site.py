"""What Rucio says of an RSE, as far as a probe must know it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DOING = {"read": "reading", "write": "writing", "delete": "deleting"}
DEFAULT_CHECKSUMS = "adler32,md5"  # what Rucio takes for supported where an RSE does not say
# Schemes that can copy between each other besides those that are the same: rucio.common.constants.SCHEME_MAP.
WEB = frozenset({"https", "davs", "srm+https", "cs3s"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One protocol of an RSE, over the wide area.

    ``prefix`` is the beginning of its URLs, with a slash at its end. The numbers are Rucio's priorities, 1
    the best, 0 where the operation is not offered.
    """

    scheme: str
    prefix: str
    read: int = 0
    write: int = 0
    delete: int = 0
    copy_from: int = 0
    copy_to: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """An RSE with its endpoints.

    ``off`` are the operations that its availability is off for. ``fts`` is the URL of the FTS that copies to
    it, empty where it has none. ``sums`` says whether Rucio asks it for adler32. ``missing`` says why nothing
    else is known.
    """

    rse: str
    endpoints: tuple[Endpoint, ...] = ()
    off: frozenset[str] = frozenset()
    fts: str = ""
    sums: bool = True
    missing: str = ""

    def unavailable(self, *operations: str) -> str:
        """Return what its availability forbids of these operations, empty where it forbids nothing."""
        forbidden = [DOING[operation] for operation in operations if operation in self.off]
        return f"{self.rse} is not available for {' and '.join(forbidden)}" if forbidden else ""


def site_from(rse: str, settings: Mapping[str, Any], attributes: Mapping[str, Any]) -> Site:
    """Return an RSE from what Rucio's ``get_rse`` and ``list_rse_attributes`` answer."""
    sums = str(attributes.get("supported_checksums") or DEFAULT_CHECKSUMS).split(",")
    verified = str(attributes.get("verify_checksum", True)).lower() != "false"
    return Site(
        rse,
        tuple(sorted(_endpoints(settings["protocols"]), key=lambda one: (one.write or 99, one.prefix))),
        frozenset(name for name in DOING if not settings.get(f"availability_{name}", True)),
        str(attributes.get("fts") or "").split(",")[0].strip().rstrip("/"),
        verified and "adler32" in {name.strip().lower() for name in sums},
    )


def copying(src: Site, dst: Site) -> tuple[Endpoint, Endpoint] | None:
    """Return between which endpoints Rucio would have FTS copy, None where none fit together.

    The destination's priority goes first, as in ``rucio.rse.rsemanager.find_matching_scheme``.
    """
    for to in sorted((one for one in dst.endpoints if one.copy_to), key=lambda one: one.copy_to):
        for from_ in sorted((one for one in src.endpoints if one.copy_from), key=lambda one: one.copy_from):
            if from_.scheme == to.scheme or {from_.scheme, to.scheme} <= WEB:
                return from_, to
    return None


def _endpoints(protocols: list[dict[str, Any]]) -> Iterator[Endpoint]:
    for row in protocols:
        offered = row["domains"].get("wan") or {}
        priorities = {
            name: int(offered.get(key) or 0)
            for name, key in (
                ("read", "read"),
                ("write", "write"),
                ("delete", "delete"),
                ("copy_from", "third_party_copy_read"),
                ("copy_to", "third_party_copy_write"),
            )
        }
        if any(priorities.values()):
            yield Endpoint(row["scheme"], _prefix(row), **priorities)


def _prefix(row: Mapping[str, Any]) -> str:
    port = f":{row['port']}" if row.get("port") else ""
    service = (row.get("extended_attributes") or {}).get("web_service_path") or ""  # of SRM
    path = row.get("prefix") or "/"
    if not service and not path.startswith("/"):
        path = "/" + path
    return f"{row['scheme']}://{row['hostname']}{port}{service}{path.rstrip('/')}/"
