"""RSE expressions mean among a scenario's RSEs what they mean to Rucio."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.expression import Term, matching, terms
from fdr.model import Rse

ATTRIBUTES = {
    "A": {"QOS": "FAST", "n": "1", "t": "true"},
    "B-C": {"QOS": "SAFE", "n": "2.5", "t": "False"},
    "D_1": {"n": "x", "country.x": "NL"},
    "E": {"QOS": "FAST", "n": "true"},
}
RSES = {name: Rse(name, None, None, None, attributes) for name, attributes in ATTRIBUTES.items()}


# What rucio.core.rse_expression_parser (41.5.1) gave for RSEs with the same attributes.
@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("A", "A"),
        ("B-C", "B-C"),
        ("*", "A B-C D_1 E"),
        ("QOS=FAST", "A E"),
        ("rse=E", "E"),
        ("t", "A"),
        ("t=TRUE", "A"),
        ("t=false", "B-C"),
        ("country.x=NL", "D_1"),
        ("n<2", "A E"),
        ("n>1", "B-C"),
        ("n<x", ""),
        ("n<inf", "A B-C E"),
        ("E<2", "E"),
        ("nope=1", ""),
        ("Z", ""),
        ("A|B-C&QOS=SAFE", "B-C"),
        ("A|(B-C&QOS=SAFE)", "A B-C"),
        ("*\\A\\E", "B-C D_1"),
        ("*\\(A\\E)", "B-C D_1 E"),
        ("QOS=FAST&A|D_1", "A D_1"),
        ("((A))", "A"),
        ("(QOS=FAST|QOS=SAFE)\\(B-C)", "A E"),
    ],
)
def test_an_expression_names_what_rucio_names(expression, names):
    """Operators bind alike, from the left; parentheses group; true and false are written any way."""
    assert matching(expression, RSES) == frozenset(names.split())


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("", "is empty"),
        ("A|", "ends in '|'"),
        ("|A", "where an RSE"),
        ("A B", "no space"),
        ("A | E", "write 'A|E'"),
        ("(A", "without its )"),
        ("A)", "without its ("),
        ("A(E)", "where |"),
        ("()", "where an RSE"),
        ("a=b=c", "cannot stand"),
        ("QOS=", "cannot stand"),
        ("a=b.c", "cannot stand"),
        ("A&&E", "where an RSE"),
        ("A\n", "no space"),
        ("A|" * 2000 + "A", "3000"),
    ],
)
def test_what_rucio_would_refuse_is_refused(expression, hint):
    """An ill-formed expression is a ValueError that shows where."""
    with pytest.raises(ValueError, match=re.escape(hint)):
        matching(expression, RSES)


def test_terms_are_the_primitives_in_order():
    """The words of an expression can be looked at one by one."""
    assert terms("(A|QOS=FAST)\\n<2&*") == (
        Term("A"),
        Term("QOS", "=", "FAST"),
        Term("n", "<", "2"),
        Term("*"),
    )


LEAVES = st.sampled_from(["A", "B-C", "D_1", "E", "QOS=FAST", "QOS=SAFE", "n<2", "n>1", "t", "*", "Z"])
TREES = st.recursive(LEAVES, lambda parts: st.tuples(parts, st.sampled_from("|&\\"), parts), max_leaves=12)


def _written(tree):
    return tree if isinstance(tree, str) else f"({_written(tree[0])}){tree[1]}({_written(tree[2])})"


def _meant(tree):
    if isinstance(tree, str):
        return matching(tree, RSES)
    left, right = _meant(tree[0]), _meant(tree[2])
    return {"|": left | right, "&": left & right, "\\": left - right}[tree[1]]


@given(TREES)
def test_operators_are_those_of_sets(tree):
    """A parenthesised expression is the union, intersection or difference of its parts."""
    assert matching(_written(tree), RSES) == _meant(tree)


@given(st.lists(st.tuples(st.sampled_from("|&\\"), LEAVES), max_size=6), LEAVES)
def test_without_parentheses_operators_go_from_left_to_right(rest, first):
    """No operator binds closer than another."""
    meant, written = matching(first, RSES), first
    for operator, leaf in rest:
        right = matching(leaf, RSES)
        meant = {"|": meant | right, "&": meant & right, "\\": meant - right}[operator]
        written += operator + leaf
    assert matching(written, RSES) == meant


@given(st.text(alphabet="AB-C_1E=<>()|&\\* nQOSt.", max_size=12))
def test_any_text_is_an_expression_or_refused(text):
    """Nothing but ValueError comes of any text."""
    try:
        found = matching(text, RSES)
    except ValueError:
        return
    assert found <= set(RSES)
