"""Which RSEs an RSE expression names, among those of a scenario. Pure.

The grammar is Rucio's (rucio/core/rse_expression_parser.py): an RSE's name or an attribute that is true,
``key=value``, ``key<number``, ``key>number`` or ``*``, joined by ``|`` (union), ``&`` (intersection) and
``\\`` (complement), which all bind alike and from left to right; parentheses group; no spaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fdr.model import Rse

Rses = Mapping[str, Rse]

TOKEN = re.compile(
    r"(?P<compare>(?P<key>[A-Za-z0-9._-]+)(?P<op>[=<>])(?P<value>[A-Za-z0-9_-]+))"
    r"|(?P<bare>[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*)"
    r"|(?P<symbol>[*()|&\\])"
)
LONGEST = 3000  # the column that Rucio keeps an expression in


@dataclass(frozen=True, slots=True)
class Term:
    """One primitive of an expression: ``op`` is ``=``, ``<`` or ``>``, or empty for a bare word or ``*``."""

    key: str
    op: str = ""
    value: str = "true"

    def __str__(self) -> str:
        """Return the term as it is written in an expression."""
        return f"{self.key}{self.op}{self.value}" if self.op else self.key


def matching(expression: str, rses: Rses) -> frozenset[str]:
    """Return the names of the RSEs that an expression resolves to; none, where Rucio would refuse it.

    Raises ValueError, with what to write instead, where the expression is not well written.
    """
    result: frozenset[str] = frozenset()
    outer: list[tuple[frozenset[str], str]] = []
    operator = "|"
    for token in _tokens(expression):
        if isinstance(token, Term):
            result = _join(result, operator, term_matches(token, rses))
        elif token == "(":
            outer.append((result, operator))
            result, operator = frozenset(), "|"
        elif token == ")":
            left, left_operator = outer.pop()
            result = _join(left, left_operator, result)
        else:
            operator = token
    return result


def terms(expression: str) -> tuple[Term, ...]:
    """Return the primitives of an expression, as written from left to right. Raises ValueError likewise."""
    return tuple(token for token in _tokens(expression) if isinstance(token, Term))


def term_matches(term: Term, rses: Rses) -> frozenset[str]:
    """Return the names of the RSEs that one primitive matches."""
    if term.key == "*":
        return frozenset(rses)
    if term.op in ("", "="):
        # Rucio looks up the key ``rse`` in the table of RSEs, not among the attributes.
        if term.key == "rse" and term.op:
            return frozenset(rses) & {term.value}
        wanted = _stored(term.value)
        return frozenset(name for name, rse in rses.items() if _attributes(rse).get(term.key) == wanted)
    limit = _number(term.value)
    if limit is None:
        return frozenset()
    found = set()
    for name, rse in rses.items():
        # Rucio reads true and false back as booleans, which count as 1 and 0; as a limit they do not count.
        stored = _attributes(rse).get(term.key, "")
        number = {"true": 1.0, "false": 0.0}.get(stored, _number(stored))
        if number is not None and (number < limit if term.op == "<" else number > limit):
            found.add(name)
    return frozenset(found)


def _attributes(rse: Rse) -> dict[str, str]:
    """Return what Rucio stores of an RSE: its attributes, and its own name as one that is true."""
    return {**{key: _stored(value) for key, value in rse.attributes.items()}, rse.name: "true"}


def _stored(value: str) -> str:
    """Return a value as Rucio's database holds it: true and false in small letters."""
    return value.lower() if value.lower() in ("true", "false") else value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _join(left: frozenset[str], operator: str, right: frozenset[str]) -> frozenset[str]:
    match operator:
        case "&":
            return left & right
        case "\\":
            return left - right
        case _:
            return left | right


def _tokens(expression: str) -> list[Term | str]:
    """Return terms and symbols; raise ValueError unless operands and operators alternate."""
    if len(expression) > LONGEST:
        raise ValueError(f"an RSE expression of {len(expression)} characters (Rucio takes {LONGEST})")
    tokens: list[Term | str] = []
    position, depth, wants_term = 0, 0, True
    while position < len(expression):
        match = TOKEN.match(expression, position)
        if match is None:
            raise ValueError(_unreadable(expression, position))
        text = match.group()
        closes_or_joins = text in (")", "|", "&", "\\")
        if closes_or_joins == wants_term:
            expected = "an RSE, KEY=VALUE, * or (" if wants_term else "|, & or \\"
            raise ValueError(f"{expression!r}: {text!r} where {expected} should stand")
        depth += (text == "(") - (text == ")")
        if depth < 0:
            raise ValueError(f"{expression!r}: a ) without its (")
        wants_term = text in ("(", "|", "&", "\\")
        tokens.append(_token(match))
        position = match.end()
    if wants_term:
        ends = f"ends in {expression[-1]!r}" if expression else "is empty"
        raise ValueError(f"{expression!r} {ends} (write for example DESY-DCACHE, QOS=FAST or country=NL)")
    if depth:
        raise ValueError(f"{expression!r}: a ( without its )")
    return tokens


def _token(match: re.Match[str]) -> Term | str:
    if match["compare"]:
        return Term(match["key"], match["op"], match["value"])
    text = match.group()
    return Term(text) if match["bare"] or text == "*" else text


def _unreadable(expression: str, position: int) -> str:
    if expression[position].isspace():
        return f"{expression!r}: Rucio takes no space in an RSE expression (write {_squeezed(expression)!r})"
    return f"{expression!r}: {expression[position]!r} cannot stand there (write for example A|B or key=value)"


def _squeezed(expression: str) -> str:
    return "".join(expression.split())
