"""The lake prepares itself from a scenario, and doing it twice changes nothing."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fdr.connection import read_connection
from fdr.errors import LakeUnusable
from fdr.lake import postgres
from fdr.lake.embedded import current_settings
from fdr.lake.prepare import prepare_embedded, prepare_foreign
from fdr.lake.status import status
from fdr.model import Rse
from tests.lake.smoke import smoke

if TYPE_CHECKING:
    from fdr.lake.home import LakeHome
    from fdr.model import Scenario

pytestmark = pytest.mark.lake
TABLES = (
    *("rses", "rse_attr_map", "rse_protocols", "rse_limits", "distances"),
    *("accounts", "identities", "account_map", "scopes", "account_limits", "account_glob_limits"),
)


def dump(lake: LakeHome) -> str:
    """Return the rows of every table that preparing writes, as PostgreSQL dumps them."""
    settings = current_settings(lake)
    tables = [word for table in TABLES for word in ("-t", table)]
    connecting = ["-h", str(postgres.socket_directory(lake)), "-U", postgres.USER]
    done = subprocess.run(
        [str(postgres.binaries() / "pg_dump"), *connecting, "--data-only", *tables, postgres.DATABASE],
        env={"PGPASSWORD": settings.secrets["database"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout)


def rows(lake: LakeHome, sql: str) -> list[tuple[str, ...]]:
    """Ask Rucio's database itself."""
    return postgres.query(lake, current_settings(lake), sql)


def with_new_rse(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario with one more RSE."""
    rse = Rse(name, 10**10, 10**9, "FAST", {"country": "FR"}, ("davs",))
    return replace(scenario, rses={**scenario.rses, name: rse})


def test_preparing_twice_changes_nothing(lake: LakeHome) -> None:
    """Not one row of Rucio's tables, not one process."""
    before, pids = dump(lake), {row.service: row.pid for row in status(lake)}
    assert prepare_embedded(lake, smoke()) == []
    assert dump(lake) == before
    assert {row.service: row.pid for row in status(lake)} == pids
    assert "cta_fdr" in before


def test_rses_have_what_the_scenario_says(lake: LakeHome) -> None:
    """Quota, watermark, QoS, attributes, both protocols, and distances between all."""
    scenario = smoke()
    for rse in scenario.rses.values():
        where = f"FROM rses JOIN {{}} t ON t.rse_id = rses.id WHERE rse = '{rse.name}'"
        attributes = dict(rows(lake, f"SELECT t.key, t.value {where.format('rse_attr_map')}"))  # type: ignore[arg-type]
        assert attributes["QOS"] == rse.qos
        assert {key: attributes[key] for key in rse.attributes} == dict(rse.attributes)
        assert attributes["fts"] == current_settings(lake).fts
        assert rows(lake, f"SELECT t.name, t.value {where.format('rse_limits')}") == [
            ("MinFreeSpace", str(rse.watermark_bytes))
        ]
        usage = rows(lake, f"SELECT used + free {where.format('rse_usage')} AND source = 'storage'")
        assert usage == [(str(rse.quota_bytes),)]
        schemes = rows(lake, f"SELECT t.scheme {where.format('rse_protocols')} ORDER BY t.write_wan")
        assert tuple(scheme for (scheme,) in schemes) == rse.protocols
    names = ", ".join(f"'{name}'" for name in scenario.rses)
    ids = f"(SELECT id FROM rses WHERE rse IN ({names}))"
    distances = f"SELECT distance FROM distances WHERE src_rse_id IN {ids} AND dest_rse_id IN {ids}"
    assert rows(lake, distances) == [("1",)] * (len(scenario.rses) * (len(scenario.rses) - 1))


def test_accounts_have_scopes_and_limits_and_are_not_administrators(lake: LakeHome) -> None:
    """The limit is the scenario's quota, -1 where it names none; no account is an administrator."""
    for experiment in smoke().experiments.values():
        account = experiment.account
        assert (experiment.scope, account) in rows(lake, "SELECT scope, account FROM scopes")
        held = "account_limits JOIN rses ON rses.id = rse_id"
        limits = rows(lake, f"SELECT rse, bytes FROM {held} WHERE account = '{account}'")
        known = {rse: int(limit) for rse, limit in limits}
        assert {rse: known[rse] for rse in smoke().rses} == {
            rse: experiment.quota.get(rse, -1) for rse in smoke().rses
        }
        assert rows(lake, f"SELECT account_type FROM accounts WHERE account = '{account}'") == [("SERVICE",)]
        assert rows(lake, f"SELECT key FROM account_attr_map WHERE account = '{account}'") == []


def test_a_scenario_with_one_more_rse_adds_it_to_a_lake_that_is_up(lake: LakeHome) -> None:
    """A storage is started for it, only the conveyor is started anew, and what was there stays."""
    name = "PREPARE-EXTRA"
    before = {row.service: row.pid for row in status(lake)}
    changed = prepare_embedded(lake, with_new_rse(smoke(), name))
    after = {row.service: row.pid for row in status(lake)}
    if changed:  # else an earlier run of this test, on a lake that was kept, did it
        assert f"RSE {name}" in changed
        moved = {service for service, pid in before.items() if after[service] != pid}
        assert moved == {"conveyor-submitter", "conveyor-poller", "conveyor-finisher"}
    assert f"xrootd-{name}" in after
    assert prepare_embedded(lake, with_new_rse(smoke(), name)) == []
    assert prepare_embedded(lake, smoke()) == []


def test_a_foreign_lake_gets_accounts_but_never_an_rse(lake: LakeHome) -> None:
    """What is missing among the RSEs is an error before anything is changed."""
    connection = read_connection(lake.client_cfg)
    before = dump(lake)
    with pytest.raises(LakeUnusable, match="there is no RSE NOWHERE"):
        prepare_foreign(connection, with_new_rse(smoke(), "NOWHERE"))
    assert dump(lake) == before
    scenario = smoke()
    experiment = next(iter(scenario.experiments.values()))
    guest = replace(experiment, account="guest", scope="guest_fdr", quota={})
    changed = prepare_foreign(connection, replace(scenario, experiments={"GUEST": guest}))
    expected = {"account guest", "account guest: identity fdr", "account guest: scope guest_fdr"}
    assert expected <= set(changed) or changed == []
    assert not [text for text in changed if text.startswith("RSE")]
    assert prepare_foreign(connection, replace(scenario, experiments={"GUEST": guest})) == []
