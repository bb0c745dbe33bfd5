"""A rule removal in memory that keeps the promises of ``fdr.rule_removal.RuleRemoval``."""

from __future__ import annotations

from tests.fakes.catalog import FakeCatalog


class FakeRuleRemoval:
    """Takes away from a fake catalogue; its ``weather`` may raise what Rucio would.

    A rule that was ended stays listed while ``judge_sleeps``, as Rucio's does until its daemon comes by.
    """

    def __init__(self, catalog: FakeCatalog) -> None:
        """Take the catalogue."""
        self.catalog = catalog
        self.judge_sleeps = False
        self.ended: list[str] = []

    async def delete_rule(self, account: str, rule_id: str, *, purge_replicas: bool = False) -> None:
        self.catalog.weather("delete_rule", rule_id)
        if rule_id in self.catalog.rules_added:
            self.ended.append(rule_id)
        if not self.judge_sleeps:
            self.catalog.rules_added.pop(rule_id, None)
