"""What Rucio is told of storages and accounts."""

from __future__ import annotations

from dataclasses import replace

from fdr.lake.endpoints import protocols
from fdr.lake.prepare import _wanted_accounts
from fdr.lake.settings import Site
from fdr.model import Arrivals, Experiment, FixedSize, Inject, Limits, Rse, Rule, Scenario, When

INJECT = Inject(10, FixedSize(1000), 5, "A", Arrivals.CONSTANT, "{run}/{file}")
UPLOAD_RULE = Rule("A", 1, 3600, "Functional Test", When.AT_CREATION)


def scenario(*experiments: Experiment) -> Scenario:
    """Return a scenario of these experiments on two RSEs."""
    rses = {name: Rse(name, 10**9, 10**8, "SAFE", {}) for name in ("A", "B")}
    return Scenario(
        "test", "", 60, 1, 1, 1, 1, 10, rses, {one.name: one for one in experiments}, (), Limits()
    )


def experiment(name: str, quota: dict[str, int]) -> Experiment:
    """Return an experiment of the account cta."""
    return Experiment(name, "cta", f"{name.lower()}_fdr", INJECT, UPLOAD_RULE, (), quota, 3600)


def test_the_first_protocol_is_preferred_for_writing_and_root_for_copies() -> None:
    """Priorities count from 1, the best; a protocol is offered for copies too."""
    site = Site("A", "127.0.1.1", 20001, 20002, ("root", "davs"))
    rows = {row["scheme"]: row for row in protocols(site)}
    assert [rows[scheme]["domains"]["wan"]["write"] for scheme in ("root", "davs")] == [1, 2]
    assert [rows[scheme]["domains"]["wan"]["third_party_copy_write"] for scheme in ("root", "davs")] == [1, 2]
    assert [rows[scheme]["port"] for scheme in ("root", "davs")] == [20001, 20002]
    turned = {row["scheme"]: row for row in protocols(replace(site, protocols=("davs", "root")))}
    assert [turned[scheme]["domains"]["wan"]["write"] for scheme in ("root", "davs")] == [2, 1]
    assert [turned[scheme]["domains"]["wan"]["third_party_copy_write"] for scheme in ("root", "davs")] == [
        1,
        2,
    ]


def test_a_storage_with_one_protocol_copies_by_that() -> None:
    """Priority 0 would mean that it cannot."""
    (row,) = protocols(Site("A", "127.0.1.1", 20001, 20002, ("root",)))
    assert row["domains"]["wan"]["third_party_copy_read"] == 1


def test_an_rse_without_a_quota_is_unlimited() -> None:
    """No limit at all would mean quota 0 to Rucio."""
    (account,) = _wanted_accounts(scenario(experiment("CTA", {"A": 5})), {"cta": {}})
    assert account.limits == {"A": 5, "B": -1}


def test_two_experiments_may_share_an_account() -> None:
    """It gets both scopes, and at each RSE the larger limit."""
    both = scenario(experiment("CTA", {"A": 5, "B": 7}), experiment("MAGIC", {"A": 9}))
    (account,) = _wanted_accounts(both, {"cta": {}})
    assert account.scopes == ("cta_fdr", "magic_fdr")
    assert account.limits == {"A": 9, "B": -1}
