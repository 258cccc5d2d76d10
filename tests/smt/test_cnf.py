"""Finite questions: nodes, and the same as clauses."""

from __future__ import annotations

import random
from itertools import product

import pytest

from oom_smt.cnf import clauses_of
from oom_smt.finite import Builder, Gate, Question

from .dpll import solve


def any_question(chooser: random.Random) -> Question:
    """Random gates over two vectors of three bits and two truth values, one to three of them asserted."""
    builder = Builder()
    vectors = [builder.variable("x", 3), builder.variable("y", 3), builder.number(chooser.randrange(8), 3)]
    truths = [builder.variable("p", 0), builder.variable("q", 0), builder.true]
    for _ in range(12):
        one, other = chooser.choice(vectors), chooser.choice(vectors)
        yes, no = chooser.choice(truths), chooser.choice(truths)
        match chooser.randrange(8):
            case 0:
                vectors.append(builder.plus(one, chooser.randint(-8, 8)))
            case 1:
                vectors.append(builder.choose(yes, one, other))
            case 2:
                truths.append(builder.equals(one, other))
            case 3:
                truths.append(builder.at_least(one, other))
            case 4:
                truths.append(builder.negate(yes))
            case 5:
                truths.append(builder.conjoin(yes, no, chooser.choice(truths)))
            case 6:
                truths.append(builder.disjoin(yes, no, chooser.choice(truths)))
            case _:
                truths.append(builder.choose(yes, no, chooser.choice(truths)))
    for _ in range(chooser.randint(1, 3)):
        asserted = chooser.choice(truths)
        builder.add(asserted if chooser.random() < 0.5 else builder.negate(asserted))
    return builder.question()


def test_clauses_have_the_models_of_the_question() -> None:
    """For each choice of values: the clauses can be satisfied with it if and only if the question holds."""
    chooser = random.Random(5)
    both = set()
    for _ in range(150):
        question = any_question(chooser)
        made = clauses_of(question)
        variables = [(node.name, node.width) for node in question.variables]
        for values in product(*(range(1 << max(1, width)) for _, width in variables)):
            if chooser.random() > 0.2:
                continue
            chosen = dict(zip((name for name, _ in variables), values, strict=True))
            fixed = [
                literal if chosen[name] >> place & 1 else -literal
                for name, literals in made.names.items()
                for place, literal in enumerate(literals)
            ]
            held = question.holds(chosen)
            both.add(held)
            assert (solve(made.clauses, tuple(fixed)) is not None) == held, chosen
    assert both == {True, False}


def test_the_text_for_solvers_has_all_clauses() -> None:
    builder = Builder()
    builder.add(builder.disjoin(builder.variable("p", 0), builder.negate(builder.variable("q", 0))))
    assert clauses_of(builder.question()).dimacs() == "p cnf 3 2\n1 0\n2 -3 0\n"


def test_a_clause_that_occurs_elsewhere_too_has_a_literal() -> None:
    builder = Builder()
    p, q, r = (builder.variable(name, 0) for name in "pqr")
    builder.add(builder.disjoin(p, q))
    builder.add(builder.equals(r, builder.disjoin(p, q)))
    made = clauses_of(builder.question())
    found = solve(made.clauses)
    assert found is not None
    assert found[made.names["r"][0]]


def test_what_is_false_as_it_stands_is_the_empty_clause() -> None:
    builder = Builder()
    builder.add(builder.false)
    made = clauses_of(builder.question())
    assert made.dimacs() == "p cnf 1 2\n1 0\n0\n"
    assert solve(made.clauses) is None


def test_equal_nodes_are_one_and_constants_are_folded() -> None:
    builder = Builder()
    x, p = builder.variable("x", 2), builder.variable("p", 0)
    assert builder.equals(x, builder.plus(x, 1)) == builder.equals(builder.plus(x, 1), x)
    assert builder.equals(x, x) == builder.true
    assert builder.equals(builder.number(1, 2), builder.number(2, 2)) == builder.false
    assert builder.equals(p, builder.true) == p
    assert builder.equals(builder.false, p) == builder.negate(p)
    assert builder.negate(builder.negate(p)) == p
    assert (builder.negate(builder.true), builder.negate(builder.false)) == (builder.false, builder.true)
    assert builder.choose(p, x, x) == x
    assert builder.at_least(x, builder.number(0, 2)) == builder.true
    assert builder.choose(builder.false, x, p) == p
    assert builder.conjoin(p, builder.false) == builder.false
    assert (builder.conjoin(), builder.disjoin()) == (builder.true, builder.false)
    builder.add(builder.conjoin(builder.disjoin(p, builder.equals(x, builder.number(3, 2))), builder.true))
    assert [node.gate for node in builder.question().nodes] == [
        Gate.VARIABLE,
        Gate.VARIABLE,
        Gate.NUMBER,
        Gate.EQUALS,
        Gate.OR,
    ]


def test_nodes_that_cannot_be_are_refused() -> None:
    builder = Builder()
    builder.variable("x", 2)
    with pytest.raises(ValueError, match="x has 2 bits, not 3"):
        builder.variable("x", 3)
    with pytest.raises(ValueError, match="4 does not fit into 2 bits"):
        builder.number(4, 2)
