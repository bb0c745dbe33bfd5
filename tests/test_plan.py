"""A plan is the same every time, in due order, whole in its shards, and untouched by its neighbours."""

import dataclasses
import tracemalloc
from collections import Counter, defaultdict
from itertools import islice
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdr.dataset_plan import dataset_count, files_at, rse_chooser, upload_rses, upload_rule
from fdr.model import (
    Arrivals,
    BucketSize,
    Experiment,
    FixedSize,
    Inject,
    Kind,
    Limits,
    LognormalSize,
    Rse,
    Rule,
    Scenario,
    UniformSize,
    When,
)
from fdr.plan import digest, plan
from fdr.scenario.load import load_scenario
from tests.small_scenario import SCENARIOS, SMALL, load_value, small

RSES = {name: Rse(name, None, None, qos, {"QOS": qos}) for name, qos in (("A", "X"), ("B", "Y"), ("C", "Y"))}
RULES = st.builds(
    Rule, st.sampled_from(["A", "QOS=Y"]), st.just(1), st.just(10**6), st.just("Debug"), st.sampled_from(When)
)


@st.composite
def experiments(draw, name):
    """Return an experiment of this name."""
    inject = Inject(
        files=draw(st.integers(1, 60)),
        size=draw(
            st.sampled_from(
                [
                    FixedSize(5),
                    UniformSize(1, 9),
                    LognormalSize(50, 1.0, 1, 99),
                    BucketSize((1, 7), (1.0, 2.0)),
                ]
            )
        ),
        files_per_dataset=draw(st.integers(1, 25)),
        to=draw(st.sampled_from(["A", "QOS=Y", "*"])),
        arrivals=draw(st.sampled_from(Arrivals)),
        name="{file}",
    )
    rules = tuple(draw(st.lists(RULES, max_size=3)))
    return Experiment(name, "a", "s", inject, "Functional Test", rules, {}, 10**6)


@st.composite
def scenarios(draw):
    """Return a scenario of up to four experiments."""
    names = [f"E{number}" for number in range(draw(st.integers(1, 4)))]
    return Scenario(
        name="s",
        description="",
        duration_s=draw(st.floats(0.01, 1e6)),
        seed=draw(st.integers(0, 2**63 - 1)),
        scale=1.0,
        size_scale=1.0,
        speed=draw(st.floats(0.1, 1000)),
        grace_s=60.0,
        rses=RSES,
        experiments={name: draw(experiments(name)) for name in names},
        objectives=(),
        limits=Limits(),
    )


@given(scenarios())
def test_actions_come_in_due_order_within_the_run(scenario):
    """Due times never go back, and lie between the start and the end of injection in wall-clock time."""
    due = [action.due_s for action in plan(scenario)]
    assert due == sorted(due)
    assert due[0] >= 0
    assert due[-1] <= scenario.duration_s / scenario.speed + 1e-6


@given(scenarios())
def test_every_file_dataset_and_rule_is_planned_once(scenario):
    """Counts are those of the scenario, and no id occurs twice or does not fit SQLite."""
    actions = list(plan(scenario))
    assert len({action.id for action in actions}) == len(actions)
    assert all(0 <= action.id < 2**63 for action in actions)
    counts = Counter((action.experiment, action.kind) for action in actions)
    for name, experiment in scenario.experiments.items():
        datasets = dataset_count(experiment)
        assert counts[name, Kind.UPLOAD] == experiment.inject.files
        assert counts[name, Kind.DATASET] == counts[name, Kind.CLOSE] == datasets
        assert counts[name, Kind.RULE] == datasets * len(experiment.rules)
        files = [a.file for a in actions if a.experiment == name and a.kind is Kind.UPLOAD]
        assert files == list(range(experiment.inject.files))


@given(scenarios())
def test_a_dataset_lives_in_order(scenario):
    """Made and given early rules with its first file, closed and given late rules with its last."""
    lives = defaultdict(list)
    for action in plan(scenario):
        lives[action.experiment, action.dataset].append(action)
    for (name, dataset), life in lives.items():
        experiment = scenario.experiments[name]
        per_dataset = experiment.inject.files_per_dataset
        early = [n for n, rule in enumerate(experiment.rules) if rule.when is When.AT_CREATION]
        late = [n for n, rule in enumerate(experiment.rules) if rule.when is When.DATASET_CLOSED]
        uploads = [action for action in life if action.kind is Kind.UPLOAD]
        assert [(action.kind, action.rule) for action in life] == [
            (Kind.DATASET, None),
            *((Kind.RULE, rule) for rule in early),
            *((Kind.UPLOAD, None) for _ in uploads),
            (Kind.CLOSE, None),
            *((Kind.RULE, rule) for rule in late),
        ]
        assert {action.file // per_dataset for action in uploads} == {dataset}
        assert {action.due_s for action in life[: 1 + len(early)]} == {uploads[0].due_s}
        assert {action.due_s for action in life[len(life) - 1 - len(late) :]} == {uploads[-1].due_s}


@given(scenarios())
def test_uploads_go_where_the_scenario_says_with_a_size_it_says(scenario):
    """A dataset and its uploads have one RSE that the target matches; uploads have a size that may be."""
    targets = {"A": {"A"}, "QOS=Y": {"B", "C"}, "*": {"A", "B", "C"}}
    rses = {}
    for action in plan(scenario):
        inject = scenario.experiments[action.experiment].inject
        if action.kind is Kind.DATASET:
            assert action.rse in targets[inject.to]
            rses[action.experiment, action.dataset] = action.rse
        if action.kind is Kind.UPLOAD:
            assert action.rse == rses[action.experiment, action.dataset]
            assert 1 <= action.size_bytes <= 99
        else:
            assert (action.size_bytes, action.file) == (0, None)
        assert (action.rse is None) == (action.kind in {Kind.CLOSE, Kind.RULE})


@given(scenarios())
def test_datasets_are_spread_evenly_over_the_rses_of_an_experiment(scenario):
    """Of as many in a row as there are RSEs each goes to another; files at each are known without a plan."""
    uploads = Counter(
        (action.experiment, action.rse) for action in plan(scenario) if action.kind is Kind.UPLOAD
    )
    for name, experiment in scenario.experiments.items():
        rse_of, datasets = rse_chooser(scenario, experiment), dataset_count(experiment)
        per_rse = Counter(map(rse_of, range(datasets)))
        rses = {"A": 1, "QOS=Y": 2, "*": 3}[experiment.inject.to]
        assert len(per_rse) == min(rses, datasets)
        assert max(per_rse.values()) - min(per_rse.values()) <= 1
        assert files_at(scenario, experiment) == {
            rse: files for (of, rse), files in uploads.items() if of == name
        }
        if rses == 3:
            assert {rse_of(dataset) for dataset in (3, 4, 5)} == {"A", "B", "C"}


def test_the_order_of_the_rses_is_drawn_anew():
    """Not the same RSE at every third dataset, or every third shard would upload to one RSE alone."""
    scenario = load_value(small(experiments__CTA__inject__to="*"))
    rse_of = rse_chooser(scenario, scenario.experiments["CTA"])
    assert len({tuple(rse_of(row * 3 + place) for place in range(3)) for row in range(50)}) == 6


def test_uploads_are_kept_by_a_rule_that_is_not_one_of_the_scenarios():
    """Rucio would take a rule with the same expression and copies for the same rule."""
    (experiment, *_) = load_value(small()).experiments.values()
    rules = tuple(
        Rule(to, copies, 9, "T", When.AT_CREATION) for to, copies in [("C", 1), ("(C)", 1), ("D", 2)]
    )
    ruled = dataclasses.replace(experiment, activity="T", rules=rules)
    assert upload_rule(ruled, "C") == Rule("((C))", 1, experiment.dataset_lifetime_s, "T", When.AT_CREATION)
    assert upload_rule(ruled, "D").to == "D"


@given(scenarios(), st.integers(1, 7))
def test_shards_are_disjoint_and_together_complete(scenario, parts):
    """Every action is in exactly one shard, unchanged, and a dataset is never divided."""
    whole = {action.id: action for action in plan(scenario)}
    shards = [list(plan(scenario, (part, parts))) for part in range(1, parts + 1)]
    together = [action for shard in shards for action in shard]
    assert len(together) == len(whole)
    assert {action.id: action for action in together} == whole
    owners = defaultdict(set)
    for number, shard in enumerate(shards):
        assert [a.due_s for a in shard] == sorted(a.due_s for a in shard)
        for action in shard:
            owners[action.experiment, action.dataset].add(number)
    assert all(len(owner) == 1 for owner in owners.values())


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), (-1, 1)])
def test_a_shard_that_is_not_there_is_refused_at_once(shard):
    """Asking for shard 3 of 2 fails when it is asked, not when the first action is taken."""
    with pytest.raises(ValueError, match="there is no shard"):
        plan(load_value(SMALL), shard)


@given(scenarios())
def test_a_plan_is_the_same_every_time(scenario):
    """The same scenario gives the same actions and digest; another seed or speed gives another digest."""
    assert list(plan(scenario)) == list(plan(scenario))
    assert digest(scenario) == digest(scenario)
    faster = dataclasses.replace(scenario, speed=scenario.speed * 2)
    assert digest(faster) != digest(scenario) or scenario.duration_s / scenario.speed < 1e-4


@given(scenarios(), experiments("NEW"))
def test_another_experiment_shifts_nothing(scenario, new):
    """The actions of the experiments that were there stay the same, ids included."""
    grown = dataclasses.replace(scenario, experiments={**scenario.experiments, "NEW": new})
    assert [action for action in plan(grown) if action.experiment != "NEW"] == list(plan(scenario))


@given(scenarios())
def test_another_choice_of_size_shifts_no_due_time_and_no_target(scenario):
    """Each decision draws from a stream of its own."""

    def but_for_size(a_scenario):
        return [dataclasses.replace(action, size_bytes=0) for action in plan(a_scenario)]

    resized = {
        name: dataclasses.replace(part, inject=dataclasses.replace(part.inject, size=UniformSize(1, 10**6)))
        for name, part in scenario.experiments.items()
    }
    assert but_for_size(dataclasses.replace(scenario, experiments=resized)) == but_for_size(scenario)


def test_every_decision_has_a_stream_of_its_own():
    """Twin experiments act at other moments, with other sizes and RSEs, and an RSE says nothing of a size."""
    twin = {**SMALL["experiments"]["CTA"], "inject": {**SMALL["experiments"]["CTA"]["inject"], "files": 2000}}
    scenario = load_value(small(experiments={"ONE": twin, "OTHER": {**twin, "scope": "other"}}))
    uploads = defaultdict(list)
    for action in plan(scenario):
        if action.kind is Kind.UPLOAD:
            uploads[action.experiment].append(action)
    for field in ("due_s", "size_bytes", "rse"):
        one, other = ([getattr(action, field) for action in uploads[name]] for name in ("ONE", "OTHER"))
        assert sum(a == b for a, b in zip(one, other, strict=True)) < (1200 if field == "rse" else 20)
    by_rse = defaultdict(list)
    for action in uploads["ONE"]:
        by_rse[action.rse].append(action.size_bytes)
    assert [fmean(sizes) for sizes in by_rse.values()] == pytest.approx([5000, 5000], rel=0.06)


CHANGES = {
    "a seed": {"seed": 8},
    "a rule's target": {"experiments__CTA__rules": [{"to": "C"}]},
    "a rule's lifetime": {"experiments__CTA__rules": [{"to": {"qos": "SAFE"}, "lifetime": "5d"}]},
    "an account": {"experiments__SKA__account": "other"},
    "a scope": {"experiments__SKA__scope": "other"},
    "names": {"experiments__SKA__inject__name": "{file}"},
    "sizes": {"experiments__SKA__inject__size": 101},
    "metadata": {"experiments__SKA__metadata": {"campaign": "noise"}},
    "a dataset's lifetime": {"experiments__SKA__lifetime": "5d"},
    "datasets": {"experiments__SKA__inject__dataset": {"files": 5}},
    "a target": {"experiments__SKA__inject__to": "C"},
    "the duration": {"duration": "101s"},
}


def test_the_digest_tells_every_change_of_what_will_be_done():
    """Whatever changes an action, or what it entails, changes the digest."""
    digests = {what: digest(load_value(small(**change))) for what, change in CHANGES.items()}
    digests["nothing"] = digest(load_value(SMALL))
    assert len(set(digests.values())) == len(digests)


def test_the_digest_does_not_tell_what_is_not_done():
    """A description, an objective or a limit changes no action."""
    told = small(description="x", objectives=["rule.success >= 1%"], limits={"files": 5}, grace="1m")
    assert digest(load_value(told)) == digest(load_value(SMALL))


# The digests of the shipped scenarios. A change here means that runs of before cannot be repeated: say so in
# the changelog.
GOLDEN = {
    "noise.yaml": "48088044838421837fe573a768902d8199a9acb28418760b2ef211c8d47b3d3d",
    "smoke.yaml": "bce88529becd004634a362ab1e06c7def30f5d84fe8e6ac755f5b222550afaa7",
    "escape-fdr-2020.yaml": "0fde38117cac164cc2f2534f0f426f1e2edcf7163e6388068336ccbb0d3adedd",
}


@pytest.mark.parametrize("name", [path.name for path in sorted(SCENARIOS.glob("*.yaml"))])
def test_a_shipped_scenario_has_its_golden_digest(name):
    """The same scenario and seed give the same plan on every machine and in every version."""
    assert digest(load_scenario(SCENARIOS / name)) == GOLDEN[name]


@settings(deadline=None, max_examples=5)
@given(st.sampled_from([20_000, 60_000]))
def test_a_plan_needs_no_memory_for_its_files(files):
    """Going through many files holds a few at a time, however many there are."""
    value = small(experiments__CTA__inject__files=files, experiments__SKA__inject__files=files)
    steps = plan(load_value(value))
    tracemalloc.start()
    try:
        for _ in islice(steps, files):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000


def test_the_rses_of_uploads_are_those_that_targets_match():
    """What is uploaded to is what a check must try to write to."""
    assert upload_rses(load_value(SMALL)) == ("A-ONE", "B-TWO", "C")
    assert upload_rses(load_value(small(experiments__CTA__inject__to="country=NL"))) == (
        "A-ONE",
        "B-TWO",
        "C",
    )
    assert upload_rses(load_value(small(experiments__CTA__inject__to="B-TWO"))) == ("B-TWO",)
