"""What a scenario will need, and where it does not fit. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdr.dataset_plan import dataset_count, files_at
from fdr.expression import matching
from fdr.sizes import largest_bytes, mean_bytes
from fdr.units import format_rate, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fdr.model import Experiment, Rule, Scenario

FILES_A_REGISTRATION = 1000  # Rucio's limit for one call of attach_dids_to_dids


@dataclass(frozen=True, slots=True)
class ExperimentForecast:
    """What an experiment will do: exact counts; bytes and transfers are expected values.

    ``transfers`` are copies of files that its rules make where the files are not yet.
    """

    experiment: str
    account: str
    files: int
    bytes: float
    datasets: int
    rules: int
    transfers: float
    files_per_second: float


@dataclass(frozen=True, slots=True)
class RseForecast:
    """What is expected to lie at an RSE when all is done, in bytes: uploaded, and copied by rules."""

    rse: str
    qos: str | None
    quota_bytes: int | None
    watermark_bytes: int | None
    uploaded_bytes: float
    copied_bytes: float

    @property
    def total_bytes(self) -> float:
        """Return what is expected there in all."""
        return self.uploaded_bytes + self.copied_bytes


@dataclass(frozen=True, slots=True)
class LinkForecast:
    """What is expected to go from one RSE to another."""

    src: str
    dst: str
    files: float
    bytes: float


@dataclass(frozen=True, slots=True)
class AccountForecast:
    """What an account's rules are expected to hold at an RSE, in bytes, and its limit if it has one.

    Uploads count, as every dataset has a rule that keeps them; what two rules hold counts twice, as Rucio
    does it.
    """

    account: str
    rse: str
    bytes: float
    limit_bytes: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a scenario will need, and in ``warnings`` what of it does not fit.

    ``calls`` are the REST calls, by kind, that it cannot do without. Rules count as if each were alone:
    where two of them want the same copy, Rucio makes one.
    """

    experiments: tuple[ExperimentForecast, ...]
    rses: tuple[RseForecast, ...]
    links: tuple[LinkForecast, ...]
    accounts: tuple[AccountForecast, ...]
    files: int
    bytes: float
    transfers: float
    calls: Mapping[str, int]
    wall_s: float
    warnings: tuple[str, ...]


def forecast(scenario: Scenario) -> Forecast:
    """Add up what a scenario will need, without drawing a single file."""
    uploaded: dict[str, float] = defaultdict(float)
    copied: dict[str, float] = defaultdict(float)
    held: dict[tuple[str, str], float] = defaultdict(float)
    links: dict[tuple[str, str], tuple[float, float]] = {}
    experiments = []
    for experiment in scenario.experiments.values():
        mean, transfers = mean_bytes(experiment.inject.size), 0.0
        for src, files in sorted(files_at(scenario, experiment).items()):
            uploaded[src] += files * mean
            held[experiment.account, src] += files * mean
            for rse, share in rule_shares(experiment.rules, src, scenario):
                held[experiment.account, rse] += share * files * mean
                if rse == src or not share:
                    continue
                transfers += share * files
                copied[rse] += share * files * mean
                old_files, old_bytes = links.get((src, rse), (0.0, 0.0))
                links[src, rse] = (old_files + share * files, old_bytes + share * files * mean)
        experiments.append(_experiment(experiment, scenario, transfers))
    limits = _account_limits(scenario)
    rses = tuple(
        RseForecast(name, rse.qos, rse.quota_bytes, rse.watermark_bytes, uploaded[name], copied[name])
        for name, rse in scenario.rses.items()
    )
    accounts = tuple(
        AccountForecast(account, rse, size_bytes, limits.get((account, rse)))
        for (account, rse), size_bytes in sorted(held.items())
    )
    files, total_bytes = sum(e.files for e in experiments), sum(e.bytes for e in experiments)
    wall_s = scenario.duration_s / scenario.speed
    calls = _calls(scenario)
    return Forecast(
        experiments=tuple(experiments),
        rses=rses,
        links=tuple(LinkForecast(*link, *amount) for link, amount in sorted(links.items())),
        accounts=accounts,
        files=files,
        bytes=total_bytes,
        transfers=sum(e.transfers for e in experiments),
        calls=calls,
        wall_s=wall_s,
        warnings=(
            *_rse_warnings(rses),
            *_account_warnings(accounts),
            *_file_warnings(scenario),
            *_limit_warnings(scenario, files, total_bytes, sum(calls.values()) / wall_s),
        ),
    )


def rule_shares(rules: Iterable[Rule], src: str, scenario: Scenario) -> Iterator[tuple[str, float]]:
    """Yield what share of the datasets uploaded to ``src`` each rule is expected to put at each RSE.

    Rucio prefers the RSE that holds the dataset already; among others it chooses evenly.
    """
    for rule in rules:
        matched = matching(rule.to, scenario.rses)
        elsewhere = matched - {src}
        for rse in sorted(matched):
            yield rse, 1 if rse == src else (rule.copies - (src in matched)) / len(elsewhere)


def _experiment(experiment: Experiment, scenario: Scenario, transfers: float) -> ExperimentForecast:
    inject, datasets = experiment.inject, dataset_count(experiment)
    return ExperimentForecast(
        experiment=experiment.name,
        account=experiment.account,
        files=inject.files,
        bytes=inject.files * mean_bytes(inject.size),
        datasets=datasets,
        rules=datasets * len(experiment.rules),
        transfers=transfers,
        files_per_second=inject.files * scenario.speed / scenario.duration_s,
    )


def _calls(scenario: Scenario) -> dict[str, int]:
    """Count the calls that nothing saves: to make and close each dataset, to add each rule, to register."""
    experiments = scenario.experiments.values()
    datasets = sum(map(dataset_count, experiments))
    return {
        "create": datasets,
        "register": -(-sum(e.inject.files for e in experiments) // FILES_A_REGISTRATION),
        "close": datasets,
        "rule": sum(dataset_count(e) * len(e.rules) for e in experiments),
    }


def _account_limits(scenario: Scenario) -> dict[tuple[str, str], int]:
    return {
        (experiment.account, rse): quota
        for experiment in scenario.experiments.values()
        for rse, quota in experiment.quota.items()
    }


def _rse_warnings(rses: tuple[RseForecast, ...]) -> Iterator[str]:
    for rse in rses:
        if rse.quota_bytes is not None and rse.total_bytes > rse.quota_bytes:
            yield (
                f"{rse.rse}: {format_size(rse.total_bytes)} expected "
                f"({format_size(rse.uploaded_bytes)} uploaded, {format_size(rse.copied_bytes)} by rules), "
                f"and its quota is {format_size(rse.quota_bytes)}"
            )


def _account_warnings(accounts: tuple[AccountForecast, ...]) -> Iterator[str]:
    for held in accounts:
        if held.limit_bytes is not None and held.bytes > held.limit_bytes:
            yield (
                f"account {held.account} at {held.rse}: {format_size(held.bytes)} by uploads and rules, "
                f"and its limit is {format_size(held.limit_bytes)}"
            )


def _file_warnings(scenario: Scenario) -> Iterator[str]:
    for experiment in scenario.experiments.values():
        largest = largest_bytes(experiment.inject.size)
        for name in sorted(matching(experiment.inject.to, scenario.rses)):
            quota = scenario.rses[name].quota_bytes
            if quota is not None and largest is not None and largest > quota:
                yield f"{experiment.name}: a file may have {format_size(largest)}, more than {name} holds"


def _limit_warnings(scenario: Scenario, files: int, size_bytes: float, per_second: float) -> Iterator[str]:
    limits = scenario.limits
    if limits.files is not None and files > limits.files:
        yield f"limits.files: {files:_} files planned, and the run stops at {limits.files:_}"
    if limits.volume_bytes is not None and size_bytes > limits.volume_bytes:
        yield (
            f"limits.volume: {format_size(size_bytes)} expected, "
            f"and the run stops at {format_size(limits.volume_bytes)}"
        )
    if limits.requests_per_second is not None and per_second > limits.requests_per_second:
        yield (
            f"limits.requests_per_second: {format_rate(per_second)} needed at least, "
            f"and {limits.requests_per_second:g}/s allowed"
        )
