"""What is wrong with a scenario is told all at once, each with its place and what to write."""

import copy
import re

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fdr.errors import ScenarioError
from fdr.forecast import forecast
from fdr.model import Scenario
from fdr.plan import plan
from fdr.scenario.lines import parse_value, write_document
from fdr.scenario.load import load_scenario, schema
from tests.small_scenario import DROP, SCENARIOS, SMALL, load_text, load_value, small


def problems_of(value, **changes):
    """Return what is wrong with a scenario, given as a value or a text, without its directory."""
    text = value if isinstance(value, str | bytes) else write_document(value)
    with pytest.raises(ScenarioError) as refused:
        load_text(text, **changes)
    return [re.sub(r"^\S*/day\.yaml", "day.yaml", problem) for problem in refused.value.problems]


BAD = """\
schema: fdr/1
name: one day
duration: 24
durration: 1h
rses:
  DESY-DCACHE: {quota: 40 Tb, qos: SAFE}
  PIC-DCACHE: {qos: FAST}
experiments:
  CTA:
    account: cta
    inject:
      fils: 3
      files: 3
      rate: 3/s
      size: 8 MB
      to: PIC-DCACHE
      arrivals: {night: {from: "18:00"}}
    reads: []
    rules:
      - {to: PIC-DCACHE, when: later}
objectives: [lost == 0%, upload.succes >= 1%]
"""


def test_all_problems_are_told_at_once_each_with_its_line():
    """The author mends everything in one go, in the order of the file."""
    assert problems_of(BAD) == [
        "day.yaml:2: name: 'one day' is not a name (write for example one-day; 50 characters at most, "
        "^[A-Za-z0-9][A-Za-z0-9_.-]*$)",
        "day.yaml:3: duration: 24 of what? (write 24s, 24m or 24h)",
        "day.yaml:4: unknown key 'durration' (did you mean 'duration'?)",
        "day.yaml:6: rses.DESY-DCACHE.quota: unknown unit of size 'Tb' (did you mean 'TB'?)",
        "day.yaml:9: experiments.CTA.scope: is missing (write scope: …; The scope of its DIDs, which the "
        "account owns)",
        "day.yaml:11: experiments.CTA.inject: files and rate are both there (write exactly one of files, "
        "rate, volume)",
        "day.yaml:12: experiments.CTA.inject: unknown key 'fils' (did you mean 'files'?)",
        "day.yaml:17: experiments.CTA.inject.arrivals: night: not supported by this version of fdr (write "
        "constant or poisson)",
        "day.yaml:18: experiments.CTA.reads: not supported by this version of fdr",
        "day.yaml:20: experiments.CTA.rules[0].when: 'later' is not a moment (write at-creation or "
        "dataset-closed)",
        "day.yaml:21: objectives[0]: lost: it is a count, not a percentage (write 0)",
        "day.yaml:21: objectives[1]: unknown metric 'upload.succes' (did you mean 'upload.success'?)",
    ]


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"schema": "fdr/2"}, "schema: 'fdr/2' is not a schema"),
        ({"schema": DROP}, "schema: is missing"),
        ({"rses": {}}, "rses: has no RSE"),
        ({"experiments": {}}, "experiments: is not a mapping of 1 to"),
        ({"experiments": [1]}, "experiments: is not a mapping of 1 to"),
        ({"rses": []}, "rses: is not a mapping"),
        ({"rses__lower": {}}, "rses.lower: 'lower' is not an RSE's name"),
        ({"rses__C": None}, "rses.C: nothing is not a mapping"),
        ({"rses__C__attributes": {"country_name": "x"}}, "'country_name' is Rucio's own column"),
        (
            {"experiments__SKA__metadata": {"a.b": "x"}},
            "experiments.SKA.metadata.a.b: 'a.b' is not a key of metadata",
        ),
        ({"experiments__SKA__metadata": {"lifetime": "9"}}, "'lifetime' is kept by Rucio itself"),
        ({"experiments__SKA__metadata": {"campaign": "x" * 51}}, "is not a value of metadata"),
        ({"experiments__SKA__metadata": {"campaign": ["x"]}}, "is not a value of metadata"),
        ({"rses__C__attributes": {"QOS": "FAST"}}, "rses.C.attributes.QOS: 'FAST' is not the qos 'SAFE'"),
        ({"rses__C__watermark": "3 GB", "rses__C__quota": "2 GB"}, "rses.C.watermark: is above the quota"),
        ({"rses__C__protocols": ["gsiftp"]}, "rses.C.protocols[0]: 'gsiftp' is not a protocol"),
        ({"rses__C__protocols": ["root", "root"]}, "names one twice"),
        ({"rses__C__qos": "TOO SAFE"}, "rses.C.qos: 'TOO SAFE' is not a QoS label"),
        ({"duration": "0s"}, "duration: '0s' is out of range"),
        ({"duration": "100000d"}, "duration: '100000d' is out of range"),
        ({"seed": 1.5}, "seed: 1.5 is not a seed"),
        ({"seed": 2**63}, "is not a seed"),
        ({"experiments__CTA__account": "CTA"}, "account: 'CTA' is not an account"),
        ({"experiments__CTA__account": "a" * 26}, "is not an account"),
        ({"experiments__CTA__scope": "s" * 26}, "is not a scope"),
        ({"experiments__CTA__scope": "a:b"}, "is not a scope"),
        ({"experiments__A B": SMALL["experiments"]["SKA"]}, "'A B' is not an experiment's name"),
        ({"experiments__CTA__inject__to": "A-ON"}, "there is no RSE 'A-ON' in rses (did you mean 'A-ONE'?)"),
        ({"experiments__CTA__inject__to": "A-ONE|"}, "ends in '|'"),
        ({"experiments__CTA__inject__to": "country=DE"}, "'country=DE' matches no RSE"),
        ({"experiments__CTA__inject__to": "A-ONE&C"}, "'A-ONE&C' matches no RSE"),
        (
            {"experiments__CTA__inject__to": "contry=NL"},
            "no RSE has an attribute 'contry' (did you mean 'country'?)",
        ),
        (
            {"experiments__CTA__inject__to": {"qos": "FASTER"}},
            "no RSE has qos 'FASTER' (did you mean 'FAST'?)",
        ),
        ({"experiments__CTA__inject__to": {"qso": "FAST"}}, "is not a target (write {qos: LABEL})"),
        ({"experiments__CTA__inject__files": 0}, "files: 0 is out of range"),
        ({"experiments__CTA__inject__files": -3}, "files: -3 is out of range"),
        ({"experiments__CTA__inject__files": 10**30}, "is out of range"),
        ({"experiments__CTA__inject__files": True}, "files: True is not a whole number"),
        (
            {"experiments__CTA__inject__files": DROP},
            "says none of them (write exactly one of files, rate, volume)",
        ),
        (
            {"experiments__CTA__inject": [SMALL["experiments"]["CTA"]["inject"]]},
            "a list of injections: not supported",
        ),
        ({"experiments__CTA__inject__arrivals": "burst"}, "burst: not supported by this version"),
        ({"experiments__CTA__inject__arrivals": "poison"}, "'poison' is not a kind of arrivals"),
        (
            {"experiments__CTA__inject__size": "8 mb"},
            "inject.size: unknown unit of size 'mb' (did you mean 'MB'?)",
        ),
        ({"experiments__CTA__inject__size": 0}, "inject.size: 0 is out of range"),
        ({"experiments__CTA__inject__size": 1.5}, "inject.size: 1.5 is not a size"),
        ({"experiments__CTA__inject__size": {}}, "says none of them (write exactly one of fixed"),
        (
            {"experiments__CTA__inject__size": {"uniform": {"min": 2, "max": 1}}},
            "max: 1 bytes, less than min",
        ),
        (
            {"experiments__CTA__inject__size": {"lognormal": {"median": 1, "sigma": 9}}},
            "sigma: 9 is out of range",
        ),
        ({"experiments__CTA__inject__size": {"buckets": []}}, "inject.size.buckets: "),
        ({"experiments__CTA__inject__size": {"buckets": {"1 kB": 1, "1000": 1}}}, "'1000' is '1 kB' again"),
        ({"experiments__CTA__inject__size": {"buckets": {"1 kB": 0}}}, "buckets.1 kB: 0 is out of range"),
        ({"experiments__CTA__inject__name": "{experiment}"}, "{file} is missing"),
        ({"experiments__CTA__inject__name": "{file.__class__}"}, "unknown field"),
        (
            {"experiments__CTA__rules": [{"to": "C", "copies": 2}]},
            "2 copies, and 'C' matches 1 RSE (write 1)",
        ),
        ({"experiments__CTA__rules": [{"to": "C"}, {"to": "C"}]}, "rules[1]: the same target and copies"),
        (
            {"experiments__CTA__rules": [{"to": "C", "activity": "Tests"}]},
            "'Tests' is not an activity of Rucio's",
        ),
        ({"experiments__CTA__rules": [{"to": "C", "lifetime": "1m"}]}, "1m may end before the run"),
        ({"experiments__CTA__rules": {"to": "C"}}, "rules: is not a list"),
        ({"experiments__CTA__lifetime": "10m"}, "lifetime: 10m may end before the run, which lasts 11m40s"),
        ({"defaults": {"lifetime": "5m"}}, "defaults.lifetime: 5m may end before the run"),
        (
            {"duration": "3d"},
            "defaults.lifetime: 2d may end before the run, which lasts 3d10m with its grace",
        ),
        ({"experiments__CTA__quota": {"A-TWO": "1 GB"}}, "quota.A-TWO: there is no RSE 'A-TWO'"),
        ({"experiments__CTA__transitions": []}, "transitions: not supported by this version"),
        ({"experiments__SKA__scope": "cta"}, "'cta' is cta's in CTA; a scope has one account"),
        ({"limits": {"abort_when": "x"}}, "limits.abort_when: is not a list"),
        ({"limits": {"abort_when": [5]}}, "limits.abort_when[0]: 5 is not a limit"),
        (
            {"limits": {"abort_when": ["upload.success < 8%"]}},
            "abort_when[0]: 'upload.success < 8%' does not say",
        ),
        (
            {"limits": {"abort_when": ["upload.failed{experiment=CAT} > 1 over 5m"]}},
            "limits.abort_when[0]: upload.failed: there is no experiment 'CAT'",
        ),
        ({"limits": {"requests_per_second": 0}}, "requests_per_second: 0 is out of range"),
        ({"objectives": "lost == 0"}, "objectives: is not a list"),
        ({"objectives": ["upload.success{experiment=CAT} >= 1%"]}, "there is no experiment 'CAT'"),
        ({"grace": None}, "grace: has no value"),
        ({"description": 5}, "description: is not text"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(changes, hint):
    """One mistake is one problem, and says where it is and what is expected there."""
    problems = problems_of(small(**changes))
    assert len(problems) == 1, problems
    assert hint in problems[0]
    assert re.match(r"day\.yaml:\d+: ", problems[0])


def test_names_that_could_clash_in_a_shared_scope_are_told():
    """Two experiments that would write the same DID are refused before they do."""
    shared = small(experiments__SKA__account="cta", experiments__SKA__scope="cta")
    assert load_value(shared).experiments["SKA"].scope == "cta"
    shared["experiments"]["SKA"]["inject"]["name"] = "CTA/{file}/{file}"
    assert "could give the same names as CTA's files" in problems_of(shared)[0]


def test_accounts_that_are_shared_have_one_limit():
    """Two experiments of one account may not want different limits at one RSE."""
    shared = small(
        experiments__SKA__account="cta", experiments__CTA__quota={"C": 5}, experiments__SKA__quota={"C": 6}
    )
    assert "experiments.SKA.quota.C: 6 bytes, but 5 in CTA" in problems_of(shared)[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "day.yaml:1: is empty"),
        ("# nothing\n", "day.yaml:1: is empty"),
        ("- 1\n", "day.yaml:1: is not a mapping"),
        ("hello", "day.yaml:1: is not a mapping"),
        ("a: 1\nb: [\n", "day.yaml:3: is not YAML"),
        ("a:\n\t- 1\n", "day.yaml:2: is not YAML: .*spaces, not tabs"),
        ("a: b: c\n", "day.yaml:1: is not YAML: .*quote a value"),
        ("a: 1\n---\nb: 2\n", "day.yaml:2: is not YAML: more than one document"),
        ("a: *b\n", "day.yaml:1: is not YAML: .*undefined alias"),
        ("a: 1\nb: \x07\n", "day.yaml:2: is not YAML: a control character"),
        (b"name: \xff\xfe\n", "day.yaml: is not UTF-8 text"),
        ("[" * 5000, "day.yaml:1: is too large or too deep"),
        ("{a: " * 100 + "1" + "}" * 100, "day.yaml:1: is too large or too deep"),
        ("a: &a [*a]\n", "day.yaml:1: is too large or too deep"),
        (
            "a: &a [1,2,3,4,5,6,7,8,9]\n"
            + "".join(
                f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n"
                for p, n in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "day.yaml:1: is too large or too deep",
        ),
        ("#" * 1_000_001, "day.yaml:1: 1000001 characters are not a scenario"),
    ],
)
def test_what_is_no_scenario_at_all_is_told_in_one_line(text, problem):
    """Whatever the file holds, the answer is a line with its place."""
    problems = problems_of(text)
    assert len(problems) == 1
    assert re.match(problem, problems[0]), problems


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("name: twice", "day.yaml:{last}: name: written twice, first in line 2"),
        ("seed: !!python/object:os.system x", "day.yaml:{last}: seed: the tag .* has no meaning"),
        ("seed: !!int abc", "day.yaml:{last}: seed: 'abc' is not a number"),
        ("grace: 1e999", "day.yaml:{last}: grace: '1e999' is not a finite number"),
        ("? [a, b]\n: 1", "day.yaml:1: a key is not a word"),
        ("seed: " + "9" * 5000, "day.yaml:{last}: seed: a number of 5000 characters"),
    ],
)
def test_what_yaml_allows_and_a_scenario_does_not_is_told(line, problem):
    """Keys written twice, tags and absurd numbers are problems like others."""
    text = write_document(small(seed=DROP)) + line + "\n"
    last = len(text.splitlines())
    found = problems_of(text)
    assert any(re.match(problem.format(last=last), one) for one in found), found


def test_a_problem_is_one_printable_line_whatever_the_words():
    """Line ends, escapes and books in an author's words do not reach the terminal."""
    value = small(**{"rses__C__attributes": {"a\nb": 1, "\x1b[31m": 1}, "name": "x" * 5000})
    value["experiments"]["CTA"]["inject"]["name"] = "{a\nb" + "c" * 3000 + "}"
    for problem in problems_of(value):
        assert problem.isprintable()
        assert len(problem) <= 1000


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    """A missing file, a directory and a strange name are told in a line."""
    for path, what in (
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "Is a directory"),
        ("a\0b", "null"),
    ):
        with pytest.raises(ScenarioError, match=f"cannot be read: .*{what}"):
            load_scenario(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("experiments.CTA.inject.fils=3", "--set experiments.CTA.inject.fils=3: unknown key 'fils' (did you"),
        ("experiments.CTA.inject.files=x", "--set experiments.CTA.inject.files=x: 'x' is not a whole number"),
        ("experiments.CTA.inject={files: x, size: 1, to: C}", ": experiments.CTA.inject.files: 'x' is not"),
        ("files", "--set files: is not PATH=VALUE"),
        ("=3", "--set =3: is not PATH=VALUE"),
        ("a..b=3", "--set a..b=3: is not PATH=VALUE"),
        ("name.x=3", "--set name.x=3: name has nothing below it"),
        ("objectives[7]=x", "--set objectives[7]=x: objectives is a list of 1"),
        ("objectives.x=x", "--set objectives.x=x: objectives is a list of 1"),
        ("seed=[", "--set seed=[: is not YAML"),
        ("experiments.LSST=null", "--set experiments.LSST=null: is not there to be taken back"),
    ],
)
def test_a_problem_of_a_set_is_told_as_it_was_written(change, problem):
    """What came from the command line is not looked for in the file."""
    problems = problems_of(SMALL, sets=[change])
    assert len(problems) == 1
    assert problem in problems[0]
    assert problems[0].startswith("--set ")


def test_a_scale_that_is_too_large_is_told():
    """A scenario of more files than ids can count is refused."""
    assert "comes to 25_000_000_000 files" in problems_of(SMALL, scale=1e9)[0]


# --- whatever is written --------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [
            "8 MB",
            "24h",
            "6/s",
            "A-ONE",
            "QOS=FAST",
            "{file}",
            "*",
            "C\\B-TWO",
            "poisson",
            "at-creation",
            "-1 kB",
            "1e9",
        ]
    ),
)
KEYS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["schema", "name", "duration", "rses", "experiments", "CTA", "inject", "files", "size", "to"]
    ),
    st.sampled_from(
        ["rules", "lognormal", "buckets", "quota", "qos", "objectives", "limits", "defaults", "seed"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def paths_of(value, path=()):
    """Return the path of every part of a value."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        return [path]
    return [path, *(below for key, part in parts for below in paths_of(part, (*path, key)))]


@st.composite
def mutated(draw):
    """Return a scenario with a few of its parts replaced, renamed or dropped."""
    value = copy.deepcopy(draw(st.sampled_from([SMALL, SMOKE_VALUE])))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in paths_of(value) if path] or [("name",)]))
        here = value
        for part in path[:-1]:
            here = here[part]
        match draw(st.sampled_from(["replace", "drop", "add"])):
            case "drop":
                del here[path[-1]]
            case "add" if isinstance(here, dict):
                here[draw(KEYS)] = draw(VALUES)
            case _:
                here[path[-1]] = draw(VALUES)
    return value


SMOKE_VALUE = parse_value((SCENARIOS / "smoke.yaml").read_text())
CHECKER = jsonschema.Draft202012Validator(schema())


def read_or_refused(text, **changes):
    """Load a text; return the scenario, or None where it is refused as it should be."""
    problems = None
    try:
        scenario = load_text(text, **changes)
    except ScenarioError as error:
        problems = error.problems
    if problems is None:
        assert isinstance(scenario, Scenario)
        return scenario
    assert problems
    assert all(problem and problem.isprintable() for problem in problems), problems
    return None


@PATIENT
@given(st.one_of(st.text(max_size=200), VALUES.map(write_document), st.binary(max_size=60)))
def test_any_text_is_a_scenario_or_refused(text):
    """Nothing but a Scenario or a ScenarioError with one-line problems comes of any file."""
    read_or_refused(text)


@PATIENT
@given(mutated())
def test_any_mistake_in_a_scenario_is_refused_or_harmless(value):
    """A mutated scenario is refused, or can be planned and forecast to the end."""
    scenario = read_or_refused(write_document(value))
    if scenario is not None:
        forecast(scenario)
        assert next(plan(scenario)).due_s >= 0


@PATIENT
@given(mutated())
def test_what_the_schema_refuses_the_loader_refuses(value):
    """An editor never marks as wrong what fdr would run."""
    as_read = parse_value(write_document(value))
    if not CHECKER.is_valid(as_read):
        assert read_or_refused(write_document(value)) is None


@PATIENT
@given(
    st.lists(
        st.one_of(st.text(max_size=30), st.tuples(KEYS, KEYS, SCALARS).map(lambda p: f"{p[0]}.{p[1]}={p[2]}"))
    )
)
def test_any_sets_are_applied_or_refused(sets):
    """Nothing but a Scenario or a ScenarioError comes of any --set."""
    read_or_refused(write_document(SMALL), sets=sets)


@given(VALUES)
def test_a_value_is_written_as_it_is_read(value):
    """What is written to a run directory reads back as the same value, whatever its words look like."""
    try:
        text = write_document(value)
        first = parse_value(text)
    except ValueError:
        return
    assert parse_value(write_document(first)) == first
