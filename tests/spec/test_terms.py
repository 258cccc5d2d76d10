"""The term tree: one object per term, simplified as it is built, the same text in every process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import product

import pytest

from oom_spec.language import terms
from oom_spec.language.terms import BOOL, COUNT, FALSE, TRUE, Kind, Op, Sort, Structure, Term

from .evaluate import Plain, evaluate

PAINT = Sort(Kind.CHOICE, "Paint")
BOX = Sort(Kind.OBJECT, "Box")
BOXES = ("b0", "b1", "b2")
STRUCTURE = Structure(
    {"Box": BOXES},
    {
        ("Box.heavy", "b0"): True,
        ("Box.heavy", "b1"): False,
        ("Box.heavy", "b2"): False,
        ("Box.next", "b0"): "b1",
        ("Box.next", "b1"): "b2",
        ("Box.next", "b2"): None,
    },
)
MOST = 3
VALUES: dict[Sort, tuple[Plain, ...]] = {
    BOOL: (False, True),
    COUNT: tuple(range(MOST + 1)),
    PAINT: ("RED", "BLUE"),
    BOX: (None, *BOXES),
}


def box(name: str) -> Term:
    return terms.const(BOX, name)


def flag(name: str, owner: Term | None = None) -> Term:
    return terms.field(f"Box.{name}", BOOL, (owner or box("b0"),))


def count(name: str, owner: Term | None = None) -> Term:
    return terms.field(f"Box.{name}", COUNT, (owner or box("b0"),), MOST)


def paint(name: str) -> Term:
    return terms.field(f"Box.{name}", PAINT, (box("b0"),))


OPEN, FULL, LOCKED = flag("open"), flag("full"), flag("locked")
ITEMS = count("items")


# -- hash-consing --------------------------------------------------------------------------------


def test_equal_terms_are_one_object() -> None:
    assert terms.conjoin(flag("open"), flag("full")) is terms.conjoin(OPEN, FULL)
    assert terms.add(count("items"), 2) is terms.add(ITEMS, 2)


def test_true_and_one_are_different_constants() -> None:
    assert terms.const(BOOL, True) is not terms.const(COUNT, 1)
    assert terms.const(BOOL, True) is not terms.const(BOOL, 1)
    assert terms.boolean(True) is TRUE
    assert terms.boolean(False) is FALSE
    assert terms.integer(1) is terms.const(COUNT, 1)
    assert terms.integer(1).payload is not True


def test_the_sort_is_part_of_a_constant() -> None:
    assert terms.const(PAINT, "b0") is not terms.const(BOX, "b0")
    assert terms.const(PAINT, None) is not terms.const(BOX, None)


def test_the_bound_of_a_count_is_part_of_its_field() -> None:
    assert terms.field("Box.items", COUNT, (box("b0"),), 3) is not terms.field("Box.items", COUNT, (box("b0"),), 4)


def test_small_and_large_counts_are_shared() -> None:
    for value in (-2, -1, 0, 31, 32, 1000):
        assert terms.integer(value) is terms.integer(value)
        assert terms.integer(value).payload == value


# -- simplification ------------------------------------------------------------------------------


def test_double_negation_goes() -> None:
    assert terms.negate(terms.negate(OPEN)) is OPEN
    assert terms.negate(TRUE) is FALSE
    assert terms.negate(FALSE) is TRUE


def test_units_go_and_zeros_win() -> None:
    assert terms.conjoin() is TRUE
    assert terms.disjoin() is FALSE
    assert terms.conjoin(TRUE, OPEN, TRUE) is OPEN
    assert terms.disjoin(FALSE, OPEN) is OPEN
    assert terms.conjoin(OPEN, FALSE) is FALSE
    assert terms.disjoin(OPEN, TRUE) is TRUE


def test_a_term_and_its_negation_decide() -> None:
    assert terms.conjoin(OPEN, FULL, terms.negate(OPEN)) is FALSE
    assert terms.conjoin(terms.negate(OPEN), FULL, OPEN) is FALSE
    assert terms.disjoin(OPEN, terms.negate(OPEN)) is TRUE


def test_repetitions_and_nesting_go() -> None:
    assert terms.conjoin(OPEN, OPEN) is OPEN
    nested = terms.conjoin(OPEN, terms.conjoin(FULL, LOCKED), FULL)
    assert nested.args == (OPEN, FULL, LOCKED)
    mixed = terms.conjoin(OPEN, terms.disjoin(FULL, LOCKED))
    assert mixed.args == (OPEN, terms.disjoin(FULL, LOCKED))


def test_comparisons_of_counts_have_one_form() -> None:
    some_items = terms.at_least(ITEMS, 1)
    assert terms.equals(ITEMS, terms.integer(0)) is terms.negate(some_items)
    assert terms.equals(terms.integer(MOST), ITEMS) is terms.at_least(ITEMS, MOST)
    assert terms.equals(ITEMS, terms.integer(MOST + 1)) is FALSE
    assert terms.equals(ITEMS, terms.integer(-1)) is FALSE
    assert terms.at_least(ITEMS, 0) is TRUE
    assert terms.at_least(ITEMS, MOST + 1) is FALSE
    assert terms.at_least(terms.add(ITEMS, 2), 3) is some_items
    assert terms.at_least(terms.integer(2), 2) is TRUE
    assert terms.at_least(terms.integer(2), 3) is FALSE


def test_sums_are_folded() -> None:
    assert terms.add(terms.add(ITEMS, 2), -2) is ITEMS
    assert terms.add(terms.integer(2), -3) is terms.integer(-1)


def test_equality_folds_what_is_known() -> None:
    assert terms.equals(OPEN, TRUE) is OPEN
    assert terms.equals(FALSE, OPEN) is terms.negate(OPEN)
    assert terms.equals(OPEN, OPEN) is TRUE
    assert terms.equals(box("b0"), box("b1")) is FALSE
    assert terms.equals(paint("lid"), paint("side")) is terms.equals(paint("side"), paint("lid"))


def test_a_choice_between_values_is_folded() -> None:
    red, blue = terms.const(PAINT, "RED"), terms.const(PAINT, "BLUE")
    assert terms.choose(TRUE, red, blue) is red
    assert terms.choose(FALSE, red, blue) is blue
    assert terms.choose(OPEN, red, red) is red
    assert terms.choose(OPEN, TRUE, FALSE) is OPEN
    assert terms.choose(OPEN, FALSE, TRUE) is terms.negate(OPEN)
    assert terms.equals(terms.choose(OPEN, red, blue), red) is OPEN
    assert terms.at_least(terms.choose(OPEN, terms.integer(2), terms.integer(0)), 1) is OPEN


def random_term(draw: random.Random, sort: Sort, size: int, level: int = 0) -> Term:
    """A term of ``sort`` built from about ``size`` random constructors, inside ``level`` quantifiers."""
    owner = terms.bound(BOX, draw.randrange(level)) if level and draw.random() < 0.6 else box(draw.choice(BOXES))
    if size <= 0:
        if draw.random() < 0.2:
            value = draw.choice(VALUES[sort])
            return terms.integer(value) if sort is COUNT and isinstance(value, int) else terms.const(sort, value)
        if sort is BOOL and draw.random() < 0.2:
            return terms.static("Box.heavy", BOOL, owner)
        name = f"Box.{sort.kind.value}{draw.randrange(2)}"
        return terms.field(name, sort, (owner,), MOST if sort is COUNT else None)

    def part(of: Sort, deeper: int = 0) -> Term:
        return random_term(draw, of, size - 1 - draw.randrange(2), level + deeper)

    if sort is COUNT and draw.random() < 0.6:
        return terms.add(part(COUNT), draw.randrange(-2, 3))
    if sort is not BOOL:
        return terms.choose(part(BOOL), part(sort), part(sort))
    kind = draw.randrange(8)
    if kind == 0:
        return terms.negate(part(BOOL))
    if kind == 1:
        return terms.conjoin(*(part(BOOL) for _ in range(3)))
    if kind == 2:
        return terms.disjoin(*(part(BOOL) for _ in range(3)))
    if kind == 3:
        return terms.choose(part(BOOL), part(BOOL), part(BOOL))
    if kind == 4:
        return terms.at_least(part(COUNT), draw.randrange(-1, MOST + 2))
    if kind == 5:
        of = draw.choice((BOOL, PAINT, BOX))
        return terms.equals(part(of), part(of))
    if kind == 6:
        value = draw.randrange(-1, MOST + 2)
        return terms.equals(part(COUNT), terms.integer(value))
    return terms.quantify(draw.choice((Op.EVERY, Op.SOME)), BOX, level, part(BOOL, 1))


def random_values(draw: random.Random) -> dict[tuple[str, tuple[str, ...]], Plain]:
    return {
        (f"Box.{sort.kind.value}{number}", (owner,)): draw.choice(values)
        for sort, values in VALUES.items()
        for number in range(2)
        for owner in BOXES
    }


def test_expanding_keeps_the_value_and_leaves_no_quantifier() -> None:
    draw = random.Random(412)
    quantified = 0
    for _ in range(1500):
        term = random_term(draw, draw.choice((BOOL, COUNT, PAINT)), 4)
        ground = terms.expand(term, STRUCTURE)
        for op in (Op.EVERY, Op.SOME, Op.STATIC, Op.BOUND):
            quantified += bool(terms.leaves(term, op))
            assert not terms.leaves(ground, op)
        for _ in range(4):
            values = random_values(draw)
            assert evaluate(ground, values, STRUCTURE) == evaluate(term, values, STRUCTURE), terms.show(term)
    assert quantified > 500


def test_simplifying_keeps_the_value() -> None:
    """Every constructor against its definition, on all valuations of two flags and a count."""
    a, b = flag("bool0"), flag("bool1")
    items = count("count0")
    for number in range(-2, MOST + 3):
        for left, right, many in product((False, True), (False, True), range(MOST + 1)):
            values: dict[tuple[str, tuple[str, ...]], Plain] = {
                ("Box.bool0", ("b0",)): left,
                ("Box.bool1", ("b0",)): right,
                ("Box.count0", ("b0",)): many,
            }
            expected = {
                terms.at_least(items, number): many >= number,
                terms.equals(items, terms.integer(number)): many == number,
                terms.at_least(terms.add(items, 1), number): many + 1 >= number,
                terms.conjoin(a, terms.negate(b)): left and not right,
                terms.disjoin(a, terms.negate(b)): left or not right,
                terms.equals(a, b): left == right,
                terms.choose(a, b, TRUE): right if left else True,
                terms.choose(a, b, FALSE): right if left else False,
                terms.choose(a, TRUE, b): True if left else right,
                terms.choose(a, FALSE, b): False if left else right,
            }
            for term, value in expected.items():
                assert evaluate(term, values, STRUCTURE) == value, terms.show(term)


def test_statics_are_replaced_by_what_the_scenario_fixes() -> None:
    assert terms.expand(terms.static("Box.heavy", BOOL, box("b0")), STRUCTURE) is TRUE
    assert terms.expand(terms.static("Box.next", BOX, box("b1")), STRUCTURE) is box("b2")
    item = terms.bound(BOX, 0)
    heavy_and_open = terms.conjoin(terms.static("Box.heavy", BOOL, item), flag("open", item))
    assert terms.expand(terms.quantify(Op.SOME, BOX, 0, heavy_and_open), STRUCTURE) is OPEN


def test_quantifiers_over_nothing() -> None:
    empty = Structure({}, {})
    item = flag("open", terms.bound(BOX, 0))
    assert terms.expand(terms.quantify(Op.EVERY, BOX, 0, item), empty) is TRUE
    assert terms.expand(terms.quantify(Op.SOME, BOX, 0, item), empty) is FALSE


def test_the_same_body_under_two_bindings_is_expanded_twice() -> None:
    item = terms.bound(BOX, 0)
    every = terms.expand(terms.quantify(Op.EVERY, BOX, 0, flag("open", item)), STRUCTURE)
    assert every is terms.conjoin(*(flag("open", box(name)) for name in BOXES))


def test_leaves_are_listed_once_in_order() -> None:
    term = terms.conjoin(FULL, terms.disjoin(OPEN, LOCKED), terms.choose(OPEN, FULL, LOCKED))
    assert terms.leaves(term, Op.FIELD) == (FULL, OPEN, LOCKED)


# -- text ----------------------------------------------------------------------------------------


def test_text_of_terms() -> None:
    item = terms.bound(BOX, 0)
    shown = {
        TRUE: "true",
        terms.integer(2): "2",
        terms.const(BOX, None): "none",
        terms.conjoin(OPEN, terms.negate(FULL)): "(and b0.open (not b0.full))",
        terms.at_least(terms.choose(OPEN, ITEMS, terms.integer(1)), 2): "(and b0.open (>= b0.items 2))",
        terms.quantify(Op.SOME, BOX, 0, flag("open", item)): "(some ?box0: ?box0.open)",
        terms.static("Box.next", BOX, item): "?box0.next",
        terms.field("Box.near", BOOL, (box("b0"), box("b1"))): "b0.near[b1]",
    }
    for term, text in shown.items():
        assert terms.show(term) == text


PRINT_ALL = """
import sys
from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.scenarios import find_scenario

texts = {}
for name in sys.argv[1].split(","):
    instance = Instance(find_era(name), find_scenario("single"))
    lines = texts[name] = []
    for action, path in instance.lifted:
        fills = [(declaration.qualified, owner, term) for declaration, owner, term in path.fills]
        lines.append(f"{action.id} {path.site} {path.condition} {path.guards} {path.updates} {fills} {path.events}")
    for ground in instance.paths:
        lines.append(f"{ground.action.id} {ground.condition} {ground.updates}")
for name in ("v4.12", "v4.14"):
    print("\\n".join(texts[name]))
"""


@pytest.mark.parametrize("order", ["v4.14,v4.12", "hocko-2017-07-24,v4.14,arcangeli-first,v4.12"])
def test_lifted_paths_print_the_same_in_every_process(order: str) -> None:
    def printed(eras: str, seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", PRINT_ALL, eras]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    plain = printed("v4.12,v4.14", "1")
    assert len(plain.splitlines()) > 300
    assert "0x" not in plain
    assert printed(order, "2") == plain
