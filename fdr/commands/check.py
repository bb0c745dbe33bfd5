"""Say whether a lake is ready for a scenario."""

from __future__ import annotations

from fdr.commands.options import Lake, ScenarioFile, Sets, changes, out


def check(
    scenario_file: ScenarioFile,
    lake: Lake = "local",
    sets: Sets = None,
) -> None:
    """Say whether a lake is ready for a scenario: accounts, scopes, RSEs, and that storages take files."""
    from fdr.rehearse import check as check_lake

    check_lake(scenario_file, changes(sets), lake, out.print)
