"""A forecast counts what the plan holds, and says what does not fit."""

import io
from collections import Counter

import jsonschema
import pytest
from rich.console import Console

from fdr.forecast import forecast
from fdr.model import Kind
from fdr.plan import plan
from fdr.plan_view import plan_as_json, show_plan
from fdr.scenario.load import load_scenario
from tests.small_scenario import SCENARIOS, SMALL, load_value, small

SMOKE = SCENARIOS / "smoke.yaml"
ESCAPE = SCENARIOS / "escape-fdr-2020.yaml"


@pytest.mark.parametrize(
    "scenario",
    [
        load_value(SMALL),
        load_scenario(SMOKE),
        load_scenario(ESCAPE, scale=0.01),
        load_scenario(ESCAPE, scale=1e-9),
    ],
    ids=["small", "smoke", "2020, a hundredth", "2020, one file each"],
)
def test_counts_are_those_of_the_plan(scenario):
    """Files, datasets, rules and calls are exactly what counting the plan's actions gives."""
    counts = Counter((action.experiment, action.kind) for action in plan(scenario))
    kinds = Counter(action.kind for action in plan(scenario))
    needs = forecast(scenario)
    for part in needs.experiments:
        assert part.files == counts[part.experiment, Kind.UPLOAD]
        assert part.datasets == counts[part.experiment, Kind.DATASET]
        assert part.rules == counts[part.experiment, Kind.RULE]
    assert needs.files == kinds[Kind.UPLOAD]
    assert needs.calls["create"] == kinds[Kind.DATASET]
    assert needs.calls["close"] == kinds[Kind.CLOSE]
    assert needs.calls["rule"] == kinds[Kind.RULE]


def test_expected_bytes_are_near_those_of_the_plan():
    """What is expected at an RSE is within a few percent of what the plan's many files add up to."""
    scenario = load_scenario(ESCAPE)
    planned = Counter()
    for action in plan(scenario):
        if action.kind is Kind.UPLOAD:
            planned[action.rse] += action.size_bytes
    for part in forecast(scenario).rses:
        assert part.uploaded_bytes == pytest.approx(planned[part.rse], rel=0.08)


def one_rule(rule, to="A-ONE", **more):
    """Return the forecast of SMALL with CTA's 25 files of 100 bytes, one rule and no SKA."""
    value = small(
        experiments__CTA__inject__to=to,
        experiments__CTA__inject__size=100,
        experiments__CTA__rules=[rule],
        **more,
    )
    del value["experiments"]["SKA"]
    return forecast(load_value(value))


def copied(needs):
    """Return the bytes that rules bring to each RSE."""
    return {part.rse: part.copied_bytes for part in needs.rses if part.copied_bytes}


def test_a_rule_to_another_rse_moves_every_file_once():
    """One copy elsewhere is one transfer a file, spread evenly over what matches."""
    needs = one_rule({"to": {"qos": "SAFE"}})
    assert needs.transfers == 25
    assert copied(needs) == {"B-TWO": 1250, "C": 1250}
    assert [(link.src, link.dst, link.files) for link in needs.links] == [
        ("A-ONE", "B-TWO", 12.5),
        ("A-ONE", "C", 12.5),
    ]


def test_a_copy_that_is_there_already_is_not_moved():
    """A rule prefers the RSE that holds the files: only further copies are transfers."""
    assert one_rule({"to": "A-ONE"}).transfers == 0
    needs = one_rule({"to": "*", "copies": 3})
    assert needs.transfers == 50
    assert {held.rse: held.bytes for held in needs.accounts} == {"A-ONE": 5000, "B-TWO": 2500, "C": 2500}
    assert copied(needs) == {"B-TWO": 2500, "C": 2500}


def test_datasets_scattered_over_a_target_stay_where_a_rule_wants_them():
    """Three datasets of 10, 10 and 5 files at two RSEs: a rule to both moves none, to C A-ONE's."""
    assert one_rule({"to": "A-ONE|C"}, to="A-ONE|C").transfers == 0
    needs = one_rule({"to": "C"}, to="A-ONE|C")
    uploaded = {rse.rse: rse.uploaded_bytes for rse in needs.rses if rse.uploaded_bytes}
    assert sorted(uploaded) == ["A-ONE", "C"]
    assert sum(uploaded.values()) == 2500
    assert copied(needs) == {"C": uploaded["A-ONE"]}
    assert needs.transfers == uploaded["A-ONE"] / 100


def test_an_account_holds_its_uploads_and_what_its_rules_lock_also_where_nothing_moves():
    """Every lock counts for its account, a second one on the same replica too, as Rucio counts."""
    needs = one_rule({"to": "A-ONE"}, experiments__CTA__quota={"A-ONE": 2000})
    assert [(held.account, held.rse, held.bytes, held.limit_bytes) for held in needs.accounts] == [
        ("cta", "A-ONE", 5000, 2000)
    ]
    assert needs.warnings == ("account cta at A-ONE: 5 kB by uploads and rules, and its limit is 2 kB",)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"rses__B-TWO__quota": "1 kB"}, "B-TWO: 1.25 kB expected (0 B uploaded, 1.25 kB by rules)"),
        ({"limits": {"files": 24}}, "limits.files: 25 files planned, and the run stops at 24"),
        ({"limits": {"volume": "1 kB"}}, "limits.volume: 2.5 kB expected"),
        ({"limits": {"requests_per_second": 0.05}}, "limits.requests_per_second: 6/min needed at least"),
        (
            {"rses__A-ONE": {"quota": 99, "qos": "FAST"}, "rses__B-TWO__quota": "1 MB"},
            "CTA: a file may have 100 B, more than A-ONE holds",
        ),
    ],
)
def test_what_does_not_fit_is_said(changes, warning):
    """A quota, an account limit or an impact budget that will be exceeded is a warning with its numbers."""
    needs = one_rule({"to": {"qos": "SAFE"}}, **changes)
    assert any(said.startswith(warning) for said in needs.warnings), needs.warnings


def test_what_fits_exactly_fits():
    """A quota that is just filled is not exceeded."""
    assert one_rule({"to": {"qos": "SAFE"}}, rses__C__quota=1250, limits={"files": 25}).warnings == ()


@pytest.mark.parametrize("path", [SMOKE, ESCAPE], ids=["smoke", "2020"])
def test_the_shipped_scenarios_fit(path):
    """What we ship to be run fits the quotas that it names, at full scale."""
    assert forecast(load_scenario(path)).warnings == ()


def shown(scenario, width):
    """Return what `fdr plan` prints on a terminal of this width."""
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    show_plan(scenario, console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("path", [SMOKE, ESCAPE], ids=["smoke", "2020"])
def test_a_shown_plan_is_whole_at_usual_widths(path, width):
    """Every experiment and RSE and the digest stand on the screen uncut."""
    scenario = load_scenario(path, scale=0.01)
    text = shown(scenario, width)
    assert "…" not in text
    assert all(name in text for name in (*scenario.experiments, *scenario.rses))
    assert plan_as_json(scenario)["digest"] in text
    assert "It fits" in text


def test_a_shown_plan_says_what_does_not_fit():
    """A plan that does not fit ends with why."""
    text = shown(load_value(small(limits={"files": 3})), 80)
    assert "It does not fit:\n  limits.files: 32 files planned" in text
    assert "It fits" not in text


def test_a_shown_plan_says_what_would_end_the_run_early():
    """The whole impact budget, but for what only slows it down."""
    sentence = "upload.success < 80% over 5m"
    scenario = load_value(small(limits={"files": 1234, "requests_per_second": 5, "abort_when": [sentence]}))
    assert f"It ends early at: 1,234 files, {sentence}\n" in shown(scenario, 80)
    assert plan_as_json(scenario)["limits"]["abort_when"] == (sentence,)
    assert "It ends early" not in shown(load_value(small()), 80)


def test_a_plan_as_json_holds_the_same_numbers():
    """The JSON is made of plain values, and its sums agree."""
    made = plan_as_json(load_value(SMALL))
    jsonschema.validate(
        made,
        {
            "type": "object",
            "required": ["schema", "digest", "experiments", "rses", "links", "first_actions", "warnings"],
            "properties": {"digest": {"pattern": "^[0-9a-f]{64}$"}, "fits": {"const": True}},
        },
    )
    assert made["files"] == sum(part["files"] for part in made["experiments"]) == 32
    assert sum(part["total_bytes"] for part in made["rses"]) == pytest.approx(
        made["bytes"] + sum(link["bytes"] for link in made["links"])
    )
    assert len(made["first_actions"]) == 10
