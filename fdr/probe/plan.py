"""Decide what a probe tries, under which names, and what it leaves out and why. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fdr.probe.asked import Part
from fdr.probe.site import Endpoint, Site, copying

NO_ENDPOINT = "offers no protocol over the wide area"
NO_FTS = "has no attribute fts"


@dataclass(frozen=True, slots=True)
class Place:
    """A file that a probe may make, in a directory that is the probe's alone."""

    directory: str
    name: str

    @property
    def url(self) -> str:
        """The file's URL."""
        return f"{self.directory}/{self.name}"

    def is_of(self, probe: str) -> bool:
        """Tell whether a probe of this id may have made it: nothing else is ever deleted."""
        directory = self.directory.rpartition("/")[2]
        number = directory.removeprefix(_directory(probe, ""))
        return (
            directory != number
            and number.isdecimal()
            and "/" not in self.name
            and self.name not in {"", ".", ".."}
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One protocol of an RSE, and where the probe puts a file over it.

    ``endpoint`` is its URL prefix, empty where the RSE has none. ``skipped`` says why nothing is tried,
    ``unread`` why the file is not read.
    """

    rse: str
    scheme: str = ""
    endpoint: str = ""
    place: Place | None = None
    skipped: str = ""
    unread: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """A third-party copy from one RSE to another.

    ``source`` and ``destination`` are the URLs that FTS gets, ``there`` is the destination as it can be
    deleted. ``verify`` is what FTS is to compare: both, source, target or none.
    """

    src: str
    dst: str
    fts: str = ""
    source: str = ""
    destination: str = ""
    there: Place | None = None
    verify: str = "none"
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a probe tries; ``sources`` are the files that are copied, by RSE."""

    probe: str
    rows: tuple[Row, ...] = ()
    sources: tuple[tuple[str, Place], ...] = ()
    copies: tuple[Copy, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """Every file that may come to be."""
        of_rows = (row.place for row in self.rows)
        of_copies = (copy.there for copy in self.copies)
        sources = (place for _, place in self.sources)
        return tuple(place for place in (*of_rows, *sources, *of_copies) if place is not None)


def plan_probe(probe: str, sites: Sequence[Site], parts: Iterable[Part]) -> Plan:
    """Return what a probe of this id tries at these RSEs."""
    numbers = itertools.count()
    rows = (
        tuple(row for site in sites for row in _rows(probe, site, numbers)) if Part.STORAGES in parts else ()
    )
    if Part.TRANSFERS not in parts:
        return Plan(probe, rows)
    directories = {site.rse: _directory(probe, next(numbers)) for site in sites}
    copies = [_copy(src, dst, directories) for src in sites for dst in sites if dst is not src]
    tried = {copy.src for copy in copies if not copy.skipped}
    sources = tuple(
        (site.rse, Place(at.prefix + directories[site.rse], "source"))
        for site in sites
        if site.rse in tried and (at := _door(site, "copy_from")) is not None
    )
    return Plan(probe, rows, sources, tuple(copies))


def _directory(probe: str, number: object) -> str:
    return f"fdr-probe-{probe}-{number}"


def _rows(probe: str, site: Site, numbers: Iterator[int]) -> Iterator[Row]:
    """Yield a row for each endpoint; one that says why, where there is none."""
    if site.missing:
        yield Row(site.rse, missing=site.missing)
        return
    if not site.endpoints:
        yield Row(site.rse, skipped=f"{site.rse} {NO_ENDPOINT}")
    for endpoint in site.endpoints:
        row = Row(
            site.rse,
            endpoint.scheme,
            endpoint.prefix,
            skipped=site.unavailable("write", "delete") or _not_offered(endpoint),
            unread=site.unavailable("read") or ("" if endpoint.read else "it is not offered for reading"),
        )
        if row.skipped:
            yield row
            continue
        place = Place(endpoint.prefix + _directory(probe, next(numbers)), "put")
        yield Row(row.rse, row.scheme, row.endpoint, place, unread=row.unread)


def _not_offered(endpoint: Endpoint) -> str:
    lacking = [
        f"{word}ing"
        for word, offered in (("writ", endpoint.write), ("delet", endpoint.delete))
        if not offered
    ]
    return f"it is not offered for {' or '.join(lacking)}" if lacking else ""


def _copy(src: Site, dst: Site, directories: dict[str, str]) -> Copy:
    skipped = _why_not(src, dst)
    between = copying(src, dst)
    source_door, door = _door(src, "copy_from"), _door(dst, "copy_to")
    if skipped or between is None or source_door is None or door is None:
        if not skipped and between is None:
            skipped = "no two of their protocols fit together for third-party copies"
        if not skipped:
            rse = src.rse if source_door is None else dst.rse
            skipped = f"{rse} offers no protocol for {'writing and ' * (source_door is None)}deleting"
        return Copy(src.rse, dst.rse, skipped=skipped)
    name = f"from-{src.rse}"
    return Copy(
        src.rse,
        dst.rse,
        dst.fts,
        source=f"{between[0].prefix}{directories[src.rse]}/source",
        destination=f"{between[1].prefix}{directories[dst.rse]}/{name}",
        there=Place(door.prefix + directories[dst.rse], name),
        verify={(True, True): "both", (True, False): "source", (False, True): "target"}.get(
            (src.sums, dst.sums), "none"
        ),
    )


def _why_not(src: Site, dst: Site) -> str:
    for site in (src, dst):
        if site.missing:
            return f"{site.rse} {site.missing}"
        if not site.endpoints:
            return f"{site.rse} {NO_ENDPOINT}"
    unavailable = src.unavailable("read", "write", "delete") or dst.unavailable("write", "delete")
    lacking = next((f"{site.rse} {NO_FTS}" for site in (src, dst) if not site.fts), "")
    return unavailable or lacking


def _door(site: Site, copies: str) -> Endpoint | None:
    """Return where fdr itself writes or deletes what is copied: where FTS copies, or else where it can.

    All protocols of an RSE lead to the same files.
    """
    usable = [one for one in site.endpoints if one.delete and (one.write or copies == "copy_to")]
    return min(
        usable, key=lambda one: (getattr(one, copies) or 99, one.write or 99, one.delete), default=None
    )
