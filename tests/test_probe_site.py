"""What Rucio says of an RSE is read as Rucio's own daemons read it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.probe.site import Endpoint, Site, copying, site_from

OPERATIONS = ("read", "write", "delete", "third_party_copy_read", "third_party_copy_write")


def protocol(scheme: str, *priorities: int | None, **changes: Any) -> dict[str, Any]:
    """Return a protocol as Rucio answers it; the priorities are those of OPERATIONS, over the wide area."""
    row = {
        "scheme": scheme,
        "hostname": "se.example.org",
        "port": 1094,
        "prefix": "/rucio",
        "domains": {"lan": {}, "wan": dict(zip(OPERATIONS, priorities, strict=False))},
        "extended_attributes": None,
    }
    return row | changes


def site(*protocols: dict[str, Any], attributes: dict[str, Any] | None = None, **settings: Any) -> Site:
    return site_from("SITE", {"protocols": list(protocols), **settings}, attributes or {})


def test_every_protocol_of_the_wide_area_is_an_endpoint() -> None:
    """In the order in which Rucio would write; one that is for the local network only is none."""
    found = site(
        protocol("davs", 2, 2, 2, 1, 1, port=443),
        protocol("root", 1, 1, 1, 2, 2, prefix="//rucio/"),
        protocol("file", None, 0, None, None, None),
    )
    assert found.endpoints == (
        Endpoint("root", "root://se.example.org:1094//rucio/", 1, 1, 1, 2, 2),
        Endpoint("davs", "davs://se.example.org:443/rucio/", 2, 2, 2, 1, 1),
    )


@pytest.mark.parametrize(
    ("changes", "prefix"),
    [
        ({"port": 0, "prefix": "rucio"}, "root://se.example.org/rucio/"),
        ({"port": None, "prefix": "/"}, "root://se.example.org/"),
        ({"prefix": None}, "root://se.example.org:1094/"),
        (
            {"scheme": "srm", "extended_attributes": {"web_service_path": "/srm/managerv2?SFN="}},
            "srm://se.example.org:1094/srm/managerv2?SFN=/rucio/",
        ),
    ],
)
def test_urls_begin_as_rucio_writes_them(changes: dict[str, Any], prefix: str) -> None:
    """With the port where there is one, and what SRM wants."""
    (endpoint,) = site(protocol("root", 1, 1, 1) | changes).endpoints
    assert endpoint.prefix == prefix


def test_availability_is_told_in_words() -> None:
    """Only of what is asked for, in the order in which it is."""
    off = site(availability_read=True, availability_write=False, availability_delete=False)
    assert off.unavailable("delete", "write") == "SITE is not available for deleting and writing"
    assert off.unavailable("read") == site().unavailable("read", "write", "delete") == ""


@pytest.mark.parametrize(
    ("attributes", "sums"),
    [
        ({}, True),
        ({"supported_checksums": "md5, adler32"}, True),
        ({"supported_checksums": "md5"}, False),
        ({"supported_checksums": "none"}, False),
        ({"verify_checksum": False}, False),
        ({"verify_checksum": "False"}, False),
    ],
)
def test_checksums_are_asked_for_where_rucio_does(attributes: dict[str, Any], sums: bool) -> None:
    """Adler32 is supported unless an attribute says otherwise."""
    assert site(attributes=attributes).sums is sums


def test_the_first_fts_of_several_counts() -> None:
    """As Rucio takes it at the first attempt; without the slash at its end."""
    assert site(attributes={"fts": "https://a:8446/, https://b:8446"}).fts == "https://a:8446"
    assert site().fts == ""


protocols = st.lists(
    st.tuples(
        st.sampled_from(["root", "davs", "https", "srm", "srm+https", "rsync"]),
        st.integers(1, 9),
        st.booleans(),
    ),
    max_size=4,
    unique_by=(lambda row: row[0], lambda row: row[1]),
)


@given(protocols, protocols)
def test_copies_go_over_what_rucio_itself_would_choose(src: Any, dst: Any) -> None:
    """Its own function says the same, or finds nothing either."""
    from rucio.common.exception import RSEProtocolNotSupported
    from rucio.rse.rsemanager import find_matching_scheme

    def rows(chosen: Any) -> list[dict[str, Any]]:
        return [protocol(scheme, 1, 1, 1, *[at if is_on else None] * 2) for scheme, at, is_on in chosen]

    between = copying(site(*rows(src)), site(*rows(dst)))
    try:
        to, from_, *_ = find_matching_scheme(
            {"protocols": rows(dst)},
            {"protocols": rows(src)},
            "third_party_copy_read",
            "third_party_copy_write",
        )
    except RSEProtocolNotSupported:
        assert between is None
    else:
        assert between is not None
        assert (between[0].scheme, between[1].scheme) == (from_, to)
