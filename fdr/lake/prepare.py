"""Make a lake ready for a scenario: RSEs, accounts, identities, scopes, limits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fdr.connection import read_connection
from fdr.errors import LakeUnusable
from fdr.lake import storages
from fdr.lake.composition import configure
from fdr.lake.embedded import current_settings, silent
from fdr.lake.endpoints import administer, protocols
from fdr.lake.readiness import wait_for_heartbeats
from fdr.lake.rucio_admin import UNLIMITED, WantedAccount, WantedRse
from fdr.lake.rucio_services import IDENTITY, TOPOLOGY_KEEPERS
from fdr.lake.settings import new_password, with_sites, write_settings
from fdr.lake.supervision import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fdr.connection import Connection
    from fdr.lake.home import LakeHome
    from fdr.lake.rucio_admin import RucioAdmin
    from fdr.lake.settings import Settings, Site
    from fdr.model import Rse, Scenario


def prepare_embedded(home: LakeHome, scenario: Scenario, say: Callable[[str], None] = silent) -> list[str]:
    """Make the embedded lake, which is up, ready for a scenario, and return what was changed.

    What is there already stays, other scenarios' RSEs among it; doing it twice changes nothing. Raises
    LakeUnusable when the lake is not up or a new storage does not answer.
    """
    with home.lock():
        old = current_settings(home)
        if not Keeper(home).answers():
            raise LakeUnusable(f"{home.directory}: the lake is not up: run 'fdr lake up'")
        settings = with_sites(old, {name: rse.protocols for name, rse in scenario.rses.items()})
        accounts = {one.account for one in scenario.experiments.values()}
        new_accounts = {name: new_password() for name in sorted(accounts - set(old.account_passwords))}
        settings = replace(settings, account_passwords={**old.account_passwords, **new_accounts})
        if settings != old:
            write_settings(home.settings_file, settings)
            configure(home, settings)
            Keeper(home).reread()
        storages.start(home, settings, say)
        changed = administer(
            read_connection(home.client_cfg), lambda admin: _prepare_ours(admin, settings, scenario)
        )
        if any(text.startswith(("RSE ", "distance ")) for text in changed):
            say("restarting the conveyor, which keeps the RSEs in memory")
            keeper = Keeper(home)
            keeper.restart(TOPOLOGY_KEEPERS)
            wait_for_heartbeats(home, settings, keeper, TOPOLOGY_KEEPERS)
        return changed


def prepare_account(home: LakeHome, account: str, scope: str) -> list[str]:
    """Make an account, its scope and its limits at every RSE of the embedded lake; return what was changed.

    RSEs and storages are left as they are. Raises LakeUnusable when the lake is not up.
    """
    with home.lock():
        old = current_settings(home)
        if not Keeper(home).answers():
            raise LakeUnusable(f"{home.directory}: the lake is not up: run 'fdr lake up'")
        passwords = {account: new_password(), **old.account_passwords}
        settings = replace(old, account_passwords=passwords)
        if settings != old:
            write_settings(home.settings_file, settings)
            configure(home, settings)
        identities = {account: passwords[account], IDENTITY: settings.secrets["rucio"]}
        wanted = WantedAccount(account, (scope,), dict.fromkeys(settings.sites, UNLIMITED), identities)
        return administer(read_connection(home.client_cfg), lambda admin: admin.prepare_accounts([wanted]))


def prepare_foreign(connection: Connection, scenario: Scenario) -> list[str]:
    """Make a lake that is not ours ready for a scenario, and return what was changed.

    RSEs are never added, nor is anything of theirs altered but a QOS attribute that is missing. Accounts
    come with the identity that the connection has for them. Raises LakeUnusable, before any change,
    when an RSE of the scenario is missing or an account has no password to be given.
    """
    return administer(connection, lambda admin: _prepare_theirs(admin, connection, scenario))


async def _prepare_ours(admin: RucioAdmin, settings: Settings, scenario: Scenario) -> list[str]:
    identities = {
        name: {name: password, IDENTITY: settings.secrets["rucio"]}
        for name, password in settings.account_passwords.items()
    }
    return await prepare_whole(admin, scenario, settings.sites, settings.fts, identities)


async def prepare_whole(
    admin: RucioAdmin,
    scenario: Scenario,
    sites: Mapping[str, Site],
    fts: str,
    identities: Mapping[str, Mapping[str, str | None]],
) -> list[str]:
    """Make a lake of ours ready for a scenario, RSEs included, and return what was changed.

    ``sites`` are its storages by RSE, ``identities`` those of each account with their passwords, as
    ``WantedAccount`` has them. Raises LakeUnusable.
    """
    rses = [_wanted_rse(rse, sites[rse.name], fts) for rse in scenario.rses.values()]
    # no limit means no quota at all, for root too, and whoever tries the rucio command tries it as root
    root = WantedAccount("root", (), dict.fromkeys(scenario.rses, UNLIMITED), {})
    changed = await admin.prepare_rses(rses)
    return changed + await admin.prepare_accounts([root, *_wanted_accounts(scenario, identities)])


async def _prepare_theirs(admin: RucioAdmin, connection: Connection, scenario: Scenario) -> list[str]:
    missing = sorted(set(scenario.rses) - await admin.rse_names())
    if missing:
        raise LakeUnusable(
            f"{connection.name}: there is no RSE {', '.join(missing)}: add it to Rucio, or take it out of "
            "the scenario"
        )
    identities: dict[str, dict[str, str | None]] = {}
    for account in sorted({one.account for one in scenario.experiments.values()}):
        identity = connection.identities.get(account, connection.identity)
        if identity.auth_type != "userpass":
            raise LakeUnusable(
                f"{connection.name}: account {account} authenticates with {identity.auth_type}, which "
                "--prepare cannot set up: let an administrator of that Rucio add the account and its identity"
            )
        identities[account] = {identity.credentials["username"]: identity.credentials["password"]}
    changed: list[str] = []
    for rse in scenario.rses.values():
        if rse.qos is not None:
            changed += await admin.prepare_attributes(rse.name, {"QOS": rse.qos})
    return changed + await admin.prepare_accounts(_wanted_accounts(scenario, identities))


def _wanted_rse(rse: Rse, site: Site, fts: str) -> WantedRse:
    attributes = {
        **rse.attributes,
        **({"QOS": rse.qos} if rse.qos is not None else {}),
        "fts": fts,
        "lfn2pfn_algorithm": "hash",
        # free space is the quota less what Rucio put there, so that the watermark means something
        "source_for_used_space": "rucio",
    }
    return WantedRse(rse.name, protocols(site), attributes, rse.quota_bytes, rse.watermark_bytes)


def _wanted_accounts(
    scenario: Scenario, identities: Mapping[str, Mapping[str, str | None]]
) -> list[WantedAccount]:
    """Fold experiments into accounts: two may share one, and then its larger limit counts."""
    wanted: dict[str, WantedAccount] = {}
    for experiment in scenario.experiments.values():
        limits = {rse: experiment.quota.get(rse, UNLIMITED) for rse in scenario.rses}
        before = wanted.get(experiment.account)
        scopes: tuple[str, ...] = (experiment.scope,)
        if before is not None:
            scopes = tuple(dict.fromkeys((*before.scopes, experiment.scope)))
            limits = {rse: _larger(limit, before.limits[rse]) for rse, limit in limits.items()}
        wanted[experiment.account] = WantedAccount(
            experiment.account, scopes, limits, identities[experiment.account]
        )
    return list(wanted.values())


def _larger(one: int, other: int) -> int:
    return UNLIMITED if UNLIMITED in (one, other) else max(one, other)
