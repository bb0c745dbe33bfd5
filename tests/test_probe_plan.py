"""A probe's plan tries all that it may, leaves out the rest with the reason, and names nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fdr.probe.asked import Part
from fdr.probe.plan import Plan, plan_probe
from fdr.probe.site import Endpoint, Site

ID = "20261127T210000-7f3a"
FTS = "https://fts.example.org:8446"
BOTH = frozenset(Part)


def a_site(rse: str, *endpoints: Endpoint, **changes: object) -> Site:
    host = rse.lower()
    usual = (
        Endpoint("root", f"root://{host}:1094//rucio/", 1, 1, 1, 2, 2),
        Endpoint("davs", f"davs://{host}:443/rucio/", 2, 2, 2, 1, 1),
    )
    return replace(Site(rse, endpoints or usual, fts=FTS), **changes)


A, B, C = a_site("A"), a_site("B"), a_site("C")


def skipped_copies(plan: Plan) -> dict[str, str]:
    return {f"{copy.src}{copy.dst}": copy.skipped for copy in plan.copies if copy.skipped}


def test_every_protocol_and_every_ordered_pair_is_tried() -> None:
    """A row for each endpoint, a copy for each pair, over the protocols that copies prefer."""
    plan = plan_probe(ID, [A, B, C], BOTH)
    assert [(row.rse, row.scheme) for row in plan.rows] == [
        (rse, scheme) for rse in "ABC" for scheme in ("root", "davs")
    ]
    assert [f"{copy.src}{copy.dst}" for copy in plan.copies] == ["AB", "AC", "BA", "BC", "CA", "CB"]
    assert not skipped_copies(plan)
    copy = plan.copies[0]
    assert (copy.source, copy.destination) == (
        f"davs://a:443/rucio/fdr-probe-{ID}-6/source",
        f"davs://b:443/rucio/fdr-probe-{ID}-7/from-A",
    )
    assert (copy.fts, copy.verify) == (FTS, "both")
    assert dict(plan.sources)["A"].url == copy.source


def test_directories_are_the_probes_alone_and_rows_share_none() -> None:
    """A storage that removes a directory with all in it removes nothing of anybody else's."""
    plan = plan_probe(ID, [A, B, C], BOTH)
    urls = [place.url for place in plan.places]
    assert len(urls) == len(set(urls)) == 6 + 3 + 6
    names = [place.directory.rpartition("/")[2] for place in plan.places]
    assert all(ID in name for name in names)
    of_rows = [row.place.directory.rpartition("/")[2] for row in plan.rows if row.place]
    assert len(of_rows) == len(set(of_rows))
    assert not set(of_rows) & set(names[len(of_rows) :])


@pytest.mark.parametrize(
    ("off", "rows", "copies"),
    [
        ("write", "A is not available for writing", {"AB", "BA"}),
        ("delete", "A is not available for deleting", {"AB", "BA"}),
        ("read", "", {"AB"}),
    ],
)
def test_what_availability_forbids_is_left_out_and_said(off: str, rows: str, copies: set[str]) -> None:
    """Where nothing may be deleted, nothing is put; where nothing may be read, all but reading is tried."""
    plan = plan_probe(ID, [replace(A, off=frozenset({off})), B], BOTH)
    of_a = [row for row in plan.rows if row.rse == "A"]
    assert {row.skipped for row in of_a} == {rows}
    assert {row.unread for row in of_a} == ({"A is not available for reading"} if off == "read" else {""})
    assert all(bool(row.place) is not bool(row.skipped) for row in plan.rows)
    told = skipped_copies(plan)
    assert set(told) == copies
    assert set(told.values()) == {rows or "A is not available for reading"}


def test_a_protocol_that_offers_no_writing_is_left_out_and_another_takes_its_part() -> None:
    """Copies go over it all the same; fdr writes and deletes over the other, in the same directory."""
    read_only = Endpoint("davs", "davs://d:443/rucio/", 1, 0, 0, 1, 1)
    writing = Endpoint("root", "root://d:1094//rucio/", 2, 1, 1)
    plan = plan_probe(ID, [a_site("D", read_only, writing), A], BOTH)
    assert [row.skipped for row in plan.rows[:2]] == ["it is not offered for writing or deleting", ""]
    to_d = next(copy for copy in plan.copies if copy.dst == "D")
    assert to_d.there is not None
    assert to_d.destination.startswith("davs://d:443/rucio/")
    assert to_d.there.url == to_d.destination.replace("davs://d:443/", "root://d:1094//")
    assert dict(plan.sources)["D"].url.startswith("root://d:1094//rucio/")
    from_d = next(copy for copy in plan.copies if copy.src == "D")
    assert from_d.source == dict(plan.sources)["D"].url.replace("root://d:1094//", "davs://d:443/")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(B, fts=""), "B has no attribute fts"),
        (replace(B, endpoints=()), "B offers no protocol over the wide area"),
        (Site("B", missing="is not an RSE of this lake"), "B is not an RSE of this lake"),
        (
            a_site("B", Endpoint("rsync", "rsync://b/", 1, 1, 1, 1, 1)),
            "no two of their protocols fit together for third-party copies",
        ),
        (a_site("B", Endpoint("davs", "davs://b/", 1, 1, 0, 1, 1)), "B offers no protocol for deleting"),
    ],
)
def test_pairs_that_cannot_be_copied_say_why(other: Site, why: str) -> None:
    """To it; from it, and between others, what can be tried is."""
    plan = plan_probe(ID, [A, other, C], BOTH)
    told = skipped_copies(plan)
    assert told["AB"] == why
    assert not {"AC", "CA"} & told.keys()


def test_an_rse_that_is_not_there_is_a_failure_and_not_skipped() -> None:
    """Who names it wants to know."""
    (row,) = plan_probe(ID, [Site("X", missing="is not an RSE of this lake")], {Part.STORAGES}).rows
    assert (row.missing, row.skipped, row.place) == ("is not an RSE of this lake", "", None)


def test_what_is_compared_is_what_both_can_sum() -> None:
    """As Rucio asks FTS."""
    deaf = replace(B, sums=False)
    plan = plan_probe(ID, [A, deaf, replace(C, sums=False)], BOTH)
    assert {f"{copy.src}{copy.dst}": copy.verify for copy in plan.copies} == {
        "AB": "source", "AC": "source", "BA": "target", "BC": "none", "CA": "target", "CB": "none",
    }  # fmt: skip


def test_half_a_probe_is_half_a_plan() -> None:
    """Nothing is put for what is not tried."""
    storages, transfers = (plan_probe(ID, [A, B], {part}) for part in Part)
    assert (len(storages.rows), storages.sources, storages.copies) == (4, (), ())
    assert (transfers.rows, len(transfers.sources), len(transfers.copies)) == ((), 2, 2)
    alone = plan_probe(ID, [A], BOTH)
    assert (alone.sources, alone.copies) == ((), ())
