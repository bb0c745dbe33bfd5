"""DID names are Rucio's, unique, and decided by the template."""

import dataclasses
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fdr.names import DEFAULT_TEMPLATE, check_template, dataset_name, did_name, may_clash
from fdr.rucio_schema import NAME_LENGTH, NAME_PATTERN
from tests.small_scenario import SMALL, load_value

RUN, DATE = "20261122T203015-7f3a", "20261122"
CTA = load_value(SMALL).experiments["CTA"]


def named(template, name="CTA"):
    """Return an experiment with this template."""
    inject = dataclasses.replace(CTA.inject, name=template)
    return dataclasses.replace(CTA, name=name, inject=inject)


def test_a_template_is_filled_in_below_the_run():
    """A template without {run} gets the run's id as first path element."""
    experiment = named("{experiment}/{date}/run{dataset:05d}/{file:06d}.fits")
    assert did_name(experiment, RUN, DATE, 3, 42) == f"{RUN}/CTA/{DATE}/run00003/000042.fits"


def test_a_template_may_place_the_run_itself():
    """A template with {run} is taken as it is."""
    assert did_name(named("x/{run}-{file}"), RUN, DATE, 0, 7) == f"x/{RUN}-7"


def test_datasets_are_named_by_run_experiment_and_number():
    """A dataset's name says where it belongs."""
    assert dataset_name(CTA, RUN, 12) == f"{RUN}/CTA/dataset-00012"


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{experiment}/x", "{file} is missing"),
        ("{file}{foo}", "unknown field"),
        ("{file.__class__}", "unknown field"),
        ("{file[0]}", "unknown field"),
        ("{0}{file}", "unknown field"),
        ("{}{file}", "unknown field"),
        ("{file", "is not a template"),
        ("file}", "is not a template"),
        ("{file!r}", "!r"),
        ("{file:5d}", "could repeat or hold spaces"),
        ("{file:e}", "could repeat"),
        ("{file:{dataset}}", "could repeat"),
        ("{experiment:>9}{file}", "takes no format"),
        ("{file} x", "does not take ' '"),
        ("{file}é", "does not take 'é'"),
        ("{{run}}{file}", "does not take"),
        ("a//{file}", "path element"),
        ("../{file}", "path element"),
        ("{file}/", "path element"),
        ("x" * 240 + "{file}", "characters"),
        ("{file:099d}" * 3, "characters"),
    ],
)
def test_a_bad_template_is_refused(template, hint):
    """What could give a name that Rucio refuses, or the same one twice, says what to write."""
    with pytest.raises(ValueError, match=hint):
        check_template(template, "CTA", 10**9)


FILE = st.sampled_from(["{file}", "{file:06d}", "{file:x}"])
PART = st.one_of(
    FILE,
    st.sampled_from(["{dataset:05d}", "{date}", "{run}", "{experiment}"]),
    st.text(alphabet="ab1._-", min_size=1, max_size=3),
    st.text(alphabet="a/. {}", max_size=2),  # much of this is refused
)
TEMPLATES = st.tuples(st.lists(PART, max_size=3), FILE, st.lists(PART, max_size=3)).map(
    lambda parts: "".join([*parts[0], parts[1], *parts[2]])
)


@given(TEMPLATES, st.sets(st.integers(0, 5000), min_size=2, max_size=8), st.integers(1, 50))
def test_a_template_that_passes_gives_unique_names_that_rucio_takes(template, files, per_dataset):
    """Whatever passes the check renders, for every file, to a different valid name."""
    try:
        check_template(template, "CTA", 5000)
    except ValueError:
        assume(False)
    names = [did_name(named(template), RUN, DATE, file // per_dataset, file) for file in files]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(NAME_PATTERN, name) and len(name) <= NAME_LENGTH for name in names)


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (("{file}", "A"), ("{file}", "B"), True),
        (("{experiment}/{file}", "A"), ("{experiment}/{file}", "B"), False),
        (("{experiment}{file}", "A"), ("{experiment}{file}", "A1"), True),
        (("{experiment}{file}", "A"), ("{experiment}{file}", "AB"), False),
        (("{experiment}{file:x}", "A"), ("{experiment}{file}", "Ab"), True),
        ((DEFAULT_TEMPLATE, "A"), ("{run}/{experiment}/dataset-{dataset:05d}", "A"), False),
        (("{experiment}/dataset-{file:05d}", "A"), ("{run}/{experiment}/dataset-{dataset:05d}", "A"), True),
        (("{experiment}/{file:x}ataset-{file}", "A"), ("{run}/{experiment}/dataset-{dataset}", "A"), True),
        (("{date}/{file}", "A"), ("{file}/{file}", "B"), True),
    ],
)
def test_templates_that_could_give_the_same_name_are_found(one, other, clash):
    """Two patterns are compared for every number they may hold, both ways round."""
    assert may_clash(one, other) is clash
    assert may_clash(other, one) is clash
