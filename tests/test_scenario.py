"""A scenario is read whole, with the command line's changes, and its schema tells editors the truth."""

import dataclasses
import json

import jsonschema
import pytest

from fdr.errors import ScenarioError, UsageError
from fdr.model import Arrivals, BucketSize, FixedSize, LognormalSize, Rse, Rule, UniformSize, When
from fdr.plan import digest
from fdr.scenario.lines import parse_value
from fdr.scenario.load import effective_yaml, load_scenario, schema
from tests.small_scenario import SCENARIOS, SMALL, load_text, load_value, small

SMOKE = SCENARIOS / "smoke.yaml"
ESCAPE = SCENARIOS / "escape-fdr-2020.yaml"
SHIPPED = sorted(SCENARIOS.glob("*.yaml"))


def test_a_scenario_is_read_whole():
    """Every part of the file arrives, in bytes and seconds, with its defaults."""
    scenario = load_value(SMALL)
    assert (scenario.name, scenario.duration_s, scenario.seed, scenario.grace_s) == ("small", 100, 7, 600)
    assert scenario.rses["A-ONE"] == Rse(
        "A-ONE", 10**9, 10**7, "FAST", {"country": "NL", "QOS": "FAST"}, ("root", "davs")
    )
    cta = scenario.experiments["CTA"]
    assert cta.inject.size == UniformSize(1000, 9000)
    assert (cta.inject.to, cta.inject.arrivals) == ("A-ONE|C", Arrivals.POISSON)
    assert cta.rules == (
        Rule("QOS=SAFE", 1, 172800, "Functional Test", When.AT_CREATION),
        Rule("country=NL", 2, 172800, "Functional Test", When.DATASET_CLOSED),
    )
    assert cta.dataset_lifetime_s == 172800
    assert scenario.experiments["SKA"].inject.arrivals is Arrivals.CONSTANT
    assert scenario.objectives == ("upload.success >= 99%",)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("8 MB", FixedSize(8_000_000)),
        (100, FixedSize(100)),
        ({"fixed": "2 KiB"}, FixedSize(2048)),
        ({"uniform": {"min": 1, "max": "1 kB"}}, UniformSize(1, 1000)),
        ({"lognormal": {"median": "1 MB", "sigma": 1}}, LognormalSize(10**6, 1.0, 1, None)),
        (
            {"lognormal": {"median": "1 MB", "sigma": 0.5, "min": 9, "max": "1 GB"}},
            LognormalSize(10**6, 0.5, 9, 10**9),
        ),
        (
            {"buckets": [{"size": 1, "weight": 2}, {"size": "1 kB", "weight": 0.5}]},
            BucketSize((1, 1000), (2, 0.5)),
        ),
        ({"buckets": {"1": 2, "1 kB": 0.5}}, BucketSize((1, 1000), (2, 0.5))),
    ],
)
def test_sizes_are_written_in_several_ways(written, size):
    """A size is a number, a text or one distribution."""
    assert load_value(small(experiments__SKA__inject__size=written)).experiments["SKA"].inject.size == size


@pytest.mark.parametrize(
    ("amount", "files"),
    [({"files": "1_000"}, 1000), ({"rate": "6/s"}, 600), ({"rate": "1/d"}, 1), ({"volume": "10 kB"}, 100)],
)
def test_an_amount_is_files_a_rate_or_a_volume(amount, files):
    """A rate counts over the duration, a volume in files of the mean size; there is one file at least."""
    inject = {"size": 100, "to": "C", **amount}
    assert load_value(small(experiments__SKA__inject=inject)).experiments["SKA"].inject.files == files


HEAD = "schema: fdr/1\nname: x\nduration: 1h\n"
ONE = "{account: a, scope: s, inject: {files: 1, size: 1, to: A}"


def test_yaml_is_not_read_as_booleans_dates_and_sexagesimals():
    """Norway is a country, 0100 a hundred, 1:30 a text, and a number may have underscores."""
    scenario = load_text(
        f"{HEAD}seed: 1_000\nrses:\n"
        "  A: {attributes: {c: NO, n: 0100, d: 2020-11-26, t: 1:30, on: off, y: true}}\n"
        f"experiments:\n  E: {ONE}}}\n"
    )
    assert scenario.seed == 1000
    assert scenario.rses["A"].attributes == {
        "c": "NO",
        "n": "100",
        "d": "2020-11-26",
        "t": "1:30",
        "on": "off",
        "y": "true",
    }


def test_anchors_spare_repetition():
    """A YAML alias stands for what it names."""
    scenario = load_text(
        f"{HEAD}rses: {{A: {{}}}}\nexperiments:\n"
        f"  E: {ONE}, rules: &r [{{to: A}}]}}\n  F: {ONE}, rules: *r}}\n"
    )
    assert scenario.experiments["E"].rules == scenario.experiments["F"].rules != ()


# --- what the command line changes ----------------------------------------------------------------


def test_scale_multiplies_files_and_leaves_the_rest():
    """Files are scaled and rounded, one at least; datasets keep their size, quotas and limits stay."""
    scenario = load_scenario(ESCAPE, scale=0.001)
    files = {name: part.inject.files for name, part in scenario.experiments.items()}
    assert files == {
        "CTA": 509,
        "LSST": 165,
        "SKA": 128,
        "EGO-VIRGO": 15,
        "ATLAS": 3,
        "MAGIC": 1,
        "LOFAR": 1,
        "CMS": 1,
        "FAIR": 1,
    }
    whole = load_scenario(ESCAPE)
    assert scenario.rses == whole.rses
    assert scenario.limits == whole.limits
    assert scenario.experiments["CTA"].inject.files_per_dataset == 500
    assert scenario.experiments["CTA"].inject.size == whole.experiments["CTA"].inject.size


def test_size_scale_multiplies_sizes_and_leaves_the_files():
    """Sizes shrink, to a byte at least; a volume still gives as many files."""
    changes = small(experiments__SKA__inject={"volume": "10 kB", "size": 100, "to": "C"})
    experiments = load_value(changes, size_scale=0.001).experiments
    assert experiments["SKA"].inject.size == FixedSize(1)
    assert experiments["SKA"].inject.files == 100
    assert experiments["CTA"].inject.size == UniformSize(1, 9)


def test_duration_and_seed_replace_those_of_the_file():
    """The command line wins, also for what is counted from the duration."""
    value = small(experiments__SKA__inject={"rate": "2/s", "size": 1, "to": "C"})
    scenario = load_value(value, duration_s=7, seed=9, speed=2)
    assert (scenario.duration_s, scenario.seed, scenario.speed) == (7, 9, 2)
    assert scenario.experiments["SKA"].inject.files == 14


def test_at_a_speed_a_longer_run_fits_into_the_same_lifetime():
    """Lifetimes are measured in wall-clock time, which speed shortens."""
    value = small(duration="10d")
    assert load_value(value, speed=240).duration_s == 864_000
    with pytest.raises(ScenarioError, match="lifetime"):
        load_value(value)


def test_sets_change_the_file_before_it_is_read():
    """A set reaches anything: numbers, lists, new keys; null takes a key back; the last one wins."""
    scenario = load_value(
        SMALL,
        sets=[
            "experiments.CTA.inject.files=100",
            "experiments.CTA.inject.files=5",
            "experiments.CTA.rules[1].copies=1",
            "experiments.CTA.rules.0=null",
            "experiments.CTA.inject.size={fixed: 3 kB}",
            "experiments.SKA=null",
            "objectives[1]=rule.success >= 1%",
            "limits.files=50",
            "rses.D.qos=CHEAP",
        ],
    )
    assert list(scenario.experiments) == ["CTA"]
    cta = scenario.experiments["CTA"]
    assert (cta.inject.files, cta.inject.size) == (5, FixedSize(3000))
    assert [(rule.to, rule.copies) for rule in cta.rules] == [("country=NL", 1)]
    assert scenario.objectives == ("upload.success >= 99%", "rule.success >= 1%")
    assert scenario.limits.files == 50
    assert scenario.rses["D"].qos == "CHEAP"


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"scale": 0}, "--scale: 0 is out of range"),
        ({"scale": float("nan")}, "--scale: nan"),
        ({"size_scale": -1}, "--size-scale: -1"),
        ({"speed": float("inf")}, "--speed: inf"),
        ({"duration_s": 0}, "--duration: 0s"),
        ({"seed": -1}, "--seed: -1"),
    ],
)
def test_a_number_of_the_command_line_that_cannot_be_used_is_refused(changes, hint):
    """A bad option is named as it was written."""
    with pytest.raises(UsageError, match=hint):
        load_scenario(SMOKE, **changes)


def test_all_bad_numbers_of_the_command_line_are_told_together():
    """Nobody has to mend one to learn of the next."""
    with pytest.raises(UsageError) as refused:
        load_scenario(SMOKE, scale=0, speed=0, seed=-1)
    assert len(str(refused.value).splitlines()) == 3


# --- what is written for the run directory --------------------------------------------------------


def test_without_sets_a_scenario_is_kept_as_it_is_written():
    """The run directory gets the author's own text, comments and all."""
    assert effective_yaml(SMOKE) == SMOKE.read_text()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_with_sets_a_scenario_is_kept_as_it_was_run(path, tmp_path):
    """The kept text says what was set, and loads to the same scenario without the sets."""
    experiment = next(iter(load_scenario(path).experiments))
    sets = [
        f"experiments.{experiment}.inject.files=100",
        "rses.DESY-DCACHE.attributes.site=NO",
        "description='a: b # c'",
    ]
    text = effective_yaml(path, sets)
    kept = tmp_path / "scenario.yaml"
    kept.write_text(text)
    assert text.startswith(f"# {path.name}, with\n# --set experiments.{experiment}.inject.files=100\n")
    assert load_scenario(kept) == load_scenario(path, sets=sets)
    assert digest(load_scenario(kept)) != digest(load_scenario(path))


def test_a_set_that_cannot_be_applied_writes_nothing():
    """No text comes of a set that leads nowhere."""
    with pytest.raises(ScenarioError, match=r"^--set name.x=1: name has nothing below it"):
        effective_yaml(SMOKE, ["name.x=1"])


# --- what editors are told ------------------------------------------------------------------------


def test_the_schema_is_a_json_schema_that_takes_the_shipped_scenarios():
    """An editor finds nothing wrong in what we ship, whichever YAML it reads."""
    checker = jsonschema.Draft202012Validator(schema())
    checker.check_schema(schema())
    json.dumps(schema())
    for path in SHIPPED:
        checker.validate(parse_value(path.read_text()))
    checker.validate(small(experiments__CTA__inject__files="508_900"))  # YAML 1.2 reads it as text


def test_the_schema_tells_what_every_key_is_for():
    """Every key of the format has a description to complete from, and strange keys are refused."""
    parts = [schema(), *schema()["$defs"].values()]
    keys = {
        name: key
        for part in parts
        for way in (part, *part.get("anyOf", ()))
        for name, key in way.get("properties", {}).items()
    }
    assert {"duration", "quota", "inject", "lognormal", "when", "requests_per_second"} <= set(keys)
    silent = [
        name for name, key in keys.items() if "description" not in key and "$ref" not in json.dumps(key)
    ]
    assert silent == []
    assert not jsonschema.Draft202012Validator(schema()).is_valid(small(durration="1h"))


# --- what we ship ---------------------------------------------------------------------------------


def test_the_smoke_scenario_is_what_it_is_meant_to_be():
    """Three sciences on three RSEs of three QoS, small, with both arrivals and both moments for rules."""
    scenario = load_scenario(SMOKE)
    parts = scenario.experiments.values()
    assert list(scenario.experiments) == ["CTA", "LSST", "SKA"]
    assert len({rse.qos for rse in scenario.rses.values()}) == 3
    assert 120 <= sum(part.inject.files for part in parts) <= 150
    assert {part.inject.arrivals for part in parts} == set(Arrivals)
    assert {rule.when for part in parts for rule in part.rules} == set(When)
    assert scenario.duration_s <= 20


def test_the_rehearsal_of_2020_is_that_of_the_talk():
    """Nine sciences and fourteen RSEs with the printed numbers."""
    scenario = load_scenario(ESCAPE)
    assert {name: part.inject.files for name, part in scenario.experiments.items()} == {
        "CTA": 508_900,
        "LSST": 164_800,
        "SKA": 127_700,
        "EGO-VIRGO": 14_900,
        "ATLAS": 3308,
        "MAGIC": 516 + 773,
        "LOFAR": 426,
        "CMS": 385,
        "FAIR": 18 + 124,
    }
    assert len(scenario.rses) == 14
    assert sum(rse.quota_bytes for rse in scenario.rses.values()) == 791_100 * 10**9
    assert sum(rse.watermark_bytes for rse in scenario.rses.values()) == 113_420 * 10**9
    assert len({rse.qos for rse in scenario.rses.values()}) == 3
    assert all(part.rules for part in scenario.experiments.values())


def test_scenarios_are_frozen():
    """Nobody changes a scenario once it is read."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_value(SMALL).seed = 1
