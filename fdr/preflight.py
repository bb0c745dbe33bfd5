"""Find out, before anything is injected, whether a lake can be rehearsed on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fdr.catalog import Catalog, RseFacts
from fdr.dataset_plan import upload_rses
from fdr.errors import LakeError, LakeUnusable
from fdr.expression import matching
from fdr.model import Did, Experiment, Scenario
from fdr.pfn import Locator
from fdr.storage.base import Storage

CHECK_FILE = "fdr-check"


async def check_lake(
    scenario: Scenario, run: str, catalog: Catalog, storage: Storage, *, must_write: bool = True
) -> dict[str, Locator]:
    """Return how to locate files at every RSE that the scenario uploads to.

    Asks Rucio for every account, scope, quota, RSE and RSE expression, and puts and removes a small file at
    every RSE to be written, unless ``must_write`` is false: a run that goes on does so though a site is down.
    Raises LakeUnusable with all that is wrong, a line each.
    """
    try:
        await catalog.log_in(next(iter(scenario.experiments.values())).account)
        problems = await _accounts(scenario, catalog)
        if problems:
            raise LakeUnusable("\n".join(problems))
        found = await _rses(scenario, catalog)
        problems = [
            *(f"RSE {name}: Rucio does not know it" for name, facts in found.items() if facts is None),
            *await _expressions(scenario, catalog),
            *await _scopes(scenario, catalog),
            *await _quotas(scenario, catalog),
        ]
    except LakeError as error:
        raise LakeUnusable(str(error)) from error
    written = upload_rses(scenario)
    facts = {name: found[name] for name in written}
    problems += _not_located(facts)
    if must_write:
        problems += _unwritable(facts)
    if problems:
        raise LakeUnusable("\n".join(problems))
    locators = {name: Locator(rse) for name, rse in facts.items() if rse is not None}
    if not must_write:
        return locators
    failures = await try_writing(next(iter(scenario.experiments.values())).scope, run, storage, locators)
    if failures:
        raise LakeUnusable(
            "\n".join(f"RSE {name}: cannot be written: {error}" for name, error in failures.items())
        )
    return locators


def _first_users(scenario: Scenario) -> Mapping[str, Experiment]:
    """Return one experiment for every account."""
    users: dict[str, Experiment] = {}
    for experiment in scenario.experiments.values():
        users.setdefault(experiment.account, experiment)
    return users


async def _accounts(scenario: Scenario, catalog: Catalog) -> list[str]:
    problems = []
    for account, experiment in _first_users(scenario).items():
        try:
            await catalog.log_in(account)
        except LakeError as error:
            if error.reason != "unauthenticated":
                raise
            problems.append(f"experiments.{experiment.name}: {error}")
    return problems


async def _rses(scenario: Scenario, catalog: Catalog) -> dict[str, RseFacts | None]:
    account = next(iter(scenario.experiments.values())).account
    return {name: await catalog.rse(account, name) for name in scenario.rses}


async def _expressions(scenario: Scenario, catalog: Catalog) -> list[str]:
    problems = []
    asked: dict[str, frozenset[str]] = {}
    for experiment in scenario.experiments.values():
        for number, rule in enumerate(experiment.rules):
            if rule.to not in asked:
                asked[rule.to] = await catalog.matching_rses(experiment.account, rule.to)
            matching = len(asked[rule.to])
            if matching < rule.copies:
                problems.append(
                    f"experiments.{experiment.name}.rules[{number}]: {rule.to!r} matches {matching} RSEs on "
                    f"this lake, and {rule.copies} copies are wanted"
                )
    return problems


async def _scopes(scenario: Scenario, catalog: Catalog) -> list[str]:
    problems = []
    owned = {account: await catalog.scopes_of(account) for account in _first_users(scenario)}
    for experiment in scenario.experiments.values():
        if experiment.scope in owned[experiment.account]:
            continue
        exists = experiment.scope in await catalog.all_scopes(experiment.account)
        what = f"is not {experiment.account}'s: it may not write there" if exists else "does not exist"
        problems.append(f"experiments.{experiment.name}: the scope {experiment.scope} {what}")
    return problems


async def _quotas(scenario: Scenario, catalog: Catalog) -> list[str]:
    """Say where an account may keep nothing, though files are put there: Rucio would refuse its datasets."""
    problems = []
    quotas = {account: await catalog.account_limits(account) for account in _first_users(scenario)}
    for experiment in scenario.experiments.values():
        limits = quotas[experiment.account]
        problems += [
            f"experiments.{experiment.name}: {experiment.account} has no quota at {rse}, where its files are "
            "put: it needs an account limit there"
            for rse in sorted(matching(experiment.inject.to, scenario.rses))
            if limits is not None and not limits.get(rse)
        ]
    return problems


def _not_located(rses: Mapping[str, RseFacts | None]) -> list[str]:
    problems = []
    for name, rse in rses.items():
        if rse is not None and not rse.deterministic:
            problems.append(f"RSE {name}: is not deterministic: fdr cannot tell where its files go")
        if rse is not None and not rse.prefixes:
            problems.append(f"RSE {name}: offers no protocol for writing over the wide area")
    return problems


def _unwritable(rses: Mapping[str, RseFacts | None]) -> list[str]:
    return [
        f"RSE {name}: is not available for writing"
        for name, rse in rses.items()
        if rse is not None and not rse.writable
    ]


async def try_writing(
    scope: str, run: str, storage: Storage, locators: Mapping[str, Locator]
) -> dict[str, LakeError]:
    """Put a small file at every RSE and remove it, all at once; return how it failed, by RSE."""

    async def try_one(locator: Locator) -> LakeError | None:
        try:
            await storage.check_writable(locator.url(Did(scope, f"{run}/{CHECK_FILE}")))
        except LakeError as error:
            return error
        return None

    failures = await asyncio.gather(*map(try_one, locators.values()))
    return {name: error for name, error in zip(locators, failures, strict=True) if error is not None}
