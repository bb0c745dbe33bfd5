"""What an action is performed with: the lake's two doors, the journal, and the names of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fdr.catalog import Catalog
from fdr.clock import Clock
from fdr.dataset_plan import upload_rule
from fdr.datasets import OpenDatasets
from fdr.journal.writer import Journal
from fdr.model import Action, Did, Rule, Scenario
from fdr.names import dataset_name, did_name
from fdr.payload import Payload
from fdr.pfn import Locator
from fdr.registrar import Registrar
from fdr.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Context:
    """One run on one lake."""

    run: str
    date: str
    scenario: Scenario
    catalog: Catalog
    storage: Storage
    locators: Mapping[str, Locator]
    journal: Journal
    clock: Clock
    registrars: Mapping[str, Registrar]
    datasets: OpenDatasets = field(default_factory=OpenDatasets)

    def account(self, action: Action) -> str:
        """Return the account that performs an action."""
        return self.scenario.experiments[action.experiment].account

    def dataset(self, action: Action) -> Did:
        """Return the dataset that an action is about."""
        experiment = self.scenario.experiments[action.experiment]
        return Did(experiment.scope, dataset_name(experiment, self.run, action.dataset))

    def upload_rule(self, action: Action) -> Rule:
        """Return the rule that a dataset is created with."""
        if action.rse is None:
            raise ValueError(f"{action.kind} has no RSE")
        return upload_rule(self.scenario.experiments[action.experiment], action.rse)

    def rule(self, action: Action) -> Rule:
        """Return the rule that an action adds."""
        if action.rule is None:
            raise ValueError(f"{action.kind} has no rule")
        return self.scenario.experiments[action.experiment].rules[action.rule]

    def file(self, action: Action) -> Did:
        """Return the file that an upload makes."""
        if action.file is None:
            raise ValueError(f"{action.kind} has no file")
        experiment = self.scenario.experiments[action.experiment]
        name = did_name(experiment, self.run, self.date, action.dataset, action.file)
        return Did(experiment.scope, name)

    def payload(self, file: Did, size_bytes: int) -> Payload:
        """Return the bytes of a file of the run: the same whenever they are asked for."""
        return Payload(f"{self.scenario.seed}/{file}", size_bytes)
