"""Each misuse of the language is caught where it is written, and the message says the remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from oom_spec.language import (
    Era,
    World,
    begin,
    both,
    every,
    make,
    requires,
    some,
    step,
    steps_of,
    when,
)
from oom_spec.language.errors import MisuseError
from oom_spec.language.steps import Step, unique_ids
from oom_spec.lifting import SymbolicStore, lift_formula, object_term
from oom_spec.stepping import ConcreteStore

from .toy import HOUSE, TWO_GUESTS, Bell, Guest, GuestAt, House, Paint, Why, complaint, enter, guest_step, lift, unlock

Body = Callable[[World, Guest, House], object]

LOOP = (
    "a Python loop or `in` over {what}: say `every(...)`, `some(...)` or `.fill(...)`, or make it one step per "
    "object; a loop would be unrolled for this instance's size and prove nothing of others"
)
READS_COUNTER = (
    "Guest.at is a program counter: no step and no property reads one; state where a step stands with `at=`, and "
    "let other actors see a flag, lock or count"
)
HISTORY_DECIDES = (
    "the history field House.ever_open decides what happens: history is for properties; use `when(...)` to record "
    "it, and an ordinary field to act on it"
)
OF_OTHERS = (
    "Guest.inside of an object of every(...)/some(...) is assigned: take the object as a parameter, or use `.fill`"
)


def misusing(body: Body) -> Step:
    """A step that does ``body``."""

    def probe(world: World, guest: Guest, house: House) -> None:
        """Does what the test wants to be refused."""
        body(world, guest, house)

    return guest_step(at=GuestAt.OUTSIDE, then=GuestAt.INSIDE, call="probe")(probe)


def refusal(body: Body) -> str:
    """What the lifting says of ``body``, after the place that it names."""
    declared = misusing(body)
    code = declared.function.__code__
    place = f"{code.co_filename}:{code.co_firstlineno}: step guest.visit.probe: "
    message = complaint(lambda: lift(declared))
    assert message.startswith(place), message
    return message.removeprefix(place)


def loops_over_guests(world: World, guest: Guest, house: House) -> None:
    for _ in world.all(Guest):
        pass


def counts_down(world: World, guest: Guest, house: House) -> None:
    while house.crowd != 0:
        house.crowd -= 1


def asks_for_ever(world: World, guest: Guest, house: House) -> None:
    rounds = 0
    while house.locked:
        rounds += 1
        assert rounds < 10_000, "the lifting would never have come back"


def acts_on_history(world: World, guest: Guest, house: House) -> None:
    if house.ever_open:
        house.paint = Paint.BLUE


def fills_then_reads(world: World, guest: Guest, house: House) -> None:
    house.seen.fill(True)
    requires(house.seen[guest], Why.TEST)


def fills_then_assigns(world: World, guest: Guest, house: House) -> None:
    house.seen.fill(False)
    house.seen[guest] = True


def does(action: Callable[[], object]) -> bool:
    """For side effects inside a quantifier."""
    action()
    return True


REFUSED: dict[str, tuple[Body, str]] = {
    "hash": (
        lambda w, g, h: hash(h.locked),
        "hash of the symbolic value `house.locked`: keep it out of sets and dict keys; compare it with `==` instead",
    ),
    "set member": (
        lambda w, g, h: {h.last},
        "hash of the symbolic value `house.last`: keep it out of sets and dict keys; compare it with `==` instead",
    ),
    "dict key": (
        lambda w, g, h: {h.paint: 1},
        "hash of the symbolic value `house.paint`: keep it out of sets and dict keys; compare it with `==` instead",
    ),
    "hash of a quantifier's object": (
        lambda w, g, h: every(w.all(Guest), lambda other: bool({other})),
        "an object of a quantifier has no hash: keep it out of sets and dict keys",
    ),
    "in": (
        lambda w, g, h: h.paint in (Paint.RED, Paint.BLUE),
        "`in` on the symbolic value `(= house.paint RED)`: write `either(x == a, x == b)`",
    ),
    "not in": (
        lambda w, g, h: h.paint not in (Paint.RED, Paint.BLUE),
        "`in` on the symbolic value `(= house.paint RED)`: write `either(x == a, x == b)`",
    ),
    "in a symbol": (
        lambda w, g, h: 1 in h.visits,  # type: ignore[operator]
        "`in` of the symbolic value `house.visits`: write `either(x == a, x == b)`",
    ),
    "loop over objects": (loops_over_guests, LOOP.format(what="all Guest objects")),
    "in all objects": (lambda w, g, h: g in w.all(Guest), LOOP.format(what="all Guest objects")),
    "loop over an indexed field": (lambda w, g, h: list(h.seen), LOOP.format(what="House.seen")),
    "in an indexed field": (lambda w, g, h: g in h.seen, LOOP.format(what="House.seen")),
    "loop over a symbol": (
        lambda w, g, h: list(h.locked),  # type: ignore[call-overload]
        "iteration of the symbolic value `house.locked`: say `every(...)` or `some(...)`",
    ),
    "number of objects": (
        lambda w, g, h: len(w.all(Guest)),
        (
            "the number of Guest objects belongs to a scenario: a step or property that depends on it cannot be proved "
            "for any number"
        ),
    ),
    "unbounded loop": (
        counts_down,
        (
            "64 decisions on one path, the last on `(>= house.crowd 33)`: an unbounded loop? make each round a step of "
            "its own"
        ),
    ),
    "undeclared field": (
        lambda w, g, h: setattr(h, "lockd", True),
        "House declares no field `lockd`: declare it in its class; did you mean `locked`?",
    ),
    "undeclared field like no other": (
        lambda w, g, h: setattr(h, "zzz", True),
        "House declares no field `zzz`: declare it in its class",
    ),
    "own program counter": (lambda w, g, h: g.at == GuestAt.OUTSIDE, READS_COUNTER),
    "another's program counter": (
        lambda w, g, h: some(w.all(Guest), lambda other: other.at == GuestAt.OUTSIDE),
        READS_COUNTER,
    ),
    "assigned program counter": (
        lambda w, g, h: setattr(g, "at", GuestAt.GONE),
        (
            "Guest.at is a program counter: write `then=` in the step's declaration, or `begin(...)` to start another "
            "routine"
        ),
    ),
    "begin without a routine": (
        lambda w, g, h: begin(h, GuestAt.GONE),
        "House has no program counter to begin at GuestAt.GONE",
    ),
    "begin at another routine's point": (
        lambda w, g, h: begin(g, Paint.RED),
        "<Paint.RED: 'red'> is not a choice GuestAt",
    ),
    "requires inside a quantifier": (
        lambda w, g, h: every(w.all(Guest), lambda other: does(lambda: requires(other.inside, Why.TEST))),
        "requires(..., Why.TEST) inside every(...) or some(...): put it around the quantifier",
    ),
    "assignment of a quantifier's object": (
        lambda w, g, h: every(w.all(Guest), lambda other: does(lambda: setattr(other, "inside", True))),
        OF_OTHERS,
    ),
    "assignment inside a quantifier": (
        lambda w, g, h: some(w.all(Guest), lambda other: does(lambda: setattr(h, "locked", True))),
        "House.locked is assigned inside every(...) or some(...)",
    ),
    "history in a guard": (lambda w, g, h: requires(h.ever_open, Why.TEST), HISTORY_DECIDES),
    "history in a guard's quantifier": (
        lambda w, g, h: requires(every(w.all(House), lambda other: other.ever_open), Why.TEST),
        HISTORY_DECIDES,
    ),
    "history in a branch": (acts_on_history, HISTORY_DECIDES),
    "history into an ordinary field": (
        lambda w, g, h: setattr(h, "locked", h.ever_open),
        "the history field House.ever_open flows into House.locked, which is no history field",
    ),
    "history into an ordinary field, by when": (
        lambda w, g, h: setattr(h, "paint", when(h.ever_open, Paint.RED, Paint.BLUE)),
        "the history field House.ever_open flows into House.paint, which is no history field",
    ),
    "attribute of a symbolic reference": (
        lambda w, g, h: h.last.inside,
        (
            "attribute `inside` of the symbolic value `house.last`: take the object as a parameter of the step and "
            "bind it with `binds=`"
        ),
    ),
    "~": (lambda w, g, h: ~h.locked, "`~` of the symbolic value `house.locked`: write `negate(x)` or `not x`"),
    "&": (
        lambda w, g, h: h.locked & g.inside,
        "`&` of the symbolic value `house.locked`: write `both(x, y)`",
    ),
    "& from the right": (
        lambda w, g, h: True & g.inside,
        "`&` of the symbolic value `ann.inside`: write `both(x, y)`",
    ),
    "|": (
        lambda w, g, h: h.locked | g.inside,
        "`|` of the symbolic value `house.locked`: write `either(x, y)`",
    ),
    "sum of two counts": (
        lambda w, g, h: h.visits + h.crowd,
        "`house.visits + <symbolic house.crowd>`: counts compare with, and grow by, plain numbers",
    ),
    "difference of two counts": (
        lambda w, g, h: h.visits - h.crowd,
        "`house.visits - <symbolic house.crowd>`: counts compare with, and grow by, plain numbers",
    ),
    "order of two counts": (
        lambda w, g, h: h.visits >= h.crowd,
        "`house.visits >= <symbolic house.crowd>`: counts compare with, and grow by, plain numbers",
    ),
    "fraction": (
        lambda w, g, h: h.visits + 0.5,
        "`house.visits + 0.5`: counts compare with, and grow by, plain numbers",
    ),
    "count as a truth value": (
        lambda w, g, h: bool(h.visits),
        "`house.visits` is used as a truth value: compare it, as in `x != 0` or `x == Choice.MEMBER`",
    ),
    "range over a count": (
        lambda w, g, h: range(h.visits),
        "plain number of the symbolic value `house.visits`: a range or an index must not depend on the state",
    ),
    "number in a flag": (lambda w, g, h: setattr(h, "locked", 1), "1 is not a truth value"),
    "truth value in a count": (lambda w, g, h: setattr(h, "visits", True), "True is not a count"),
    "member of another enum": (
        lambda w, g, h: setattr(h, "paint", GuestAt.GONE),
        "<GuestAt.GONE: 'left for good'> is not a choice Paint",
    ),
    "name instead of a member": (lambda w, g, h: setattr(h, "paint", "RED"), "'RED' is not a choice Paint"),
    "symbol of another sort": (
        lambda w, g, h: setattr(h, "locked", h.visits),
        "`house.visits` is a count, not a truth value",
    ),
    "comparison across sorts": (
        lambda w, g, h: h.paint == GuestAt.GONE,  # type: ignore[comparison-overlap]
        "<GuestAt.GONE: 'left for good'> is not a choice Paint",
    ),
    "wrong sort for all": (lambda w, g, h: h.seen.fill(3), "3 is not a truth value"),  # type: ignore[arg-type]
    "both of a count": (
        lambda w, g, h: both(h.visits, True),  # type: ignore[arg-type]
        "`house.visits` is a count, not a truth value",
    ),
    "announcing a symbolic reference": (
        lambda w, g, h: w.announce(Bell.RINGS, h.last),
        "announce(Bell.RINGS, <symbolic house.last>): announce known objects, constants and enum members",
    ),
    "announcing a quantifier's object": (
        lambda w, g, h: every(w.all(Guest), lambda other: does(lambda: w.announce(Bell.RINGS, other))),
        "announce(Bell.RINGS, <Guest ?guest0>): announce known objects, constants and enum members",
    ),
    "guard that is a number": (
        lambda w, g, h: requires(1, Why.TEST),  # type: ignore[arg-type]
        "requires(1, Why.TEST): a guard is a truth value",
    ),
    "read after fill": (fills_then_reads, "House.seen is read after `.fill`: read it before"),
    "assigned static": (
        lambda w, g, h: setattr(g, "invited", True),
        "Guest.invited is fixed by the scenario; declare a field to change it",
    ),
    "indexed field without an index": (
        lambda w, g, h: setattr(h, "seen", True),
        "House.seen has one value per Guest: assign one with [...] or all with `.fill(value)`",
    ),
}


@pytest.mark.parametrize("misuse", REFUSED)
def test_lifting_refuses_a_misuse_and_says_the_remedy(misuse: str) -> None:
    body, message = REFUSED[misuse]
    assert refusal(body) == message


def test_an_object_of_another_class_is_refused_by_name() -> None:
    assert "<House house> is not a" in refusal(lambda w, g, h: setattr(h, "last", h))


ARITHMETIC = (
    "arithmetic of the symbolic value `{what}`: a count grows or shrinks by a plain number that is known: "
    "`x + 1`, `x - 1`"
)

SUBTLE: dict[str, tuple[Body, str]] = {
    "loop on a decided condition": (
        asks_for_ever,
        "500 decisions on one path, the last on `house.locked`: an unbounded loop? make each round a step of its own",
    ),
    "assignment after fill": (
        fills_then_assigns,
        "House.seen is assigned after `.fill`: assign it in another step",
    ),
    "fill inside a quantifier": (
        lambda w, g, h: every(w.all(Guest), lambda other: does(lambda: h.seen.fill(True))),
        "House.seen is filled inside every(...) or some(...)",
    ),
    "announce inside a quantifier": (
        lambda w, g, h: every(w.all(Guest), lambda other: does(lambda: w.announce(Bell.RINGS, g))),
        "Bell.RINGS is announced inside every(...) or some(...)",
    ),
    "history into an ordinary field, by fill": (
        lambda w, g, h: h.seen.fill(h.ever_open),
        "the history field House.ever_open flows into House.seen, which is no history field",
    ),
    "count as a guard": (
        lambda w, g, h: requires(h.visits, Why.TEST),  # type: ignore[arg-type]
        "`house.visits` is a count, not a truth value",
    ),
    "count as the condition of when": (
        lambda w, g, h: setattr(h, "visits", when(h.visits, 1, 0)),  # type: ignore[arg-type]
        "`house.visits` is a count, not a truth value",
    ),
    "assigned attribute of a symbolic reference": (
        lambda w, g, h: setattr(h.last, "inside", True),
        (
            "assignment of `inside` of the symbolic value `house.last`: take the object as a parameter of the step and "
            "bind it with `binds=`"
        ),
    ),
    "number plus count": (lambda w, g, h: 1 + h.visits, ARITHMETIC.format(what="house.visits")),
    "^": (lambda w, g, h: h.locked ^ g.inside, ARITHMETIC.format(what="house.locked")),
    "product": (lambda w, g, h: h.visits * 2, ARITHMETIC.format(what="house.visits")),
    "undeclared field read": (
        lambda w, g, h: h.lockd,
        "House declares no field `lockd`: declare it in its class; did you mean `locked`?",
    ),
}


@pytest.mark.parametrize("misuse", SUBTLE)
def test_lifting_refuses_what_is_easily_overlooked(misuse: str) -> None:
    body, message = SUBTLE[misuse]
    assert refusal(body) == message


def test_the_message_names_the_file_and_line_of_the_step() -> None:
    def broken(world: World, guest: Guest) -> None:
        """Asks wrongly."""
        requires(guest.house.paint in (Paint.RED, Paint.BLUE), Why.TEST)

    declared = guest_step(at=GuestAt.OUTSIDE, then=GuestAt.INSIDE, call="enter", outcome="broken")(broken)
    line = inspect.getsourcelines(broken)[1]
    assert complaint(lambda: lift(declared)) == (
        f"{__file__}:{line}: step guest.visit.enter[broken]: `in` on the symbolic value `(= house.paint RED)`: write "
        "`either(x == a, x == b)`"
    )


def test_plain_steps_refuse_what_the_handles_see() -> None:
    store = ConcreteStore(TWO_GUESTS)
    ann = {"world": "world", "guest": "ann", "house": "house"}
    for name in ("own program counter", "assigned program counter", "undeclared field", "loop over objects"):
        body, message = REFUSED[name]
        assert complaint(lambda body=body: store.run(misusing(body), ann, store.initial)) == message


# -- declarations --------------------------------------------------------------------------------


def declaring(function: Any, **changes: Any) -> Callable[[], Step]:
    """Declares ``function`` as a step of a guest."""
    given = {"kernel": "toy/house.c:visit", "call": "probe", "at": GuestAt.OUTSIDE, "then": GuestAt.INSIDE, **changes}
    return lambda: step(given.pop("actor", Guest), **given)(function)


def test_a_step_needs_a_docstring() -> None:
    def silent(guest: Guest) -> None:
        pass

    assert complaint(declaring(silent)) == f"{__name__}.silent: say in its docstring what the step means"


def test_a_step_needs_annotated_parameters() -> None:
    def bare(guest) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - the point of the test
        """Says something."""

    assert complaint(declaring(bare)) == (f"{__name__}.bare: annotate `guest` with the object class it stands for")


def test_a_parameter_stands_for_an_object() -> None:
    def numeric(guest: Guest, often: int) -> None:
        """Says something."""

    assert complaint(declaring(numeric)) == (
        f"{__name__}.numeric: annotate `often` with the object class it stands for"
    )


def test_a_step_takes_its_actor() -> None:
    def orphan(house: House) -> None:
        """Says something."""

    assert complaint(declaring(orphan)) == f"{__name__}.orphan: a step of Guest takes it as a parameter"


@pytest.mark.parametrize("where", ["at", "then"])
def test_a_program_point_belongs_to_the_actor(where: str) -> None:
    def lost(guest: Guest) -> None:
        """Says something."""

    assert complaint(declaring(lost, **{where: Paint.RED})) == (
        f"{__name__}.lost: Paint.RED is no program point of Guest"
    )


def test_an_actor_without_program_counter_has_no_points() -> None:
    def lost(house: House) -> None:
        """Says something."""

    assert complaint(declaring(lost, actor=House)) == (f"{__name__}.lost: GuestAt.OUTSIDE is no program point of House")


def test_two_steps_of_a_module_differ_in_their_id() -> None:
    module = ModuleType("oom_spec_toy")
    for name in ("first", "second"):

        def each(guest: Guest) -> None:
            """Says something."""

        each.__module__ = module.__name__
        setattr(module, name, declaring(each)())
    assert complaint(lambda: steps_of(module)) == (
        "two steps have the id guest.visit.probe: give them different outcomes"
    )


def test_two_steps_of_an_era_differ_in_their_id() -> None:
    message = "two steps have the id guest.visit.enter"
    assert complaint(lambda: unique_ids([enter, enter])).startswith(message)
    twice = Era(id="twice", title="", parent=HOUSE, added=(enter,))
    assert complaint(lambda: twice.steps).startswith(message)


def test_a_delta_names_steps_of_its_parent() -> None:
    def other(guest: Guest) -> None:
        """Says something."""

    unknown = declaring(other)()
    removing = Era(id="removing", title="", parent=HOUSE, removed=("guest.visit.fly",))
    replacing = Era(id="replacing", title="", parent=HOUSE, replaced=(unknown,))
    rootless = Era(id="rootless", title="", removed=("guest.visit.fly",))
    assert complaint(lambda: removing.steps) == (
        "era removing replaces or removes `guest.visit.fly`, but toy has no such step"
    )
    assert complaint(lambda: replacing.steps) == (
        "era replacing replaces or removes `guest.visit.probe`, but toy has no such step"
    )
    assert complaint(lambda: rootless.steps) == (
        "era rootless replaces or removes `guest.visit.fly`, but this era has no parent"
    )


def test_a_delta_keeps_the_place_of_what_it_replaces() -> None:
    def other(world: World, guest: Guest) -> None:
        """Says something."""

    replacement = declaring(other, call="enter")()
    era = Era(id="delta", title="", parent=HOUSE, replaced=(replacement,), removed=(unlock.id,))
    assert era.steps == (replacement, HOUSE.steps[1])


def test_a_scenario_gives_declared_values_only() -> None:
    with pytest.raises(MisuseError) as caught:
        make(House, "house", lockd=True)
    assert str(caught.value) == "House declares no `lockd`; did you mean `locked`?"


# -- properties ----------------------------------------------------------------------------------


def formula_complaint(formula: Callable[..., bool]) -> str:
    """What the lifting says of a property's formula over the world and the house."""
    concrete = ConcreteStore(TWO_GUESTS)
    store = SymbolicStore(concrete.structure, concrete.bounds)
    given = (store.handle(World, object_term(World, "world")), store.handle(House, object_term(House, "house")))
    return complaint(lambda: lift_formula(formula, given, store))


def test_a_property_reads_no_program_counter() -> None:
    def somebody_inside(world: World, house: House) -> bool:
        return some(world.all(Guest), lambda guest: guest.at == GuestAt.INSIDE)

    assert formula_complaint(somebody_inside) == READS_COUNTER


def test_a_property_assigns_nothing() -> None:
    def meddles(world: World, house: House) -> bool:
        house.locked = True
        return True

    assert formula_complaint(meddles).endswith("meddles assigns state: a property only reads")


def test_a_property_may_read_history() -> None:
    def was_open(world: World, house: House) -> bool:
        return house.ever_open

    with pytest.raises(AssertionError, match="no MisuseError"):
        formula_complaint(was_open)
