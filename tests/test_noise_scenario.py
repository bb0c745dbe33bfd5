"""The scenario that noise makes on the fly tries what can be tried, and says the same as the shipped one."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.errors import UsageError
from fdr.model import Scenario
from fdr.noise.pair import Part, State, untried
from fdr.noise.recipe import Recipe
from fdr.noise.scenario import noise_scenario
from fdr.scenario.load import load_scenario
from tests.small_scenario import SCENARIOS, load_value

RECIPE = Recipe("noise", "noise")
MESH = dataclasses.replace(RECIPE, mesh=True)
NAMES = ("DESY-DCACHE", "PIC-DCACHE", "SARA-DCACHE")
ALL = [Part(name) for name in NAMES]
PARTS = st.builds(
    Part,
    st.just(""),
    st.sampled_from(["", "is not available for reading"]),
    st.sampled_from(["", "is not available for writing"]),
    st.sampled_from(["", "connection-refused"]),
)


def tried(scenario: Scenario) -> list[tuple[str, str]]:
    """Return the pairs that a scenario tries."""
    experiments = scenario.experiments.values()
    return [(part.inject.to, rule.to) for part in experiments for rule in part.rules]


def test_it_is_the_shipped_scenario() -> None:
    """scenarios/noise.yaml shows what a pass does: only the quotas of the embedded lake are its own."""
    shipped = load_scenario(SCENARIOS / "noise.yaml")
    made = load_value(noise_scenario(ALL, RECIPE))
    assert dataclasses.replace(shipped, rses=made.rses) == made


@pytest.mark.parametrize("recipe", [RECIPE, MESH], ids=["one file an RSE", "mesh"])
@given(st.lists(PARTS, min_size=2, max_size=5))
def test_every_pair_is_tried_once_or_told_why_not(recipe: Recipe, parts: list[Part]) -> None:
    """Whatever stands against some RSEs, all ordered pairs are accounted for; what is off is not tried."""
    parts = [dataclasses.replace(part, rse=f"SITE-{number}") for number, part in enumerate(parts)]
    value = noise_scenario(parts, recipe)
    pairs = [] if value is None else tried(load_value(value))
    left_out = [pair for src in parts for dst in parts if src is not dst and (pair := untried(src, dst))]
    assert len(set(pairs)) == len(pairs)
    assert {*pairs, *((pair.src, pair.dst) for pair in left_out)} == {
        (src.rse, dst.rse) for src in parts for dst in parts if src is not dst
    }
    assert len(pairs) + len(left_out) == len(parts) * (len(parts) - 1)
    assert {src for src, _ in pairs} <= {part.rse for part in parts if not (part.no_source or part.down)}
    assert {dst for _, dst in pairs} <= {part.rse for part in parts if not (part.no_destination or part.down)}


@pytest.mark.parametrize("recipe", [RECIPE, MESH], ids=["one file an RSE", "mesh"])
def test_a_file_says_where_it_comes_from_and_that_it_is_noise(recipe: Recipe) -> None:
    """The source RSE stands in the file's name, and Rucio's metadata mark it; it expires, and is small."""
    scenario = load_value(noise_scenario(ALL, recipe))
    for experiment in scenario.experiments.values():
        assert experiment.inject.to in experiment.inject.name
        assert experiment.metadata == {"project": "fdr", "campaign": "noise"}
        assert (experiment.inject.files, experiment.dataset_lifetime_s) == (1, 3600)
        assert {(rule.lifetime_s, rule.activity) for rule in experiment.rules} == {(3600, "Functional Test")}
    uploads = len(scenario.experiments)
    assert uploads == (6 if recipe.mesh else 3)
    assert scenario.limits.files == uploads


def test_an_rse_that_is_down_costs_its_own_pairs_only() -> None:
    """It is neither uploaded to nor asked a rule for; its pairs have failed, not been skipped."""
    down = Part("PIC-DCACHE", down="connection-refused")
    parts = [ALL[0], down, ALL[2]]
    assert tried(load_value(noise_scenario(parts, RECIPE))) == [
        ("DESY-DCACHE", "SARA-DCACHE"),
        ("SARA-DCACHE", "DESY-DCACHE"),
    ]
    for pair in (untried(down, ALL[0]), untried(ALL[0], down)):
        assert pair is not None
        assert pair.state is State.FAILED
        assert pair.reason == "PIC-DCACHE cannot be written: connection-refused"


def test_what_is_off_is_skipped_whatever_else_is_wrong() -> None:
    """A pair of an RSE that is switched off is nobody's failure."""
    off = Part("PIC-DCACHE", "is not available for writing", "is not available for writing")
    pair = untried(off, Part("DESY-DCACHE", down="timeout"))
    assert pair is not None
    assert (pair.state, pair.reason) == (State.SKIPPED, "PIC-DCACHE is not available for writing")


def test_nothing_to_try_is_no_scenario() -> None:
    """One RSE alone makes no noise."""
    assert noise_scenario([ALL[0], Part("PIC-DCACHE", down="timeout")], RECIPE) is None


def test_more_than_a_scenario_takes_is_refused_with_what_to_do() -> None:
    """A mesh of many RSEs is more uploads than experiments can be."""
    many = [Part(f"SITE-{number}") for number in range(24)]
    with pytest.raises(
        UsageError, match=r"552 files, and 500 is most \(leave out --mesh, or name fewer RSEs\)"
    ):
        noise_scenario(many, MESH)
    assert noise_scenario(many, RECIPE) is not None
    hundred = [Part(f"SITE-{number}-{'X' * 30}") for number in range(100)]
    assert len(tried(load_value(noise_scenario(hundred, RECIPE)))) == 9900
    with pytest.raises(UsageError, match=r"10302 rules, and 10000 is most \(name fewer RSEs\)"):
        noise_scenario([*hundred, Part("SITE-A"), Part("SITE-B")], RECIPE)


def test_long_names_of_rses_have_room(tmp_path: Path) -> None:
    """Both RSEs of a pair stand in names, and Rucio takes 250 characters."""
    long = [Part("A" * 58), Part("B" * 58)]
    assert len(tried(load_value(noise_scenario(long, MESH)))) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"account": "No Body"}, "--account: 'No Body' is not an account"),
        ({"scope": "a@b"}, "--scope: 'a@b' is not a scope"),
        ({"expression": "A B"}, "the RSEs: 'A B': Rucio takes no space in an RSE expression"),
        ({"size_bytes": 0}, "--size: a file without a byte"),
        ({"wait_s": 3600.0}, "--wait: must be shorter than --lifetime"),
    ],
)
def test_what_no_lake_can_follow_is_told_before_one_is_asked(change: dict[str, Any], told: str) -> None:
    """Bad usage is not a lake's fault, and is not repeated on every beat."""
    with pytest.raises(UsageError, match=re.escape(told)):
        dataclasses.replace(RECIPE, **change).check()
    Recipe().check()
